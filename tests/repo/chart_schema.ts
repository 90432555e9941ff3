/**
 * The schema of the chart's values: types follow from the defaults, {@link REFINEMENTS} say what a default cannot. It
 * is strict: what nobody declared is refused, and so is a scalar that somebody set to null where there has to be one.
 *
 * @module
 */
import { CONFIG_PATH, configSchema } from "../../lib/config/chart_fragments.ts";
import { settingRows } from "../../lib/config/settings.ts";
import { duration } from "../../lib/config/value_types.ts";
import type { ChartValueEntry } from "./chart_values.ts";

type Schema = Readonly<Record<string, unknown>>;

const PORT: Schema = { type: "integer", minimum: 1, maximum: 65535 };
const PATH: Schema = { type: "string", pattern: "^(/.*)?$" };
/** A container's port by its name, or nothing. A number in quotes is a number. */
const PORT_NAME: Schema = { type: "string", maxLength: 15, pattern: "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$" };
const STRINGS: Schema = { type: "object", additionalProperties: { type: "string" } };
const OBJECTS: Schema = { type: "array", items: { type: "object" } };
const NAMED: Schema = { type: "array", items: { type: "object", required: ["name"] } };
const DIGEST: Schema = { type: "string", pattern: "^(sha256:[0-9a-f]{64})?$" };
const PROMETHEUS_DURATION: Schema = { type: "string", pattern: "^([0-9]+(ms|s|m|h|d))*$" };
/** A byte in decimal, without zeros before it. */
const BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const NETWORK: Schema = {
  type: "string",
  pattern: `^(${BYTE}(\\.${BYTE}){3}/(3[0-2]|[12]?[0-9])|` +
    "[0-9a-fA-F.]*:[0-9a-fA-F:.]*/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$",
};
const AMOUNT: Schema = {
  oneOf: [{ type: "integer", minimum: 0 }, { type: "string", pattern: "^[0-9]+%$" }],
};

/** The name of an object that is also the start of others' names, or nothing. Services may not begin with a digit. */
function name(maxLength: number): Schema {
  return { type: "string", maxLength, pattern: "^([a-z]([-a-z0-9]*[a-z0-9])?)?$" };
}

const NAMESPACE: Schema = { type: "string", maxLength: 63, pattern: "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$" };

/** The name of an object that exists, or nothing. */
const OBJECT_NAME: Schema = { type: "string", maxLength: 63, pattern: "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$" };

/** The name of a Secret, or nothing. */
const SECRET_NAME: Schema = {
  type: "string",
  maxLength: 253,
  pattern: "^([a-z0-9]([-.a-z0-9]*[a-z0-9])?)?$",
};

function nullable(schema: Schema): Schema {
  return { ...schema, type: [schema.type, "null"] };
}

function oneOf(...words: string[]): Schema {
  return { type: "string", enum: words };
}

const PROBE: Schema = {
  type: "object",
  required: ["enabled"],
  properties: {
    enabled: { type: "boolean" },
    initialDelaySeconds: { type: "integer", minimum: 0 },
    periodSeconds: { type: "integer", minimum: 1 },
    timeoutSeconds: { type: "integer", minimum: 1 },
    failureThreshold: { type: "integer", minimum: 1 },
    successThreshold: { type: "integer", minimum: 1 },
    terminationGracePeriodSeconds: { type: "integer", minimum: 1 },
    exec: { type: "object" },
    grpc: { type: "object" },
    httpGet: { type: "object" },
    tcpSocket: { type: "object" },
  },
  additionalProperties: false,
};

/** The name of a pool or a project: part of names of Services, which may not begin with a digit. */
const LABEL: Schema = { type: "string", pattern: "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$" };

/** By whole path, or else by the last key. */
const REFINEMENTS: Readonly<Record<string, Schema>> = {
  nameOverride: name(63),
  fullnameOverride: name(40),
  "autoscaler.fullnameOverride": name(55),
  "autoscaler.nameOverride": name(55),
  "buildkitd.fullnameOverride": name(52),
  namespaceOverride: NAMESPACE,
  separateNamespace: NAMESPACE,
  namespace: NAMESPACE,
  "autoscaler.target.statefulSet": OBJECT_NAME,
  secretName: SECRET_NAME,
  "autoscaler.tls.certManager.duration": duration(3_600_000).schema,
  "autoscaler.tls.upstream.certManager.duration": duration(3_600_000).schema,
  "autoscaler.tls.containerPort": PORT,
  "autoscaler.tls.service.type": oneOf("ClusterIP", "NodePort", "LoadBalancer"),
  "autoscaler.tls.clientCa.key": { type: "string", pattern: "^[-._a-zA-Z0-9]+$" },
  "autoscaler.tls.clientNames": { type: "array", items: { type: "string", pattern: "^[^,\\s]+$" } },
  "autoscaler.proxyProtocol.from": { type: "array", items: NETWORK },
  tlsClients: OBJECTS,
  "autoscaler.target.headlessService": OBJECT_NAME,
  labels: STRINGS,
  annotations: STRINGS,
  podLabels: STRINGS,
  podAnnotations: STRINGS,
  commonLabels: STRINGS,
  commonAnnotations: STRINGS,
  alertLabels: STRINGS,
  nodeSelector: STRINGS,
  imagePullSecrets: NAMED,
  extraEnv: NAMED,
  extraEnvVars: NAMED,
  extraVolumes: NAMED,
  extraVolumeMounts: NAMED,
  volumes: NAMED,
  volumeMounts: NAMED,
  extraContainers: NAMED,
  initContainers: NAMED,
  extraEnvFrom: OBJECTS,
  tolerations: OBJECTS,
  topologySpreadConstraints: OBJECTS,
  relabelings: OBJECTS,
  metricRelabelings: OBJECTS,
  issuerRef: {
    type: "object",
    additionalProperties: false,
    properties: { name: { type: "string" }, kind: { type: "string" }, group: { type: "string" } },
  },
  clients: OBJECTS,
  metricsClients: OBJECTS,
  apiServer: OBJECTS,
  dns: OBJECTS,
  extraRules: OBJECTS,
  apiServerPorts: { type: "array", minItems: 1, items: PORT },
  extraObjects: { type: "array", items: { type: ["object", "string"] } },
  digest: DIGEST,
  pullPolicy: oneOf("Always", "IfNotPresent", "Never"),
  port: PORT,
  nodePort: nullable(PORT),
  portName: { type: "string", maxLength: 63, pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" },
  targetPort: { oneOf: [PORT, PORT_NAME] },
  dnsPolicy: oneOf("", "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
  "buildkitd.service.type": oneOf("ClusterIP", "NodePort", "LoadBalancer"),
  "autoscaler.service.type": oneOf("ClusterIP", "NodePort", "LoadBalancer"),
  loadBalancerSourceRanges: { type: "array", items: NETWORK },
  externalTrafficPolicy: oneOf("", "Cluster", "Local"),
  livenessProbe: PROBE,
  readinessProbe: PROBE,
  startupProbe: PROBE,
  terminationGracePeriodSeconds: nullable({ type: "integer", minimum: 0 }),
  tokenExpirationSeconds: nullable({ type: "integer", minimum: 600, maximum: 2 ** 32 }),
  maxUnavailable: AMOUNT,
  interval: PROMETHEUS_DURATION,
  scrapeTimeout: PROMETHEUS_DURATION,
  "buildkitd.preset": oneOf("earthly", "earthbuild", "moby", "moby-rootless"),
  "buildkitd.builders": { type: "integer", minimum: 1, maximum: 64 },
  "buildkitd.maxReplicas": { type: "integer", minimum: 1, maximum: 500 },
  "buildkitd.autoscaling.minReplicas": { type: "integer", minimum: 1, maximum: 500 },
  "buildkitd.autoscaling.metrics": { type: "array", items: { type: "object", required: ["type"] } },
  projects: {
    type: "array",
    items: {
      oneOf: [LABEL, {
        type: "object",
        additionalProperties: false,
        required: ["name"],
        properties: { name: LABEL, pool: LABEL },
      }],
    },
  },
  "buildkitd.updateStrategy": oneOf("OnDelete", "RollingUpdate"),
  "buildkitd.drain.timeout": duration(0).schema,
  "buildkitd.hostUsers": { type: ["boolean", "null"] },
  "buildkitd.cachePath": PATH,
  "buildkitd.persistence.mountPath": PATH,
  "buildkitd.persistence.whenDeleted": oneOf("Retain", "Delete"),
  "buildkitd.persistence.size": {
    type: "string",
    pattern: "^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
  },
  "buildkitd.persistence.accessModes": {
    type: "array",
    minItems: 1,
    items: oneOf("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"),
  },
};

/** The whole schema. Parents may say whether they want the chart (`enabled`), and hand on what is `global`. */
export function chartSchema(entries: readonly ChartValueEntry[]): Schema {
  const schema = group(entries, []);
  const properties = schema.properties as Readonly<Record<string, Schema>>;
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Values of the chart buildkitd-stack",
    ...schema,
    properties: {
      ...properties,
      pools: { ...properties.pools, ...poolsSchema(properties.buildkitd!) },
      enabled: {
        type: "boolean",
        description: "For the condition of a parent chart: nothing is read from it.",
      },
    },
  };
}

/** Values of buildkitd that all pools share. */
const NOT_OF_A_POOL = ["enabled", "fullnameOverride", "service", "serviceAccount", "maxReplicas", "cordoned"];

/** Settings of the autoscaler that a pool may have for itself, by the flag in camel case. */
function poolSettings(): Schema {
  const rows = settingRows().filter(([, { flag, type }]) =>
    type.rangeOfOne !== undefined || flag === "--warm"
  );
  return Object.fromEntries(rows.map(([, { flag, type, help }]) => [
    flag.slice(2).replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()),
    { description: help, ...type.schema },
  ]));
}

/** Pools by name. */
function poolsSchema(buildkitd: Schema): Schema {
  const { properties, ...rest } = optional(buildkitd);
  const own = Object.entries(properties as Schema).filter(([key]) => !NOT_OF_A_POOL.includes(key));
  return {
    type: "object",
    additionalProperties: false,
    patternProperties: {
      [LABEL.pattern as string]: {
        type: ["object", "null"],
        additionalProperties: false,
        properties: { buildkitd: { ...rest, properties: Object.fromEntries(own) }, ...poolSettings() },
      },
    },
  };
}

/** The same without what has to be there, at any depth: what a pool leaves out it has from the default pool. */
function optional({ required: _required, description: _description, properties, ...rest }: Schema): Schema {
  if (properties === undefined) {
    return mayBeNull(rest) ? nullable({ ...rest, type: [rest.type].flat()[0] }) : rest;
  }
  const entries = Object.entries(properties as Readonly<Record<string, Schema>>);
  return {
    ...rest,
    properties: Object.fromEntries(entries.map(([key, schema]) => [key, optional(schema)])),
  };
}

function group(entries: readonly ChartValueEntry[], path: readonly string[]): Schema {
  if (path.join(".") === CONFIG_PATH) return configSchema();
  const keys = [...new Set(entries.map((entry) => entry.path[path.length]!))];
  const properties = keys.map((key) => {
    const below = entries.filter((entry) => entry.path[path.length] === key);
    const [first] = below;
    const own = first!.path.length === path.length + 1;
    return [key, own ? leaf(first!) : group(below, [...path, key])] as const;
  });
  const required = properties.filter(([, schema]) => !mayBeNull(schema)).map(([key]) => key);
  return {
    type: "object",
    additionalProperties: false,
    ...(required.length > 0 ? { required } : {}),
    properties: Object.fromEntries(properties),
  };
}

/** Lists and maps may be set to null, which is how helm's users take a default away. */
function mayBeNull({ type, properties }: Schema): boolean {
  return Array.isArray(type) || type === "array" || (type === "object" && properties === undefined);
}

function leaf({ path, default: preset, description }: ChartValueEntry): Schema {
  const refined = REFINEMENTS[path.join(".")] ?? REFINEMENTS[path.at(-1)!];
  return { description, ...(refined ?? typeOf(preset, path)) };
}

function typeOf(preset: unknown, path: readonly string[]): Schema {
  switch (typeof preset) {
    case "boolean":
      return { type: "boolean" };
    case "number":
      return { type: "integer", minimum: 0 };
    case "string":
      return { type: "string" };
    case "object":
      if (Array.isArray(preset)) return { type: "array", items: { type: "string" } };
      if (preset !== null) return { type: "object" };
  }
  throw new Error(`Cannot tell the type of "${path.join(".")}" by its default: want a refinement`);
}
