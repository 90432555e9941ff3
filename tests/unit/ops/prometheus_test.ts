/**
 * The metrics as Prometheus reads them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { METRICS } from "../../../lib/base/metrics.ts";
import { processFacts } from "../../../lib/ops/process_facts.ts";
import { labelCombinations, prometheusMetrics } from "../../../lib/ops/prometheus.ts";

async function valueOf(metrics: { text(): Promise<string> }, series: string): Promise<number | undefined> {
  const line = (await metrics.text()).split("\n").find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

Deno.test("prometheusMetrics() shows every metric of the table with its help and type", async () => {
  const text = await prometheusMetrics().text();
  for (const [name, { type, help }] of Object.entries(METRICS)) {
    assert.ok(text.includes(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`), name);
  }
});

Deno.test("prometheusMetrics() has every combination of closed labels from the start, at 0", async () => {
  const metrics = prometheusMetrics();
  const series = (await metrics.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  for (const line of series) assert.match(line, / 0$/);
  const writes = series.filter((line) => line.startsWith("buildkitd_autoscaler_scale_writes_total{"));
  assert.equal(writes.length, 3 * METRICS.buildkitd_autoscaler_scale_writes_total.labels.reason.length);
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
