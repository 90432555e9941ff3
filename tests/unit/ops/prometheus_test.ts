/**
 * The metrics as Prometheus reads them.
 *
 * @module
 */
import assert from "node:assert/strict";
import process from "node:process";
import { METRICS } from "../../../lib/base/metrics.ts";
import { processFacts } from "../../../lib/ops/process_facts.ts";
import { labelCombinations, prometheusMetrics } from "../../../lib/ops/prometheus.ts";

async function valueOf(metrics: { text(): Promise<string> }, series: string): Promise<number | undefined> {
  const line = (await metrics.text()).split("\n").find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

/**
 * What dashboards and alerts of users are made of: type, name, and the labels of a series. A row is changed only together
 * with a line in the changelog.
 */
const SERIES = `
  counter sessions_opened_total
  counter sessions_ended_total outcome=completed|client_left|timed_out|idle_timeout|limited|upstream_reset|drain_timeout
  gauge sessions_open
  gauge sessions_held
  gauge sessions_limit
  gauge descriptors_free
  gauge hold_bytes
  histogram hold_seconds
  gauge sessions_queued
  histogram queue_seconds
  histogram connect_seconds
  histogram cold_start_seconds builder=b;phase=scale_write|pod_address|ready|first_byte
  counter bytes_total direction=upstream|downstream
  counter dial_errors_total builder=b
  counter accept_errors_total cause=exhausted|client|other
  counter scale_writes_total builder=b;direction=up|same|down;reason=held_session
  gauge replicas_desired builder=b
  gauge replicas_observed builder=b
  gauge builder_sessions builder=b
  gauge builder_state builder=b;state=missing|ready|stuck|starting|unknown|asleep
  counter routed_total builder=b;why=home|sibling|overflow|shared|moved|queued|unusable
  gauge leader
  gauge proxies_alive builder=b
  gauge member_state builder=b;state=joining|joined|cut_off|alone
  counter api_requests_total verb=get|list|watch|create|update|patch|delete
`.trim().split("\n").map((line) => line.trim().split(" "));

for (const [type, name, labels = ""] of SERIES) {
  Deno.test(`prometheusMetrics() shows the ${type} ${name} with its help and its labels`, async () => {
    const full = `buildkitd_autoscaler_${name}`;
    const metrics = prometheusMetrics();
    metrics.expectBuilders(["b"]);
    const text = await metrics.text();
    assert.match(text, new RegExp(`^# HELP ${full} [A-Z0-9].*\\.\n# TYPE ${full} ${type}\n`, "m"));
    const values = Object.fromEntries(
      labels.split(";").filter(Boolean).map((label) => label.split("=")).map((
        [label, values],
      ) => [label, values!.split("|")]),
    );
    for (const combination of labelCombinations(values)) {
      const pairs = Object.entries(combination).map(([label, value]) => `${label}="${value}"`);
      const series = `${full}${type === "histogram" ? "_count" : ""}${pairs.length ? `{${pairs}}` : ""}`;
      assert.ok(text.includes(`\n${series} 0\n`), series);
    }
  });
}

Deno.test("prometheusMetrics() shows nothing that the table, and so the documents, do not name", async () => {
  const names = [...(await prometheusMetrics().text()).matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name);
  assert.deepEqual(names.sort(), Object.keys(METRICS).sort());
});

Deno.test("prometheusMetrics() counts with the labels that are open", async () => {
  const metrics = prometheusMetrics();
  metrics.record("watch_restarts_total", 2, { resource: "leases", cause: "silent" });
  metrics.record("scale_writes_total", 3, { builder: "b", direction: "up", reason: "join" });
  metrics.record("build_info", 1, { version: "1.2.3", deno: "2.9.6" });
  const prefix = "buildkitd_autoscaler_";
  assert.equal(await valueOf(metrics, `${prefix}watch_restarts_total{resource="leases",cause="silent"}`), 2);
  assert.equal(
    await valueOf(metrics, `${prefix}scale_writes_total{builder="b",direction="up",reason="join"}`),
    3,
  );
  assert.equal(await valueOf(metrics, `${prefix}build_info{version="1.2.3",deno="2.9.6"}`), 1);
});

Deno.test("prometheusMetrics() has every combination of closed labels from the start, at 0", async () => {
  const metrics = prometheusMetrics();
  metrics.expectBuilders(["a", "b"]);
  const series = (await metrics.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  for (const line of series) assert.match(line, / 0$/);
  const writes = series.filter((line) => line.startsWith("buildkitd_autoscaler_scale_writes_total{"));
  assert.equal(writes.length, 2 * 3 * METRICS.buildkitd_autoscaler_scale_writes_total.labels.reason.length);
  assert.equal(series.some((line) => line.startsWith("buildkitd_autoscaler_api_errors_total")), false);
});

Deno.test("prometheusMetrics() counts, sets and observes", async () => {
  const metrics = prometheusMetrics();
  metrics.record("sessions_ended_total", 1, { outcome: "completed" });
  metrics.record("sessions_ended_total", 2, { outcome: "completed" });
  metrics.record("sessions_open", 5, {});
  metrics.record("sessions_open", 4, {});
  metrics.record("hold_seconds", 0.5, {});
  metrics.record("api_errors_total", 1, { verb: "get", code: "403" });
  const prefix = "buildkitd_autoscaler_";
  assert.equal(await valueOf(metrics, `${prefix}sessions_ended_total{outcome="completed"}`), 3);
  assert.equal(await valueOf(metrics, `${prefix}sessions_open`), 4);
  assert.equal(await valueOf(metrics, `${prefix}hold_seconds_count`), 1);
  assert.equal(await valueOf(metrics, `${prefix}hold_seconds_bucket{le="0.25"}`), 0);
  assert.equal(await valueOf(metrics, `${prefix}hold_seconds_bucket{le="0.5"}`), 1);
  assert.equal(await valueOf(metrics, `${prefix}api_errors_total{verb="get",code="403"}`), 1);
});

Deno.test("prometheusMetrics() goes on with its counts after they were read, and shows the last value of a gauge", async () => {
  const metrics = prometheusMetrics();
  for (const total of [1, 3]) {
    metrics.record("sessions_ended_total", total === 1 ? 1 : 2, { outcome: "completed" });
    for (const open of [7, total]) metrics.record("sessions_open", open, {});
    for (let reads = 0; reads < 2; reads++) {
      const text = await metrics.text();
      assert.match(text, new RegExp(`sessions_ended_total\\{outcome="completed"\\} ${total}\n`));
      assert.match(text, new RegExp(`sessions_open ${total}\n`));
    }
  }
});

Deno.test("prometheusMetrics() never throws for a wrong figure", async () => {
  const metrics = prometheusMetrics();
  for (const value of [NaN, Infinity, -1]) {
    metrics.record("sessions_opened_total", value, {});
    metrics.record("hold_seconds", NaN, {});
  }
  assert.equal(await valueOf(metrics, "buildkitd_autoscaler_sessions_opened_total"), 0);
});

Deno.test("prometheusMetrics() keeps instances apart", async () => {
  const [a, b] = [prometheusMetrics(), prometheusMetrics()];
  a.record("sessions_opened_total", 1, {});
  assert.equal(await valueOf(a, "buildkitd_autoscaler_sessions_opened_total"), 1);
  assert.equal(await valueOf(b, "buildkitd_autoscaler_sessions_opened_total"), 0);
});

Deno.test("prometheusMetrics() reads the process anew each time", async () => {
  let cpuSeconds = 1;
  const metrics = prometheusMetrics(() => ({ residentBytes: 5, heapBytes: 4, cpuSeconds, startSeconds: 3 }));
  assert.equal(await valueOf(metrics, "process_cpu_seconds_total"), 1);
  cpuSeconds = 2;
  assert.equal(await valueOf(metrics, "process_cpu_seconds_total"), 2);
  assert.equal(await valueOf(metrics, "process_resident_memory_bytes"), 5);
  assert.equal(await valueOf(metrics, "process_start_time_seconds"), 3);
});

Deno.test("prometheusMetrics() shows what is known of the process with type and help, if anything is", async () => {
  const facts = { residentBytes: 5, heapBytes: 4, cpuSeconds: 2, startSeconds: 3 };
  const [without, text] = [await prometheusMetrics().text(), await prometheusMetrics(() => facts).text()];
  const lines = new Set(without.split("\n"));
  assert.deepEqual(text.split("\n").filter((line) => !lines.has(line)), [
    "# HELP process_resident_memory_bytes Resident memory of the process.",
    "# TYPE process_resident_memory_bytes gauge",
    "process_resident_memory_bytes 5",
    "# HELP process_heap_bytes JavaScript heap in use.",
    "# TYPE process_heap_bytes gauge",
    "process_heap_bytes 4",
    "# HELP process_cpu_seconds_total CPU time of the process, user and system.",
    "# TYPE process_cpu_seconds_total counter",
    "process_cpu_seconds_total 2",
    "# HELP process_start_time_seconds When the process started, in seconds since the epoch.",
    "# TYPE process_start_time_seconds gauge",
    "process_start_time_seconds 3",
  ]);
});

Deno.test("processFacts() counts CPU time in seconds, of user and system together", () => {
  const { user, system } = process.cpuUsage();
  const { cpuSeconds } = processFacts(0)();
  const after = process.cpuUsage();
  assert.ok(cpuSeconds >= (user + system) / 1e6);
  assert.ok(cpuSeconds <= (after.user + after.system) / 1e6);
});

Deno.test("processFacts() knows this process", () => {
  const facts = processFacts(2_000)();
  assert.equal(facts.startSeconds, 2);
  assert.ok(facts.residentBytes > 10_000_000 && facts.heapBytes > 100_000 && facts.cpuSeconds > 0);
});

Deno.test("labelCombinations() makes none where a set is open", () => {
  assert.deepEqual(labelCombinations({}), [{}]);
  assert.deepEqual(labelCombinations({ a: ["1", "2"], b: ["3"] }), [{ a: "1", b: "3" }, { a: "2", b: "3" }]);
  assert.deepEqual(labelCombinations({ a: ["1"], b: "any" }), []);
});
