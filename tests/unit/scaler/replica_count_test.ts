/** Tests of reading the count where the resourceVersions may have regressed, and of writing it. @module */
import assert from "node:assert/strict";
import type { Metrics } from "../../../lib/base/metrics.ts";
import { MANAGER } from "../../../lib/kube/scale.ts";
import { VERIFIED_AFTER_MS } from "../../../lib/scaler/suspects.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { ReplicaCount } from "../../../lib/scaler/replica_count.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { FakeScale } from "../../support/fake_scale.ts";
import { readyPod } from "../../support/ha.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { arrive } from "../../support/seating.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const SIGNAL = new AbortController().signal;

function setUp() {
  const clock = new VirtualClock();
  const scale = new FakeScale(1);
  const log = recordingLog();
  const placement = new Placement(clock, ONE_POD, "pod");
  const values = new Map<string, number>();
  const metrics: Metrics = {
    record: (name, value, labels) => void values.set([name, ...Object.values(labels)].join(" "), value),
  };
  const count = new ReplicaCount({ scale, placement, log, metrics, identity: "one" });
  let regressed = 0;
  count.onRegressed(() => regressed++);
  const see = () => placement.see({ replicas: 1, version: String(scale.version) });
  see();
  readyPod(placement);
  return { clock, scale, log, placement, values, count, see, regressed: () => regressed };
}

Deno.test("ReplicaCount.read() takes note of what it reads", async () => {
  const { scale, placement, count, regressed } = setUp();
  scale.set(0);
  assert.deepEqual(await count.read(SIGNAL), { replicas: 0, version: "101" });
  assert.deepEqual(placement.agreement.seen, { replicas: 0, version: "101" });
  assert.equal(regressed(), 0);
});

Deno.test("ReplicaCount.read(), two reads that are older than what was seen before: it forgets, and places nothing until it has claimed", async () => {
  const { clock, scale, log, placement, count, regressed } = setUp();
  placement.promise({ below: 0, version: "100" });
  scale.version = 40;
  assert.deepEqual(await count.read(SIGNAL), { replicas: 1, version: "40" });
  assert.equal(regressed(), 1);
  assert.equal(log.of("resource_versions_regressed").length, 1);
  assert.deepEqual(placement.agreement, {
    seen: { replicas: 1, version: "40" },
    promises: [{ below: 0, version: "40" }],
  });
  assert.equal(arrive(placement, 1), undefined);
  placement.see(await scale.apply({ replicas: 1, version: "40" }, "claim", SIGNAL), "40");
  assert.equal(arrive(placement, 2), undefined, "a count that was not seen may have made the pod suspect");
  placement.pods.settled();
  await clock.advance(VERIFIED_AFTER_MS);
  assert.ok(arrive(placement, 3) !== undefined);
});

Deno.test("ReplicaCount.read() believes no single old read", async () => {
  const { scale, placement, count, regressed } = setUp();
  const real = scale.read.bind(scale);
  let reads = 0;
  scale.read = async () => (reads++ === 0 ? { replicas: 0, version: "40" } : await real());
  assert.deepEqual(await count.read(SIGNAL), { replicas: 1, version: "100" });
  assert.equal(regressed(), 0);
  assert.deepEqual(placement.agreement.seen, { replicas: 1, version: "100" });
});

Deno.test("ReplicaCount.read(): what a watch was quicker to tell does not make a read old", async () => {
  const { scale, placement, count, regressed } = setUp();
  const { promise: answered, resolve: answers } = Promise.withResolvers<void>();
  scale.fates({ after: answered });
  const reading = count.read(SIGNAL);
  await Promise.resolve();
  await Promise.resolve();
  scale.set(0);
  placement.see({ replicas: 0, version: "101" }, "watch");
  answers();
  assert.deepEqual(await reading, { replicas: 1, version: "100" });
  assert.equal(regressed(), 0);
  assert.deepEqual(placement.agreement.seen, { replicas: 0, version: "101" });
});

Deno.test("ReplicaCount.isWriting() is true of a count while its write is under way, and no longer after a failure", async () => {
  const { clock, scale, count } = setUp();
  const { promise: before, resolve: goOn } = Promise.withResolvers<void>();
  scale.fates({ before });
  const purpose = { reason: "idle", because: "nothing is in use" } as const;
  const lowering = count.lower({ replicas: 1, version: "100" }, 0, purpose, SIGNAL);
  await clock.advance(0);
  assert.deepEqual([count.isWriting(0), count.isWriting(1)], [true, false]);
  goOn();
  await lowering;
  assert.equal(count.isWriting(0), false);
  scale.fates("lost");
  await assert.rejects(count.claim({ replicas: 0, version: "101" }, 1, purpose, SIGNAL), /no answer/);
  assert.equal(count.isWriting(1), false);
});

Deno.test("ReplicaCount claims under a name of its own each time, which begins with that of the program", async () => {
  const { scale, count } = setUp();
  const names: string[] = [];
  const apply = scale.apply.bind(scale);
  scale.apply = (wanted, manager, ...more) => {
    names.push(manager);
    return apply(wanted, manager, ...more);
  };
  await count.claimPresent(SIGNAL);
  await count.claim({ replicas: 1, version: "101" }, 1, { reason: "held_session", because: "" }, SIGNAL);
  assert.deepEqual(names, [`${MANAGER}-one-1`, `${MANAGER}-one-2`]);
});

Deno.test("ReplicaCount.claim() gives what was written, which may be less where a webhook limits it", async () => {
  const { scale, count, placement } = setUp();
  const apply = scale.apply.bind(scale);
  scale.apply = (wanted, ...more) => apply({ ...wanted, replicas: 1 }, ...more);
  const purpose = { reason: "held_session", because: "2 held sessions" } as const;
  const { replicas } = await count.claim({ replicas: 1, version: "100" }, 3, purpose, SIGNAL);
  assert.equal(replicas, 1);
  assert.equal(placement.agreement.seen?.replicas, 1);
});

Deno.test("ReplicaCount.claimPresent() writes the count once more, which ends this proxy's promise, and is no event", async () => {
  const { scale, log, placement, values, count, see } = setUp();
  placement.startAnew();
  await count.claimPresent(SIGNAL);
  assert.deepEqual(scale.requests, [], "nothing is known yet");
  see();
  placement.bind("100");
  await count.claimPresent(SIGNAL);
  assert.deepEqual(scale.requests, ["apply 1"]);
  assert.deepEqual(placement.agreement, { seen: { replicas: 1, version: "101" }, promises: [] });
  assert.equal(values.get("scale_writes_total same join"), 1);
  assert.deepEqual(log.of("scaled"), []);
});

Deno.test("ReplicaCount.checkRights() changes nothing, bears conflicts, and reports what else either write meets", async () => {
  const { scale, count } = setUp();
  const conflicting = scale.read.bind(scale);
  scale.read = async () => ({ ...await conflicting(), version: "99" });
  await count.checkRights(SIGNAL);
  assert.deepEqual(scale.requests, ["read", "read", "ask to apply 1", "ask to update 1"]);
  assert.equal(scale.version, 100);
  scale.read = conflicting;
  const done = { after: Promise.resolve() };
  for (const fates of [[done, "lost"], [done, done, "lost"]] as const) {
    scale.fates(...fates);
    await assert.rejects(count.checkRights(SIGNAL), /no answer/);
  }
});
