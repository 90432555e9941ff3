/**
 * Every value does something, whatever it is: each one is changed, set to 0 or taken away on its own, and what the
 * chart renders is compared.
 *
 * @module
 */
import assert from "node:assert/strict";
import { chartSchema } from "../repo/chart_schema.ts";
import { type ChartValueEntry, chartValues } from "../repo/chart_values.ts";
import { CHART, Helm } from "./helm.ts";
import { VALUE_SETS } from "./value_sets.ts";

// deno-lint-ignore no-explicit-any -- values and schemas of any form
type Tree = any;

const helm = await Helm.of("helm");
const entries = chartValues(await Deno.readTextFile(`${CHART}/values.yaml`));
const schema = chartSchema(entries) as Tree;
const everything = VALUE_SETS.get("everything");

/** Manifests by values: most values have the same context. */
const rendered = new Map<string, Promise<string>>();

function render(values: Tree): Promise<string> {
  const key = JSON.stringify(values);
  const known = rendered.get(key) ?? helm.template(values);
  rendered.set(key, known);
  return known;
}

/** What has to be set for a value to count, where that is not "everything". */
const CONTEXTS: Readonly<Record<string, Tree>> = {
  "autoscaler.namespace": { autoscaler: { separateNamespace: "proxies", namespace: { create: true } } },
  "autoscaler.namespace.create": { autoscaler: { separateNamespace: "proxies" } },
  "buildkitd.volumes": { buildkitd: { extraVolumes: [] } },
  "buildkitd.volumeMounts": { buildkitd: { extraVolumeMounts: [] } },
  "buildkitd.containerSecurityContext": { buildkitd: { securityContext: null } },
  "buildkitd.persistence.mountPath": { buildkitd: { cachePath: "" } },
  "autoscaler.tls": {
    autoscaler: {
      tls: {
        enabled: true,
        certManager: { create: true, issuerRef: { name: "a" } },
        secretName: "a",
        clientCa: { secretName: "a" },
        service: { type: "LoadBalancer" },
      },
    },
  },
  "autoscaler.tls.service.type": {
    autoscaler: { tls: { enabled: true, secretName: "a" } },
  },
  "networkPolicy.tlsClients": { autoscaler: { tls: { enabled: true, secretName: "a" } } },
  "autoscaler.tls.upstream": {
    autoscaler: {
      tls: {
        upstream: { enabled: true, secretName: "a", certManager: { create: true, issuerRef: { name: "a" } } },
      },
    },
  },
  "laptopRole": { laptopRole: { create: true, group: "a" } },
  "laptopRole.create": { laptopRole: { group: "a" } },
  "autoscaler.target": {
    autoscaler: { target: { statefulSet: "a", headlessService: "b", port: 1 } },
    buildkitd: { enabled: false },
  },
  "autoscaler.rbac.leases": { autoscaler: { replicaCount: 1 } },
  "autoscaler.metrics.podMonitor": {
    autoscaler: { metrics: { serviceMonitor: { enabled: false }, podMonitor: { enabled: true } } },
  },
  "autoscaler.metrics.podMonitor.enabled": {
    autoscaler: { metrics: { serviceMonitor: { enabled: false }, prometheusRule: { enabled: false } } },
  },
  "autoscaler.metrics.serviceMonitor.enabled": {
    autoscaler: { metrics: { prometheusRule: { enabled: false } } },
  },
  "autoscaler.metrics.service.enabled": {
    autoscaler: { metrics: { serviceMonitor: { enabled: false }, prometheusRule: { enabled: false } } },
  },
  "autoscaler.metrics.dashboard": { autoscaler: { metrics: { dashboard: { enabled: true } } } },
  "autoscaler.metrics.dashboard.enabled": { autoscaler: { metrics: { dashboard: { enabled: false } } } },
  "autoscaler.service.nodePort": { autoscaler: { service: { type: "NodePort" } } },
  "autoscaler.service.externalTrafficPolicy": { autoscaler: { service: { type: "NodePort" } } },
  "autoscaler.service.loadBalancerSourceRanges": { autoscaler: { service: { type: "LoadBalancer" } } },
  "autoscaler.service.loadBalancerClass": { autoscaler: { service: { type: "LoadBalancer" } } },
  "networkPolicy.enabled": { networkPolicy: { clients: [], metricsClients: [], egress: { enabled: false } } },
  "buildkitd.persistence.emptyDir": { buildkitd: { persistence: { enabled: false } } },
  "autoscaler.autoscalerConfig.minReplicas": { buildkitd: { builders: 64, maxReplicas: 500 } },
  "autoscaler.autoscalerConfig.maxSessionsPerReplica": {
    autoscaler: { autoscalerConfig: { sessionsPerReplica: 0 } },
  },
  "buildkitd.autoscaling": {
    buildkitd: { maxReplicas: 500, autoscaling: { enabled: true, metrics: [{ type: "Resource" }] } },
  },
};

/** Other values, where not any will do. */
const OTHERS: Readonly<Record<string, unknown>> = {
  "autoscaler.metrics.prometheusRule.disabled": ["BuildkitdBroke"],
  "autoscaler.autoscalerConfig.proxyListenAddr": ":1234",
  "autoscaler.autoscalerConfig.adminAddr": ":1234",
  "autoscaler.autoscalerConfig.renewDeadline": "7s",
  "autoscaler.autoscalerConfig.retryPeriod": "7s",
  "autoscaler.service.loadBalancerSourceRanges": ["10.0.0.0/8"],
  "autoscaler.image.digest": `sha256:${"0".repeat(64)}`,
  "buildkitd.image.digest": `sha256:${"0".repeat(64)}`,
  "buildkitd.binfmt.image.digest": `sha256:${"0".repeat(64)}`,
  "autoscaler.metrics.serviceMonitor.interval": "7s",
  "autoscaler.metrics.serviceMonitor.scrapeTimeout": "7s",
  "networkPolicy.egress.apiServerPorts": [7],
  "extraObjects": [{ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "other" } }],
  "autoscaler.metrics.podMonitor.interval": "7s",
  "autoscaler.tls.upstream.certManager.issuerRef": { kind: "ClusterIssuer" },
  "autoscaler.tls.certManager.issuerRef": { kind: "ClusterIssuer" },
  "autoscaler.tls.service.loadBalancerSourceRanges": ["10.0.0.0/8"],
  "autoscaler.proxyProtocol.from": ["10.0.0.0/8"],
  "autoscaler.metrics.podMonitor.scrapeTimeout": "7s",
  "buildkitd.cachePath": "/other",
  "buildkitd.persistence.mountPath": "/other",
  "autoscaler.service.targetPort": "other",
  "buildkitd.persistence.size": "7Gi",
  "buildkitd.cordoned": ["ci-stack-buildkitd"],
  "buildkitd.autoscaling.metrics": [{ type: "Other" }],
  "autoscaler.autoscalerConfig.pricePerHour": "0.34 EUR",
  "autoscaler.autoscalerConfig.warm": "Sat 08:00-12:00 UTC=1",
  "pools": { other: {} },
};

/** What helm does with several files of values: later ones win, maps are merged. */
function merged(a: Tree, b: Tree): Tree {
  if (!isMap(a) || !isMap(b)) return b;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries([...keys].map((key) => [key, key in b ? merged(a[key], b[key]) : a[key]]));
}

function isMap(value: Tree): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function at(path: readonly string[], value: unknown): Tree {
  return path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
}

function pick(tree: Tree, path: readonly string[]): Tree {
  return path.reduce((node, key) => node?.[key], tree);
}

function schemaOf(path: readonly string[]): Tree {
  return path.reduce((node, key) => node.properties[key], schema);
}

function contextOf(path: readonly string[]): Tree {
  const dotted = path.join(".");
  const found = Object.keys(CONTEXTS).filter((key) => dotted === key || dotted.startsWith(`${key}.`));
  return merged(everything, CONTEXTS[found.at(-1) ?? ""] ?? {});
}

/** Another value than `now` that the schema takes. */
function another({ path }: ChartValueEntry, now: unknown): unknown {
  const dotted = path.join(".");
  const { type, enum: words, minimum = 0, maximum = Infinity, items, oneOf, pattern } = schemaOf(path);
  if (OTHERS[dotted] !== undefined) return OTHERS[dotted];
  if (words !== undefined) return words.find((word: string) => word !== (now ?? "") && word !== "");
  if (oneOf !== undefined) return now === 3 ? 4 : 3;
  const [kind] = [type].flat();
  switch (kind) {
    case "boolean":
      return !now;
    case "integer":
      return Number(now ?? 0) + 1 <= maximum && now !== undefined
        ? Math.max(Number(now) + 1, minimum)
        : minimum;
    case "string":
      return pattern?.includes("(ns|us|ms|s|m|h)") ? "7m" : "other";
    case "array":
      return [items.type === "string" ? items.enum?.[0] ?? "other" : { name: "other" }];
    case "object":
      return schemaOf(path).properties?.enabled === undefined ? { other: "x" } : { failureThreshold: 7 };
  }
  throw new Error(`Cannot think of another value for "${dotted}"`);
}

/** Not changed on their own: a headless Service has one type, and without buildkitd there has to be a target. */
const FIXED = ["buildkitd.service.type", "buildkitd.enabled"];

/** Refused with a CA of clients: everybody would get in. */
const NOT_ALONE = ["autoscaler.tls.enabled"];

const read = entries.filter(({ path }) => path[0] !== "global" && !FIXED.includes(path.join(".")));

Deno.test("chart: every value that is changed on its own changes what is rendered", async () => {
  for (const entry of read.filter(({ path }) => !NOT_ALONE.includes(path.join(".")))) {
    const base = contextOf(entry.path);
    const now = pick(base, entry.path) ?? entry.default;
    const changed = merged(base, at(entry.path, another(entry, now)));
    assert.notEqual(await helm.template(changed), await render(base), entry.path.join("."));
  }
});

/** Lines of `actual` beyond those of `base`. */
function newLines(base: string, actual: string): string[] {
  const rest = base.split("\n");
  return actual.split("\n").filter((line) => {
    const index = rest.indexOf(line);
    if (index >= 0) rest.splice(index, 1);
    return index < 0;
  });
}

Deno.test("chart: every number is written in full when it is large, and as 0 where that is allowed", async () => {
  // The number of builders is not written: it is how many there are.
  const numbers = read.filter(({ path }) =>
    [schemaOf(path).type].flat().includes("integer") && path.join(".") !== "buildkitd.builders"
  );
  assert.ok(numbers.length > 10, `${numbers.length} numbers`);
  for (const { path } of numbers) {
    const { minimum, maximum = 1_000_000 } = schemaOf(path);
    const base = merged(
      contextOf(path),
      at(path, minimum + 1 <= maximum ? Math.min(minimum + 1, maximum) : minimum),
    );
    for (const value of [maximum, ...(minimum === 0 ? [0] : [])]) {
      const lines = newLines(await render(base), await helm.template(merged(base, at(path, value))));
      const expected = new RegExp(`\\b${value}\\b`);
      const same = pick(base, path) === value;
      assert.ok(
        same || lines.some((line) => expected.test(line)),
        `${path.join(".")} ${value}: ${lines.join("\n")}`,
      );
    }
    if (minimum > 0) {
      await assert.rejects(helm.template(merged(base, at(path, 0))), /minimum: got 0|want/, path.join("."));
    }
  }
});

Deno.test("chart: every list, map and optional value can be taken away, and no other", async () => {
  const required = (path: readonly string[]) =>
    schemaOf(path.slice(0, -1)).required?.includes(path.at(-1)) ?? false;
  let optional = 0;
  for (const { path } of read) {
    const values = merged(contextOf(path), at(path, null));
    if (required(path)) {
      await assert.rejects(
        helm.template(values),
        new RegExp(`missing property '${path.at(-1)}'`),
        path.join("."),
      );
    } else {
      await helm.template(values);
      optional += 1;
    }
  }
  assert.ok(optional > 50, `${optional} optional values`);
});
