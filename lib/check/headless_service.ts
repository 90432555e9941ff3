/**
 * Findings about the headless Service: the proxy finds pods by its EndpointSlices. Pure.
 *
 * @module
 */
import type { EndpointSlice, Service, StatefulSet } from "../kube/types.ts";
import { backendsOf } from "../scaler/backends.ts";
import { failed, type Finding, kubectl, listed, ok, type Read, unchecked, warning } from "./finding.ts";
import type { Builder } from "./stateful_set.ts";

type Labels = Readonly<Record<string, string>>;

/** Whether it is there, is headless, and selects the pods of the StatefulSet. */
export function serviceFindings(
  builder: Builder,
  read: Read<Service>,
  statefulSet: StatefulSet | undefined,
): readonly Finding[] {
  const { name, service, namespace, usesDns } = builder;
  const check = `Service "${service}"`;
  const governing = statefulSet?.spec?.serviceName;
  if (read.is === "unread") return [unchecked(check, read.why)];
  if (read.is === "absent") {
    const absent = `none of this name in namespace "${namespace}"`;
    // Perhaps the namespace is the wrong one: nobody should create a Service there.
    if (statefulSet === undefined) return [unchecked(check, `${absent}; StatefulSet "${name}" is not known`)];
    const hint = governing && governing !== service
      ? `; that of StatefulSet "${name}" is "${governing}"`
      : "";
    return [failed(
      check,
      `${absent}${hint}`,
      "a headless Service for the pods of buildkitd (--headless-service-name)",
      hint === "" ? create(builder, statefulSet) : `set --headless-service-name=${governing}`,
    )];
  }
  const { spec } = read.value;
  if (spec?.type === "ExternalName") {
    return [failed(check, "type ExternalName", "a headless Service", beside(builder, statefulSet))];
  }
  const findings: Finding[] = [];
  if (spec?.clusterIP !== "None") {
    const found = `the cluster IP ${spec?.clusterIP || "of a Service that is not headless"}`;
    const say = usesDns ? failed : warning;
    findings.push(say(check, found, 'headless: clusterIP "None"', beside(builder, statefulSet)));
  }
  if (usesDns && governing !== undefined && governing !== service) {
    findings.push(failed(
      check,
      `StatefulSet "${name}" names its pods by the Service "${governing}"`,
      "the same Service, for --upstream dns",
      `set --headless-service-name=${governing}`,
    ));
  }
  findings.push(...selectorFindings(builder, spec?.selector, statefulSet));
  findings.push(...portFindings(builder, spec?.ports, statefulSet));
  return findings.length > 0 ? findings : [ok(check, "headless, and selects the pods")];
}

function selectorFindings(
  builder: Builder,
  selector: Labels | undefined,
  statefulSet: StatefulSet | undefined,
): readonly Finding[] {
  const { name, service } = builder;
  const check = `selector of Service "${service}"`;
  const labels: Labels | undefined = statefulSet?.spec?.template?.metadata?.labels;
  const wanted = statefulSet?.spec?.selector?.matchLabels;
  if (statefulSet === undefined) return [unchecked(check, `StatefulSet "${name}" is not known`)];
  const pairs = Object.entries(selector ?? {});
  if (pairs.length > 0 && pairs.every(([key, value]) => labels?.[key] === value)) return [];
  const found = pairs.length === 0
    ? "no selector: nothing keeps EndpointSlices of its pods"
    : textOf(selector);
  return [failed(
    check,
    found,
    `labels of the pods of StatefulSet "${name}": ${textOf(labels)}`,
    select(builder, wanted ?? labels),
  )];
}

function portFindings(
  { service, namespace, port }: Builder,
  ports: NonNullable<Service["spec"]>["ports"] = [],
  statefulSet: StatefulSet | undefined,
): readonly Finding[] {
  const check = `ports of Service "${service}"`;
  const declared = statefulSet?.spec?.template?.spec?.containers?.flatMap(({ ports = [] }) => ports) ?? [];
  const numbers = ports.map((each) => {
    const to = (each.targetPort ?? each.port) as string | number;
    return typeof to === "number" ? to : declared.find(({ name }) => name === to)?.containerPort ?? to;
  });
  if (numbers.includes(port)) return [];
  // The proxy connects to the pods' addresses at --target-port, whatever the Service says.
  const found = numbers.length === 0 ? "no port" : `ports of the pods: ${listed(numbers.map(String))}`;
  const patch = JSON.stringify({ spec: { ports: [{ name: "tcp-buildkit", port, targetPort: port }] } });
  return [warning(
    check,
    `${found}; the proxy does not use them, meshes do`,
    `${port} (--target-port)`,
    kubectl(namespace, "patch", "service", service, "--type=merge", `--patch=${patch}`),
  )];
}

/** Whether Kubernetes lists the pods under the Service. */
export function slicesFinding(
  builder: Builder,
  read: Read<readonly EndpointSlice[]>,
  statefulSet: StatefulSet | undefined,
): Finding {
  const { name, service, namespace } = builder;
  const check = `EndpointSlices of Service "${service}"`;
  if (read.is === "unread") return unchecked(check, read.why);
  const slices = read.is === "found" ? read.value : [];
  if (slices.length === 0) {
    if (statefulSet === undefined) return unchecked(check, `none; StatefulSet "${name}" is not known`);
    return failed(
      check,
      "none, so no pod will be found",
      "at least one, which Kubernetes keeps for each Service with a selector",
      kubectl(namespace, "describe", "service", service),
    );
  }
  const { length: pods } = backendsOf(slices, name, statefulSet?.spec?.ordinals?.start ?? 0);
  const ready = statefulSet?.status?.readyReplicas ?? 0;
  if (pods === 0 && ready > 0) {
    const { selector, template } = statefulSet?.spec ?? {};
    return failed(
      check,
      `no pod of StatefulSet "${name}", which has ${ready} ready`,
      "its pods",
      select(builder, selector?.matchLabels ?? template?.metadata?.labels),
    );
  }
  return ok(check, pods === 1 ? "1 pod" : `${pods} pods`);
}

function create(builder: Builder, statefulSet: StatefulSet | undefined): string {
  const { service, namespace, port } = builder;
  const { selector, template } = statefulSet?.spec ?? {};
  return [
    kubectl(namespace, "create", "service", "clusterip", service, "--clusterip=None", `--tcp=${port}`),
    select(builder, selector?.matchLabels ?? template?.metadata?.labels),
  ].join(" && ");
}

function select({ service, namespace }: Builder, labels: Labels | undefined): string {
  return kubectl(namespace, "set", "selector", "service", service, textOf(labels) || "KEY=VALUE");
}

/** Another Service beside this one, whose address cannot be changed, and which others may use. */
function beside(builder: Builder, statefulSet: StatefulSet | undefined): string {
  if (builder.usesDns) return "delete the Service and create it again, headless, while nobody builds";
  const service = `${builder.service}-headless`;
  return `${create({ ...builder, service }, statefulSet)} # then set --headless-service-name=${service}`;
}

function textOf(labels: Labels | undefined): string {
  return Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`).join(",");
}
