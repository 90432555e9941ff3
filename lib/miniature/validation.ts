/**
 * Defaults and validation of the few fields that matter here. Pure.
 *
 * @module
 */
import { validateEvent } from "./event_validation.ts";
import type { KubeObject, Resource } from "./objects.ts";
import { invalid } from "./status.ts";

/** The object with what Kubernetes fills in. */
export function withDefaults(resource: Resource, object: KubeObject): KubeObject {
  if (resource.plural !== "statefulsets") return object;
  return {
    ...object,
    spec: { replicas: 1, podManagementPolicy: "OrderedReady", ...object.spec },
    status: object.status ?? { replicas: 0, availableReplicas: 0 },
  };
}

/** Checks an object before it is written; `before`: as it was. @throws ApiError 400, 422 for what Kubernetes would refuse */
export function validate(resource: Resource, object: KubeObject, before?: KubeObject): void {
  const { name } = object.metadata;
  if (!/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name) || name.length > 253) {
    const fault = `Invalid value: "${name}": a lowercase RFC 1123 subdomain must consist of lower case ` +
      "alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
    throw invalid(resource.kind, resource.group, name, "metadata.name", fault);
  }
  if (resource.plural === "statefulsets") {
    const fault = countFault(object.spec.replicas);
    if (fault !== undefined) throw invalid("StatefulSet", "apps", name, "spec.replicas", fault);
  }
  if (resource.plural === "events") validateEvent(object, before);
  if (resource.plural === "leases") {
    const seconds = object.spec?.leaseDurationSeconds;
    if (typeof seconds === "number" && seconds <= 0) {
      const fault = `Invalid value: ${seconds}: must be greater than 0`;
      throw invalid("Lease", resource.group, name, "spec.leaseDurationSeconds", fault);
    }
  }
}

/** What is wrong with a count of replicas, if anything is. */
export function countFault(count: unknown): string | undefined {
  if (typeof count === "number" && count >= 0) return undefined;
  return `Invalid value: ${JSON.stringify(count)}: must be greater than or equal to 0`;
}
