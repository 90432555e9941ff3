/**
 * A container's environment as the kubelet makes it: the variables of its spec, those of Services, and `$(NAME)` in its
 * command line.
 *
 * There is no proxy for Service addresses here, so the API server's Service shows the API server's own address. Throws
 * for a kind of source that it does not know.
 *
 * @module
 */

import { API_ADDRESS, API_PORT } from "../control_plane.ts";
import { ApiError, type KubeApi, type KubeObject } from "../kube_api.ts";
import type { ContainerSpec, EnvVar, KeyRef, Pod } from "./pod_spec.ts";

/** What a pod's fields may be asked for, beside what its object says. */
export interface PodFacts {
  readonly pod: Pod;
  readonly ip: string;
}

/** The value of a `fieldRef`. Annotations and labels are asked for as `metadata.labels['KEY']`. */
export function fieldValue({ pod, ip }: PodFacts, fieldPath: string): string {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(fieldPath);
  if (keyed !== null) return pod.metadata[keyed[1] as "labels" | "annotations"]?.[keyed[2] ?? ""] ?? "";
  switch (fieldPath) {
    case "metadata.name":
      return pod.metadata.name;
    case "metadata.namespace":
      return pod.metadata.namespace ?? "";
    case "metadata.uid":
      return pod.metadata.uid ?? "";
    case "spec.nodeName":
      return pod.spec.nodeName ?? "";
    case "spec.serviceAccountName":
      return pod.spec.serviceAccountName ?? "";
    case "status.podIP":
    case "status.podIPs":
      return ip;
    case "status.hostIP":
    case "status.hostIPs":
      return API_ADDRESS;
  }
  throw new Error(`Cannot give a pod the field "${fieldPath}": the kubelet stand-in does not know it`);
}

/** `$(NAME)` becomes the variable's value, `$$(NAME)` the text `$(NAME)`; a name that is not known stays. */
export function expand(text: string, env: ReadonlyMap<string, string>): string {
  return text.replace(/\$(\$|\(([A-Za-z_][\w.-]*)\))/g, (found, rest: string, name: string) => {
    return rest === "$" ? "$" : env.get(name) ?? found;
  });
}

interface Service extends KubeObject {
  readonly spec: {
    readonly clusterIP?: string;
    readonly ports?: readonly { readonly name?: string; readonly port: number; readonly protocol?: string }[];
  };
}

const API_SERVICE: Service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "kubernetes" },
  spec: { clusterIP: API_ADDRESS, ports: [{ name: "https", port: API_PORT, protocol: "TCP" }] },
};

/** The variables that tell of a Service: those of Kubernetes' own names and those that Docker's links had. */
function* serviceVariables({ metadata, spec }: Service): Generator<readonly [string, string]> {
  const host = spec.clusterIP ?? "";
  const [first] = spec.ports ?? [];
  if (host === "" || host === "None" || first === undefined) return;
  const prefix = metadata.name.toUpperCase().replaceAll("-", "_");
  yield [`${prefix}_SERVICE_HOST`, host];
  yield [`${prefix}_SERVICE_PORT`, String(first.port)];
  yield [`${prefix}_PORT`, `tcp://${host}:${first.port}`];
  for (const { name, port, protocol = "TCP" } of spec.ports ?? []) {
    if (name) yield [`${prefix}_SERVICE_PORT_${name.toUpperCase().replaceAll("-", "_")}`, String(port)];
    const link = `${prefix}_PORT_${port}_${protocol}`;
    yield [link, `${protocol.toLowerCase()}://${host}:${port}`];
    yield [`${link}_PROTO`, protocol.toLowerCase()];
    yield [`${link}_PORT`, String(port)];
    yield [`${link}_ADDR`, host];
  }
}

/** The variables of a container; those of its spec win over those of Services. */
export async function containerEnvironment(
  api: KubeApi,
  facts: PodFacts,
  container: ContainerSpec,
): Promise<ReadonlyMap<string, string>> {
  const { pod } = facts;
  const namespace = pod.metadata.namespace ?? "";
  if (container.envFrom?.length) {
    throw new Error(`Cannot run "${container.name}": the kubelet stand-in does not know envFrom`);
  }
  const linked = pod.spec.enableServiceLinks === false
    ? []
    : (await api.get<{ items: Service[] }>(`/api/v1/namespaces/${namespace}/services`)).items;
  const env = new Map([...linked, API_SERVICE].flatMap((service) => [...serviceVariables(service)]));
  for (const variable of container.env ?? []) {
    const value = await variableValue(api, facts, variable, env);
    if (value !== undefined) env.set(variable.name, value);
  }
  return env;
}

async function variableValue(
  api: KubeApi,
  facts: PodFacts,
  { name, value = "", valueFrom }: EnvVar,
  env: ReadonlyMap<string, string>,
): Promise<string | undefined> {
  if (valueFrom === undefined) return expand(value, env);
  const { fieldRef, configMapKeyRef, secretKeyRef } = valueFrom;
  if (fieldRef !== undefined) return fieldValue(facts, fieldRef.fieldPath);
  const at = `/api/v1/namespaces/${facts.pod.metadata.namespace}`;
  if (configMapKeyRef !== undefined) return await keyValue(api, `${at}/configmaps`, configMapKeyRef);
  if (secretKeyRef !== undefined) {
    const encoded = await keyValue(api, `${at}/secrets`, secretKeyRef);
    return encoded === undefined ? undefined : new TextDecoder().decode(Uint8Array.fromBase64(encoded));
  }
  throw new Error(`Cannot give the variable "${name}" a value from ${JSON.stringify(valueFrom)}`);
}

async function keyValue(api: KubeApi, collection: string, ref: KeyRef): Promise<string | undefined> {
  try {
    const { data } = await api.get<{ data?: Record<string, string> }>(`${collection}/${ref.name}`);
    const value = data?.[ref.key];
    if (value !== undefined || ref.optional) return value;
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404 && ref.optional)) throw error;
    return undefined;
  }
  throw new Error(`Cannot find the key "${ref.key}" in ${collection}/${ref.name}`);
}
