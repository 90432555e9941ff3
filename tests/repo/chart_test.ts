/**
 * What holds for the chart without helm: every value is described, read and in the schema, versions agree, and the
 * values of the chart that it replaces are there with their defaults. What it renders is tested in `tests/chart`.
 *
 * @module
 */
import assert from "node:assert/strict";
import { load } from "js-yaml";
import { CONFIG_PATH } from "../../lib/config/chart_fragments.ts";
import { settingRows } from "../../lib/config/settings.ts";
import { chartTemplates, usedValues, valueViolations } from "./chart_templates.ts";
import { type ChartValueEntry, chartValues } from "./chart_values.ts";
import { metricViolations } from "./documents.ts";
import { ROOT } from "./generated.ts";

const CHART = new URL("helm/buildkitd-stack/", ROOT);
const read = (path: string) => Deno.readTextFile(new URL(path, CHART));
const entries = chartValues(await read("values.yaml"));
const templates = await chartTemplates(CHART);

function entry(path: string, preset: unknown = ""): ChartValueEntry {
  return { path: path.split("."), default: preset, description: "x" };
}

Deno.test("repo: every value of the chart is read by a template, and every value that one reads is declared", () => {
  const used = new Set([...templates.values()].flatMap((template) => [...usedValues(template)]));
  assert.ok(used.size > 100, "the templates were found");
  assert.deepEqual(valueViolations(entries, used), []);
});

Deno.test("valueViolations() finds what is not read, not declared, and not in a map's default", () => {
  const declared = [entry("a.b"), entry("a.c"), entry("probe", { enabled: true })];
  assert.deepEqual(valueViolations(declared, new Set(["a", "probe.enabled"])), []);
  assert.equal(valueViolations(declared, new Set(["a.b", "probe"])).length, 1);
  assert.equal(valueViolations(declared, new Set(["a", "probe", "d"])).length, 1);
  assert.equal(valueViolations(declared, new Set(["a", "probe.seconds"])).length, 1);
});

Deno.test("usedValues() reads whole paths, and nothing in comments", () => {
  const template = "{{/* .Values.no */}}{{ if .Values.a.b }}{{ $.Values.c | quote }}{{- /* .Values.no */ -}}";
  assert.deepEqual([...usedValues(template)], ["a.b", "c"]);
});

Deno.test("chartValues() joins the lines of a description and wants one for every value", () => {
  const yaml = "# Not this.\na:\n  # -- One\n  # two.\n  b: 1\n  # -- A map.\n  c:\n    d: x\n";
  assert.deepEqual(chartValues(yaml), [
    { path: ["a", "b"], default: 1, description: "One two." },
    { path: ["a", "c"], default: { d: "x" }, description: "A map." },
  ]);
  assert.throws(() => chartValues("a:\n  b: 1\n"), /Nothing describes the value "a\.b"/);
});

Deno.test("repo: the chart has the program's version", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const chart = load(await read("Chart.yaml")) as Record<string, unknown>;
  assert.equal(chart.version, version);
  assert.equal(chart.appVersion, version);
  const { "artifacthub.io/images": images } = chart.annotations as Record<string, string>;
  assert.match(images!, new RegExp(`:${version.replaceAll(".", "\\.")}\n$`));
});

Deno.test("repo: the chart's annotations list changes for Artifact Hub, and its icon is in the repository", async () => {
  const chart = load(await read("Chart.yaml")) as { icon: string; annotations: Record<string, string> };
  const changes = load(chart.annotations["artifacthub.io/changes"]!) as Record<string, string>[];
  assert.ok(changes.length > 0);
  for (const { kind, description } of changes) {
    assert.match(kind!, /^(?:added|changed|deprecated|removed|fixed|security)$/);
    assert.equal(typeof description, "string");
  }
  const icon = /\/main\/(.+)$/.exec(chart.icon)?.[1];
  assert.match(await Deno.readTextFile(new URL(icon!, ROOT)), /^<svg xmlns=/);
});

/** Those of the Go autoscaler's chart: first what its README documents, then those that have another name here. */
const REPLACED: Readonly<Record<string, unknown>> = {
  "autoscaler.namespaceOverride": "",
  "autoscaler.namespace.create": false,
  "autoscaler.autoscalerConfig.proxyListenAddr": ":8372",
  "autoscaler.autoscalerConfig.scaleDownIdleTimeout": "2m0s",
  "autoscaler.autoscalerConfig.readyWaitTimeout": "5m0s",
  "autoscaler.autoscalerConfig.logLevel": "debug",
  "autoscaler.service.type": "ClusterIP",
  "autoscaler.service.port": 8372,
  "buildkitd.replicaCount": 0,
  "buildkitd.image.repository": "earthly/buildkitd",
  "buildkitd.image.tag": "v0.8.15",
  "buildkitd.persistence.enabled": true,
  "buildkitd.persistence.size": "50Gi",
  "buildkitd.persistence.storageClassName": "",
  "buildkitd.service.port": 8372,
  "buildkitd.resources": {},
  "buildkitd.podAnnotations": {},
  "buildkitd.extraEnvVars": [],
  "buildkitd.initContainers": [],
  "buildkitd.nodeSelector": {},
  "buildkitd.tolerations": [],
  "buildkitd.affinity": {},
  "autoscaler.imagePullSecrets": [],
  "autoscaler.nameOverride": "",
  "autoscaler.service.targetPort": "",
  "buildkitd.dnsPolicy": "",
  "buildkitd.dnsConfig": {},
  "buildkitd.containerSecurityContext": {},
  "buildkitd.volumes": [],
  "buildkitd.volumeMounts": [],
  "buildkitd.persistence.mountPath": "",
  "buildkitd.service.type": "ClusterIP",
  "buildkitd.service.portName": "tcp-buildkit",
};
const REPLACED_ONLY_BY_NAME = [
  "autoscaler.image.repository",
  "autoscaler.image.tag",
  "autoscaler.image.pullPolicy",
  "autoscaler.resources",
];

Deno.test("repo: the chart has the values of the one that it replaces, with their defaults", () => {
  const own = new Map(entries.map(({ path, default: preset }) => [path.join("."), preset]));
  for (const [path, preset] of Object.entries(REPLACED)) assert.deepEqual(own.get(path), preset, path);
  for (const path of REPLACED_ONLY_BY_NAME) assert.ok(own.has(path), path);
});

/** Those that are no value of `autoscalerConfig`, in the table's order. */
const NOT_A_VALUE = [
  "--upstream-tls-ca",
  "--upstream-tls-cert",
  "--upstream-tls-key",
  "--upstream-tls-server-name",
  "--tls-listen-addr",
  "--tls-cert",
  "--tls-key",
  "--tls-client-ca",
  "--tls-client-names",
  "--proxy-protocol",
  "--proxy-protocol-from",
  "--sts-name",
  "--sts-namespace",
  "--headless-service-name",
  "--target-port",
  "--builders",
  "--listeners",
  "--cordoned",
  "--max-replicas",
  "--kubeconfig",
  "--context",
];

/** Those of them that the chart does not set: what only makes sense outside a cluster. */
const NOT_SET = ["--kubeconfig", "--context"];

Deno.test("repo: every setting of the program is a value of the chart, or set by it", () => {
  const values = new Set(entries.map(({ path }) => path.join(".")));
  const without = settingRows().filter(([, { chart }]) => !values.has(`${CONFIG_PATH}.${chart?.key}`));
  assert.deepEqual(without.map(([, { flag }]) => flag), NOT_A_VALUE);
  const files = ["_environment.tpl", "_upstream_tls.tpl", "_tls_listener.tpl"];
  const environment = files.map((name) => templates.get(name)!).join("");
  for (const [, { flag, variable }] of without) {
    assert.equal(environment.includes(`- name: ${variable}\n`), !NOT_SET.includes(flag), variable);
  }
});

Deno.test("repo: the chart's alerts name metrics that exist", () => {
  const alerts = templates.get("_alert_rules.tpl")!;
  assert.ok(alerts.includes("buildkitd_autoscaler_"));
  assert.deepEqual(metricViolations({ path: "_alert_rules.tpl", text: alerts }), []);
});

Deno.test("repo: the chart's Role has the rules that the end-to-end suite grants, and the optional one", async () => {
  const fixture = await Deno.readTextFile(new URL("tests/e2e/scenario.ts", ROOT));
  const literal = /DOCUMENTED_RULES: readonly RbacRule\[\] = (\[[\s\S]*?\n\]);/.exec(fixture)?.[1];
  assert.ok(literal !== undefined, "the fixture's rules were found");
  const rules = templates.get("_access.tpl")!
    .replace(/^[\s\S]*define "buildkitd-stack\.autoscaler\.rules" -\}\}\n/, "rules:\n")
    // Not what a proxy that only observes gets.
    .replace(
      /\{\{- if include "buildkitd-stack\.autoscaler\.observes" \. \}\}\n[\s\S]*?\{\{- else \}\}\n/,
      "",
    )
    .replace(/^ *(?:resourceNames: .*|\{\{.*\}\})\n?/gm, "");
  const optional = { apiGroups: [""], resources: ["pods"], verbs: ["get"] };
  assert.deepEqual(load(rules), { rules: [...load(literal) as unknown[], optional] });
});
