/** Tests of what the scaler makes of other proxies: what they use, and what they consent to. @module */
import assert from "node:assert/strict";
import type { PeerUse } from "../../../lib/scaler/peers.ts";
import { arrive } from "../../support/seating.ts";
import { IDLE_MS, setUp } from "./scaler_world.ts";

Deno.test("Scaler keeps what other proxies use, need, or have used lately", async () => {
  const uses: readonly (readonly [Partial<PeerUse>, lastsMs: number])[] = [
    [{ highestBusy: 0 }, Infinity],
    [{ highestBusy: Infinity }, Infinity],
    [{ needing: 1 }, Infinity],
    [{ lastNeededMs: 11_000 }, 10_000 + IDLE_MS],
    [{ lastUsedMs: new Map([[0, 11_000]]) }, 10_000 + IDLE_MS],
    [{ knownSinceMs: 11_000 }, 10_000 + IDLE_MS],
    [{ knownSinceMs: -Infinity }, IDLE_MS],
  ];
  for (const [use, lastsMs] of uses) {
    const { clock, scale, others, start, stop } = setUp();
    others.use = use;
    await start();
    const what = Deno.inspect(use);
    if (lastsMs === Infinity) {
      await clock.advance(10 * IDLE_MS);
      assert.deepEqual(scale.requests, [], what);
      others.use = {};
      others.changed();
      await clock.advance(0);
      assert.equal(scale.replicas, 0, "as soon as they tell");
    } else {
      await clock.advance(lastsMs - 1);
      assert.deepEqual(scale.requests, [], what);
      await clock.advance(1);
      assert.equal(scale.replicas, 0, what);
    }
    await stop();
  }
});

Deno.test("Scaler takes of its own and the others' last use the later one", async () => {
  for (const usedMs of [-Infinity, 31_000]) {
    const { clock, scale, placement, others, start, stop } = setUp();
    await start();
    arrive(placement, 1);
    await clock.advance(10_000);
    placement.end(1);
    others.use = { lastUsedMs: new Map([[0, usedMs]]), lastNeededMs: usedMs };
    const lastMs = Math.max(11_000, usedMs);
    await clock.advance(lastMs + IDLE_MS - clock.nowMs() - 1);
    assert.deepEqual(scale.requests, []);
    await clock.advance(1);
    assert.equal(scale.replicas, 0);
    await stop();
  }
});

Deno.test("Scaler, what others use counts for no pod that is not there", async () => {
  const { clock, scale, others, scaler, start, see, stop } = setUp({ replicas: 0 });
  others.use = { highestBusy: Infinity };
  await start(false);
  assert.deepEqual([scaler.because, scaler.busy], ["nothing is in use", false], "no count is known");
  see();
  await clock.advance(IDLE_MS);
  assert.equal(scaler.because, "nothing is in use");
  assert.deepEqual(scale.requests, []);
  await stop();
});

Deno.test("Scaler, follower: it neither lowers the count nor raises it for others or for the minimum", async () => {
  const { clock, scale, others, start, stop } = setUp({ replicas: 0, minReplicas: 1 });
  others.leads = false;
  others.use = { needing: 1 };
  await start();
  await clock.advance(IDLE_MS);
  assert.deepEqual(scale.requests, []);
  others.leads = true;
  others.changed();
  await clock.advance(0);
  assert.deepEqual(scale.requests, ["apply 1"]);
  others.leads = false;
  others.use = {};
  scale.set(3);
  await clock.advance(10 * IDLE_MS);
  assert.equal(scale.replicas, 3);
  await stop();
});

Deno.test("Scaler does not lower the count without the consent of all others, and asks again later", async () => {
  const { clock, scale, log, others, start, stop } = setUp();
  const asked: unknown[] = [];
  const { consent } = others;
  others.consent = (wanted) => {
    asked.push(wanted);
    return Promise.resolve(false);
  };
  await start();
  await clock.advance(IDLE_MS);
  assert.deepEqual(asked, [{ below: 0, version: "100" }]);
  await clock.advance(60_000);
  assert.ok(asked.length > 2 && asked.length < 60, `found ${asked.length} in a minute`);
  assert.ok(scale.requests.every((request) => request === "read"));
  assert.deepEqual(log.of("scaling_failed"), [], "that is no fault");
  others.consent = consent;
  await clock.advance(10_000);
  assert.equal(scale.replicas, 0);
  await stop();
});

Deno.test("Scaler, leader: a promise ends once the pod stays for a client of another proxy, and only the leader sees to that", async () => {
  for (const leads of [true, false]) {
    const { clock, scale, placement, others, start, stop } = setUp();
    others.consent = (wanted) => Promise.resolve(placement.promise(wanted) && false);
    await start();
    await clock.advance(IDLE_MS);
    assert.deepEqual(placement.usable, [], "the promise binds");
    scale.requests.length = 0;
    others.leads = leads;
    others.use = { highestBusy: 0 };
    others.changed();
    await clock.advance(10 * IDLE_MS);
    assert.deepEqual(scale.requests, leads ? ["read", "apply 1"] : []);
    assert.deepEqual(placement.usable, leads ? [0] : []);
    await stop();
  }
});

Deno.test("Scaler does not lower the count when something has changed while the others were asked", async () => {
  const changes: Record<string, (world: ReturnType<typeof setUp>) => void> = {
    "another proxy leads": ({ others }) => others.leads = false,
    "lowering has ended": ({ scaler }) => scaler.stopLowering(),
    "another proxy needs a pod": ({ others }) => others.use = { needing: 1 },
    "the count was written": ({ scale }) => scale.set(1),
  };
  for (const [what, change] of Object.entries(changes)) {
    const world = setUp();
    const { clock, scale, others, start, stop } = world;
    const { promise: consents, resolve } = Promise.withResolvers<boolean>();
    others.consent = () => consents;
    await start();
    await clock.advance(IDLE_MS);
    others.consent = () => Promise.resolve(false);
    change(world);
    resolve(true);
    await clock.advance(0);
    assert.equal(scale.requests.includes("update 0"), false, what);
    await stop();
  }
});

Deno.test("Scaler does not lower the count of a StatefulSet made anew before it is seen: its proxies were not asked", async () => {
  const { clock, scale, others, start, stop } = setUp();
  scale.uid = "new";
  others.uid = "old";
  await start();
  await clock.advance(10 * IDLE_MS);
  assert.equal(scale.replicas, 1);
  others.uid = "new";
  others.changed();
  await clock.advance(IDLE_MS);
  assert.equal(scale.replicas, 0);
  await stop();
});
