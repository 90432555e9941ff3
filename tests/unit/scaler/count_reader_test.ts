/** Tests of reading the count where the API's versions may have gone back. @module */
import assert from "node:assert/strict";
import { VERIFIED_AFTER_MS } from "../../../lib/scaler/suspects.ts";
import { CountReader } from "../../../lib/scaler/count_reader.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { FakeScale } from "../../support/fake_scale.ts";
import { readyPod } from "../../support/ha.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const SIGNAL = new AbortController().signal;

function setUp() {
  const clock = new VirtualClock();
  const scale = new FakeScale(1);
  const log = recordingLog();
  const placement = new Placement(clock, 1, "pod");
  let restored = 0;
  const reader = new CountReader({ scale, placement, log, onRestored: () => restored++ });
  placement.see({ replicas: 1, version: String(scale.version) });
  readyPod(placement);
  return { clock, scale, log, placement, reader, restored: () => restored };
}

Deno.test("CountReader takes note of what it reads", async () => {
  const { scale, placement, reader, restored } = setUp();
  scale.set(0);
  assert.deepEqual(await reader.read(SIGNAL), { replicas: 0, version: "101" });
  assert.deepEqual(placement.agreement.seen, { replicas: 0, version: "101" });
  assert.equal(restored(), 0);
});

Deno.test("CountReader, two reads that are older than what was seen before: it forgets, and places nothing until it has claimed", async () => {
  const { clock, scale, log, placement, reader, restored } = setUp();
  placement.promise({ below: 0, version: "100" });
  scale.version = 40;
  assert.deepEqual(await reader.read(SIGNAL), { replicas: 1, version: "40" });
  assert.equal(restored(), 1);
  assert.equal(log.of("resource_versions_regressed").length, 1);
  assert.deepEqual(placement.agreement, {
    seen: { replicas: 1, version: "40" },
    promises: [{ below: 0, version: "40" }],
  });
  assert.equal(placement.open(1, true), undefined);
  placement.see(await scale.apply({ replicas: 1, version: "40" }, "claim", SIGNAL), "40");
  assert.equal(placement.open(2, true), undefined, "a count that was not seen may have made the pod suspect");
  placement.pods.settled();
  await clock.advance(VERIFIED_AFTER_MS);
  assert.ok(placement.open(3, true) !== undefined);
});

Deno.test("CountReader believes no single old read", async () => {
  const { scale, placement, reader, restored } = setUp();
  const real = scale.read.bind(scale);
  let reads = 0;
  scale.read = async () => (reads++ === 0 ? { replicas: 0, version: "40" } : await real());
  assert.deepEqual(await reader.read(SIGNAL), { replicas: 1, version: "100" });
  assert.equal(restored(), 0);
  assert.deepEqual(placement.agreement.seen, { replicas: 1, version: "100" });
});

Deno.test("CountReader: what a watch was quicker to tell does not make a read old", async () => {
  const { scale, placement, reader, restored } = setUp();
  const { promise: answered, resolve: answers } = Promise.withResolvers<void>();
  scale.fates({ after: answered });
  const reading = reader.read(SIGNAL);
  await Promise.resolve();
  await Promise.resolve();
  scale.set(0);
  placement.see({ replicas: 0, version: "101" }, "watch");
  answers();
  assert.deepEqual(await reading, { replicas: 1, version: "100" });
  assert.equal(restored(), 0);
  assert.deepEqual(placement.agreement.seen, { replicas: 0, version: "101" });
});
