/**
 * The alerts in Prometheus' own test of rules: promtool reads what the chart and the documents have, and each alert fires
 * for its fault and for no other, in time that promtool simulates. In a real Prometheus, with real faults, `tests/e2e` looks
 * at most of them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { alertGroups, DEFAULT_SITE } from "../../lib/ops/alert_files.ts";
import { alertRules, ALERTS } from "../../lib/ops/alert_table.ts";
import { CHART, Helm } from "./helm.ts";
import { promtool } from "./promtool.ts";
import { VALUE_SETS } from "./value_sets.ts";

const EXAMPLE = fileURLToPath(new URL("../../docs/examples/prometheus/alerts.yaml", import.meta.url));
const PREFIX = "buildkitd_autoscaler_";

Deno.test("alerts: promtool reads the rules of the documents, and refuses wrong ones", async () => {
  await promtool({}, "check", "rules", EXAMPLE);
  const broken = alertGroups({ ...DEFAULT_SITE, targets: "job=" });
  await assert.rejects(promtool({ "rules.yaml": broken }, "check", "rules", "rules.yaml"), /parse/);
});

Deno.test("alerts: promtool reads the rules that the chart makes, whatever the values", async () => {
  const helm = await Helm.of("helm");
  const monitored = { serviceMonitor: { enabled: true }, prometheusRule: { enabled: true } };
  const cases = [...VALUE_SETS.values(), { autoscaler: { metrics: monitored } }];
  let found = 0;
  for (const values of cases) {
    for (const { kind, spec } of (await helm.objects(values)).values()) {
      if (kind !== "PrometheusRule") continue;
      found++;
      await promtool({ "rules.yaml": spec }, "check", "rules", "rules.yaml");
    }
  }
  assert.ok(found >= 3, "the rules were found");
});

/** Series by name and labels; values in promtool's notation, one each half minute. */
type World = Readonly<Record<string, string>>;

const TARGET = 'job="buildkitd-autoscaler",instance="10.0.0.1:8081"';
const LABELS = { instance: "10.0.0.1:8081" };

function of(name: string, labels = ""): string {
  return `${PREFIX}${name}{${labels}${TARGET}}`;
}

/** A proxy whose clients come and go, and one builder that is in use. */
const HEALTHY: World = {
  [`up{${TARGET}}`]: "1x200",
  [`process_start_time_seconds{${TARGET}}`]: "10x200",
  [of("sessions_ended_total", 'outcome="completed",')]: "0+3x200",
  [of("sessions_ended_total", 'outcome="client_left",')]: "0+1x200",
  [of("sessions_ended_total", 'outcome="timed_out",')]: "0x200",
  [of("sessions_ended_total", 'outcome="queue_timeout",')]: "0x200",
  [of("sessions_ended_total", 'outcome="limited",')]: "0x200",
  [of("sessions_ended_total", 'outcome="upstream_reset",')]: "0x200",
  [of("sessions_ended_total", 'outcome="failed",')]: "0x200",
  [of("sessions_broken_total")]: "0x200",
  [of("member_state", 'builder="b",state="joined",')]: "1x200",
  [of("member_state", 'builder="b",state="cut_off",')]: "0x200",
  [of("member_state", 'builder="b",state="joining",')]: "0x200",
  [of("builder_state", 'builder="b",state="ready",')]: "1x200",
  [of("builder_state", 'builder="b",state="missing",')]: "0x200",
  [of("builder_state", 'builder="b",state="stuck",')]: "0x200",
  [of("leader")]: "1x200",
  [of("observes")]: "0x200",
  // Another proxy was first.
  [of("api_errors_total", 'verb="patch",code="409",')]: "0+100x200",
  [of("api_errors_total", 'verb="get",code="none",')]: "0x200",
  [of("accept_errors_total", 'cause="client",')]: "0+10x200",
  [of("accept_errors_total", 'cause="exhausted",')]: "0x200",
  [of("sessions_open")]: "7x200",
  [of("sessions_held")]: "5x200",
  [of("sessions_limit")]: "10x200",
  [of("certificate_expiry_seconds")]: "1800000000x200",
  [of("sessions_queued")]: "1x20 0x180",
  [of("cold_start_seconds_bucket", 'builder="b",phase="ready",le="120",')]: "0+1x200",
  [of("cold_start_seconds_bucket", 'builder="b",phase="ready",le="240",')]: "0+1x200",
  [of("cold_start_seconds_bucket", 'builder="b",phase="ready",le="+Inf",')]: "0+1x200",
  [of("replicas_desired", 'builder="b",')]: "1x200",
  [of("replicas_observed", 'builder="b",')]: "1x200",
  [of("builder_sessions", 'builder="b",')]: "2x200",
  [of("routed_total", 'builder="b",why="shared",')]: "0x200",
  [of("routed_total", 'builder="b",why="queued",')]: "0x200",
  // Somebody scales by hand now and then.
  [of("replicas_changed_externally_total", 'builder="b",')]: "0x40 1x40 2x120",
};

interface Fault {
  /** What is different; undefined is a series that is not there. */
  readonly changes: Readonly<Record<string, string | undefined>>;
  /** Labels of the alert, beside its severity. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** One or more faults of each alert. */
const FAULTS: Readonly<Record<string, readonly Fault[]>> = {
  BuildkitdAutoscalerDown: [
    { changes: { [`up{${TARGET}}`]: "0x200" } },
    { changes: { [`up{${TARGET}}`]: undefined } },
  ],
  BuildkitdAutoscalerRestarts: [
    { changes: { [`process_start_time_seconds{${TARGET}}`]: "10x70 20x3 30x3 40x120" }, labels: LABELS },
  ],
  BuildkitdAutoscalerFailed: [endedBy("failed")],
  BuildkitdAutoscalerCutOff: ["joining", "cut_off"].map((state) => ({
    changes: {
      [of("member_state", 'builder="b",state="joined",')]: "0x200",
      [of("member_state", `builder="b",state="${state}",`)]: "1x200",
    },
    labels: { ...LABELS, builder: "b", state },
  })),
  BuildkitdAutoscalerNoLeader: [{ changes: { [of("leader")]: "0x200" } }],
  BuildkitdAutoscalerApiErrors: [
    { changes: { [of("api_errors_total", 'verb="get",code="none",')]: "0+6x200" } },
  ],
  BuildkitdAutoscalerAcceptErrors: [
    { changes: { [of("accept_errors_total", 'cause="exhausted",')]: "0x85 1x115" } },
  ],
  BuildkitdAutoscalerNearLimit: [
    { changes: { [of("sessions_open")]: "9x200" }, labels: LABELS },
    { changes: { [of("sessions_held")]: "900x200" }, labels: LABELS },
  ],
  BuildkitdCertificateExpires: [
    { changes: { [of("certificate_expiry_seconds")]: "600000x200" }, labels: LABELS },
    // It has expired.
    { changes: { [of("certificate_expiry_seconds")]: "1x200" }, labels: LABELS },
  ],
  BuildkitdClientsTimedOut: [endedBy("timed_out"), endedBy("queue_timeout")],
  BuildkitdClientsRefused: [endedBy("limited")],
  BuildkitdClientsQueue: [{ changes: { [of("sessions_queued")]: "1x200" } }],
  BuildkitdBroke: [{ changes: { [of("sessions_broken_total")]: "0x85 1x115" } }],
  BuildkitdBuilderUnusable: ["missing", "stuck"].map((state) => ({
    changes: {
      [of("builder_state", 'builder="b",state="ready",')]: "0x200",
      // For no longer than the program remembers what is stuck.
      [of("builder_state", `builder="b",state="${state}",`)]: "0x75 1x125",
    },
    labels: { builder: "b", state },
  })),
  BuildkitdColdStartSlow: [
    { changes: { [of("cold_start_seconds_bucket", 'builder="b",phase="ready",le="120",')]: "0x200" } },
  ],
  BuildkitdScalingStuck: [
    {
      changes: { [of("replicas_desired", 'builder="b",')]: "2x200" },
      labels: { ...LABELS, builder: "b" },
    },
  ],
  BuildkitdReplicasContested: [
    {
      // Once in ten minutes.
      changes: { [of("replicas_changed_externally_total", 'builder="b",')]: "0x20 1x20 2x20 3x20 4x120" },
      labels: { builder: "b" },
    },
  ],
  BuildkitdIdle: [
    { changes: { [of("builder_sessions", 'builder="b",')]: "0x200" }, labels: { builder: "b" } },
  ],
};

/** One session ended in that way some minutes before the end. */
function endedBy(outcome: string): Fault {
  return { changes: { [of("sessions_ended_total", `outcome="${outcome}",`)]: "0x85 1x115" } };
}

/** When promtool looks: after 44 minutes all alerts that wait for half an hour or less have had their time. */
const AT = "44m";

/** What promtool is to find: this alert with these labels, and no other. */
function testOf(world: World, name?: string, labels: Readonly<Record<string, string>> = {}): unknown {
  const rules = alertRules({ ...DEFAULT_SITE, label: (label) => labels[label] ?? "" });
  return {
    interval: "30s",
    input_series: Object.entries(world).map(([series, values]) => ({ series, values })),
    alert_rule_test: rules.map(({ alert, labels: own, annotations }) => ({
      eval_time: AT,
      alertname: alert,
      exp_alerts: alert === name ? [{ exp_labels: { ...own, ...labels }, exp_annotations: annotations }] : [],
    })),
  };
}

function test(...tests: readonly unknown[]): Promise<void> {
  const all = { rule_files: [EXAMPLE], evaluation_interval: "30s", tests };
  return promtool({ "test.yaml": all }, "test", "rules", "test.yaml");
}

Deno.test("alerts: none fires while all is well, and promtool notices one that is wanted in vain", async () => {
  await test(testOf(HEALTHY));
  await assert.rejects(test(testOf(HEALTHY, "BuildkitdAutoscalerNoLeader")), /FAILED/);
});

Deno.test("alerts: each has a fault", () => {
  assert.deepEqual(Object.keys(FAULTS), Object.keys(ALERTS));
});

for (const [name, faults] of Object.entries(FAULTS)) {
  Deno.test(`alerts: ${name} fires for its fault, and no other does`, async () => {
    await test(...faults.map(({ changes, labels }) => {
      const world = Object.entries({ ...HEALTHY, ...changes }).filter(([, values]) => values !== undefined);
      return testOf(Object.fromEntries(world) as World, name, labels);
    }));
  });
}

Deno.test("alerts: a builder that is not there is missing, and its proxy is not cut off", async () => {
  await test(testOf(
    {
      ...HEALTHY,
      [of("member_state", 'builder="b",state="joined",')]: "0x200",
      [of("member_state", 'builder="b",state="joining",')]: "1x200",
      [of("builder_state", 'builder="b",state="ready",')]: "0x200",
      [of("builder_state", 'builder="b",state="missing",')]: "1x200",
    },
    "BuildkitdBuilderUnusable",
    { builder: "b", state: "missing" },
  ));
});

Deno.test("alerts: a builder is not idle whose builds are all gone before a scrape", async () => {
  await test(testOf({
    ...HEALTHY,
    [of("builder_sessions", 'builder="b",')]: "0x200",
    [of("routed_total", 'builder="b",why="shared",')]: "0x19 1x19 2x19 3x19 4x120",
  }));
});

Deno.test("alerts: none fires in observe mode for a count that is not as wanted, and for a builder that nobody uses", async () => {
  await test(testOf({
    ...HEALTHY,
    [of("observes")]: "1x200",
    [of("replicas_desired", 'builder="b",')]: "0x200",
    [of("builder_sessions", 'builder="b",')]: "0x200",
  }));
});

Deno.test("chart: alerts of two releases differ in namespace and job, and each is about its own proxies", async () => {
  const helm = await Helm.of("helm");
  const metrics = { serviceMonitor: { enabled: true }, prometheusRule: { enabled: true } };
  const specs: Record<string, unknown> = {};
  const targets: Record<string, string>[] = [];
  for (const namespace of ["one", "two"]) {
    const objects = await helm.objects({ autoscaler: { metrics } }, CHART, ["ci", "--namespace", namespace]);
    const { spec, metadata } = [...objects.values()].find(({ kind }) => kind === "PrometheusRule")!;
    // Both have the same name of group.
    specs[`${namespace}.yaml`] = spec;
    targets.push({ namespace, job: `${metadata.name}-metrics` });
  }
  const inReleases = (...up: readonly number[]) => ({
    interval: "30s",
    input_series: targets.flatMap(({ namespace, job }, i) => {
      const labels = `namespace="${namespace}",job="${job}",instance="10.0.0.${i}:8081"`;
      return [
        { series: `up{${labels}}`, values: `${up[i]}x200` },
        { series: `${PREFIX}leader{${labels}}`, values: `${up[i]}x200` },
        { series: `${PREFIX}replicas_observed{builder="b",${labels}}`, values: "1x200" },
        { series: `${PREFIX}builder_sessions{builder="b",${labels}}`, values: `${up[i]}x200` },
      ];
    }),
    // An absent(), a sum without labels, and one by builder.
    promql_expr_test: ["Down", "NoLeader", "Idle"].map((name) => ({
      expr:
        `count by (namespace, job) (ALERTS{alertname=~"Buildkitd(Autoscaler)?${name}",alertstate="firing"})`,
      eval_time: AT,
      exp_samples: targets.filter((_, i) => up[i] === 0).map(({ namespace, job }) => ({
        labels: `{namespace="${namespace}",job="${job}"}`,
        value: 1,
      })),
    })),
  });
  const tests = [inReleases(1, 1), inReleases(0, 1), inReleases(0, 0)];
  const all = { rule_files: Object.keys(specs), evaluation_interval: "30s", tests };
  await promtool({ ...specs, "test.yaml": all }, "test", "rules", "test.yaml");
});
