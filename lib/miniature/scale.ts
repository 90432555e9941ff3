/**
 * `/scale` of a StatefulSet, as kube-apiserver serves it (`autoscaling/v1`): the version is the StatefulSet's own, a
 * count of 0 is left out (`omitempty`), and every way of writing ends as a write to `spec.replicas`. No I/O.
 * Source: k8s.io/kubernetes/pkg/registry/apps/statefulset/storage/storage.go.
 *
 * @module
 */
import { isObject, type JsonObject, mergePatch } from "./json.ts";
import { type KubeObject, STATEFULSETS } from "./objects.ts";
import { checkApply, checkVersion, PATCH_TYPES, type Registry, type WriteOptions } from "./registry.ts";
import { badRequest, invalid, unsupportedMediaType } from "./status.ts";
import { countFault } from "./validation.ts";

const API_VERSION = "autoscaling/v1";

/** The Scale object of a StatefulSet. */
export function scaleOf(statefulSet: KubeObject): JsonObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = statefulSet.metadata;
  const replicas: number = statefulSet.spec.replicas;
  const labels = Object.entries((statefulSet.spec.selector?.matchLabels ?? {}) as Record<string, string>);
  return {
    kind: "Scale",
    apiVersion: API_VERSION,
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: replicas === 0 ? {} : { replicas },
    status: {
      replicas: statefulSet.status?.replicas ?? 0,
      selector: labels.sort().map(([key, value]) => `${key}=${value}`).join(","),
    },
  };
}

/** `PUT …/scale`. @throws ApiError 400, 404, 409, 422 */
export function replaceScale(
  registry: Registry,
  namespace: string,
  name: string,
  body: unknown,
  options: WriteOptions,
): JsonObject {
  const live = registry.get(STATEFULSETS, namespace, name);
  return writeCount(registry, live, body, options);
}

/** `PATCH …/scale`: merge patch or server-side apply. @throws ApiError 400, 404, 409, 415, 422 */
export function patchScale(
  registry: Registry,
  namespace: string,
  name: string,
  type: string,
  body: unknown,
  options: WriteOptions,
): JsonObject {
  if (!isObject(body)) throw badRequest("the object provided is unrecognized: found no JSON object");
  const live = registry.get(STATEFULSETS, namespace, name);
  if (type === PATCH_TYPES.merge || type === PATCH_TYPES.strategic) {
    return writeCount(registry, live, mergePatch(scaleOf(live), body), options);
  }
  if (type !== PATCH_TYPES.apply) throw unsupportedMediaType();
  checkApply(body, { apiVersion: API_VERSION, kind: "Scale" }, name, options);
  const patch = body["spec"] === undefined ? {} : { spec: { replicas: countIn(body, name) } };
  checkVersion(STATEFULSETS, live, metadataOf(body));
  const applied = registry.applyFields(STATEFULSETS, live, patch, {
    ...options,
    subresource: "scale",
  });
  return scaleOf(applied);
}

function writeCount(registry: Registry, live: KubeObject, body: unknown, options: WriteOptions): JsonObject {
  if (!isObject(body)) throw badRequest("the object provided is unrecognized: found no JSON object");
  const { name, namespace } = live.metadata;
  if (body["kind"] !== undefined && (body["kind"] !== "Scale" || body["apiVersion"] !== API_VERSION)) {
    throw badRequest(`found ${body["apiVersion"]}, Kind=${body["kind"]}, want ${API_VERSION}, Kind=Scale`);
  }
  const metadata = metadataOf(body);
  if (metadata.name !== undefined && metadata.name !== name) {
    throw badRequest(
      `the name of the object (${metadata.name}) does not match the name on the URL (${name})`,
    );
  }
  const count = countIn(body, name);
  checkVersion(STATEFULSETS, live, metadata);
  const wanted = { ...live, spec: { ...live.spec, replicas: count } };
  return scaleOf(
    registry.replace(STATEFULSETS, namespace, name, wanted, { ...options, subresource: "scale" }),
  );
}

function metadataOf(body: JsonObject): Partial<KubeObject["metadata"]> {
  return isObject(body["metadata"]) ? body["metadata"] : {};
}

function countIn(body: JsonObject, name: string): number {
  const spec = isObject(body["spec"]) ? body["spec"] : {};
  const count = spec["replicas"] ?? 0;
  if (typeof count !== "number" || !Number.isInteger(count)) {
    throw badRequest(
      `json: cannot unmarshal ${typeof count} into Go struct field ScaleSpec.spec.replicas of type int32`,
    );
  }
  const fault = countFault(count);
  if (fault !== undefined) throw invalid("Scale", "autoscaling", name, "spec.replicas", fault);
  return count;
}
