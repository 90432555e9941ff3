/** Tests of the port through which the parts of one builder record. @module */
import assert from "node:assert/strict";
import { builderMetrics, type Metrics } from "../../../lib/base/metrics.ts";

Deno.test("builderMetrics() adds the builder's name to the metrics that have it, and to no other", () => {
  const recorded: unknown[] = [];
  const all: Metrics = { record: (...one) => void recorded.push(one) };
  const metrics = builderMetrics(all, "buildkitd-b2");
  metrics.record("replicas_desired", 2, {});
  metrics.record("scale_writes_total", 1, { direction: "up", reason: "join" });
  metrics.record("sessions_open", 3, {});
  metrics.record("watch_restarts_total", 1, { resource: "leases", cause: "ended" });
  assert.deepEqual(recorded, [
    ["replicas_desired", 2, { builder: "buildkitd-b2" }],
    ["scale_writes_total", 1, { builder: "buildkitd-b2", direction: "up", reason: "join" }],
    ["sessions_open", 3, {}],
    ["watch_restarts_total", 1, { resource: "leases", cause: "ended" }],
  ]);
});
