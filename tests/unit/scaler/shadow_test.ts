/** Tests of observe mode: what would be done to a count that runs all the time. @module */
import assert from "node:assert/strict";
import type { Metrics } from "../../../lib/base/metrics.ts";
import { ColdStart } from "../../../lib/scaler/cold_start.ts";
import type { PeerUse } from "../../../lib/scaler/peers.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import type { ScalerPolicy } from "../../../lib/scaler/scaler.ts";
import { Shadow } from "../../../lib/scaler/shadow.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { arrive } from "../../support/seating.ts";
import { soleProxy } from "../../../lib/scaler/sole_proxy.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const IDLE_MS = 60_000;
const START = { ms: 30_000, isMeasured: false, run: () => Promise.resolve() };
const IDLE = "nothing has been in use for 1m0s";

/** In front of so many replicas, all of which run. */
function setUp({ replicas = 1, ...policy }: Partial<ScalerPolicy> & { readonly replicas?: number } = {}) {
  const clock = new VirtualClock();
  const log = recordingLog();
  const capacity = policy.capacity ?? ONE_POD;
  const placement = new Placement(clock, capacity, "pod");
  const values = new Map<string, number>();
  const metrics: Metrics = {
    record: (name, value, labels) => {
      const series = [name, ...Object.values(labels)].join(" ");
      values.set(series, name.endsWith("_total") ? value + (values.get(series) ?? 0) : value);
    },
  };
  const sole = soleProxy(placement, clock.nowMs());
  const others = { use: {} as Partial<PeerUse>, changed: () => {} };
  const shadow = new Shadow({
    clock,
    log,
    metrics,
    placement,
    peers: {
      use: () => ({ ...sole.use(), ...others.use }),
      subscribe: (listener) => void (others.changed = listener),
    },
    coldStart: new ColdStart({ clock, log, metrics }),
    name: "b",
    start: START,
  }, { minReplicas: 0, idleTimeoutMs: IDLE_MS, ...policy, capacity });
  let version = 100;
  /** Somebody has written this count, and has so many pods ready. */
  const see = (count: number) => {
    placement.see({ replicas: count, version: String(++version) }, "watch");
    placement.pods.set(
      Array.from({ length: count }, (_, ordinal) => ({
        ordinal,
        pod: `b-${ordinal}`,
        uid: `uid-${ordinal}-${version}`,
        addresses: ["192.0.2.1"],
        ready: true,
        terminating: false,
      })),
    );
  };
  see(replicas);
  const controller = new AbortController();
  const running = shadow.run(controller.signal).catch(() => {});
  return {
    clock,
    log,
    placement,
    values,
    others,
    shadow,
    see,
    /** What it would have done. */
    would: () =>
      log.of("would_scale").map(({ fields: { from, to, reason, because } }) =>
        `${from} → ${to} ${reason}: ${because}`
      ),
    [Symbol.asyncDispose]: async () => {
      controller.abort(new Error("over"));
      await clock.advance(0);
      await running;
      assert.equal(clock.pending, 0, "no timer is left");
    },
  };
}

Deno.test("Shadow lowers its count after the idle timeout, not before, and says so once", async () => {
  await using world = setUp();
  const { clock, shadow, values, would } = world;
  let changes = 0;
  shadow.subscribe(() => changes++);
  await clock.advance(IDLE_MS - 1);
  assert.deepEqual([shadow.replicas, would()], [1, []]);
  await clock.advance(1);
  assert.deepEqual([shadow.replicas, changes], [0, 1]);
  await clock.advance(10 * IDLE_MS);
  assert.deepEqual(would(), [`1 → 0 idle: ${IDLE}`]);
  assert.equal(values.get("observe_scalings_total down idle"), 1);
  assert.deepEqual([values.get("observe_replicas"), values.get("replicas_observed")], [0, 1]);
  assert.equal(shadow.because, "observe mode; without it 0: nothing is in use");
});

Deno.test("Shadow raises its count for a session that the running pod serves at once, also one that is over at once", async () => {
  await using world = setUp();
  const { clock, placement, shadow, would } = world;
  await clock.advance(IDLE_MS);
  assert.ok(arrive(placement, 1) !== undefined);
  assert.equal(shadow.replicas, 1);
  placement.end(1);
  await clock.advance(IDLE_MS - 1);
  assert.equal(shadow.replicas, 1, "kept for the idle timeout");
  await clock.advance(1);
  assert.deepEqual(would(), [
    `1 → 0 idle: ${IDLE}`,
    "0 → 1 held_session: 1 session would wait",
    `1 → 0 idle: ${IDLE}`,
  ]);
});

Deno.test("Shadow keeps its count while a session runs, and while one of another proxy does", async () => {
  await using world = setUp();
  const { clock, placement, shadow, others } = world;
  arrive(placement, 1);
  await clock.advance(10 * IDLE_MS);
  assert.equal(shadow.replicas, 1);
  others.use = { highestBusy: 0, sessions: new Map([[0, 2]]) };
  others.changed();
  placement.end(1);
  await clock.advance(10 * IDLE_MS);
  assert.equal(shadow.replicas, 1);
  others.use = { lastUsedMs: new Map([[0, clock.nowMs()]]) };
  others.changed();
  await clock.advance(IDLE_MS);
  assert.equal(shadow.replicas, 0);
  others.use = { highestBusy: 0, sessions: new Map([[0, 2]]) };
  others.changed();
  assert.equal(world.would().at(-1), "0 → 1 held_session: 2 sessions would wait");
});

Deno.test("Shadow follows what somebody does to the real count, and calls that no decision of its own", async () => {
  await using world = setUp({ replicas: 0, capacity: { ...ONE_POD, maxReplicas: 3 } });
  const { clock, shadow, see, would } = world;
  await clock.advance(IDLE_MS);
  assert.equal(shadow.replicas, 0);
  see(3);
  assert.equal(shadow.replicas, 3, "kept for the idle timeout, as what somebody raises is");
  assert.equal(shadow.unasked, 3, "they are no cold starts");
  await clock.advance(IDLE_MS - 1);
  assert.equal(shadow.replicas, 3);
  see(1);
  assert.equal(shadow.replicas, 1);
  see(0);
  assert.equal(shadow.replicas, 0);
  assert.equal(shadow.unasked, 0);
  assert.deepEqual(would(), []);
});

Deno.test("Shadow goes by the minimum and by warm windows", async () => {
  const window = { count: 1, untilMs: Infinity };
  for (
    const [policy, reason] of [[{ minReplicas: 1 }, "min_replicas"], [
      { warmAt: () => window },
      "warm_window",
    ]] as const
  ) {
    await using world = setUp({ replicas: 0, ...policy });
    const { clock, shadow, would } = world;
    await clock.advance(0);
    assert.deepEqual([shadow.replicas, shadow.floor], [1, 1], reason);
    assert.ok(would()[0]!.startsWith(`0 → 1 ${reason}: `), would()[0]);
    await clock.advance(10 * IDLE_MS);
    assert.deepEqual([shadow.replicas, would().length], [1, 1]);
  }
});

Deno.test("Shadow says that it wakes nothing while a session waits for a pod that nobody starts, and only then", async () => {
  await using world = setUp({ replicas: 0 });
  const { clock, placement, shadow, log, see } = world;
  assert.equal(shadow.fault, undefined);
  assert.equal(arrive(placement, 1), undefined);
  assert.match(
    shadow.fault!,
    /^this proxy only observes \(--observe\) and wakes nothing: scale StatefulSet "b" up/,
  );
  assert.equal(log.of("wake_withheld").length, 1);
  assert.deepEqual(world.would(), ["0 → 1 held_session: 1 session would wait"]);
  see(1);
  await clock.advance(0);
  assert.equal(shadow.fault, undefined);
  assert.equal(log.of("wake_withheld_recovered").length, 1);
});

Deno.test("Shadow says once that it wakes nothing for a client that tries again and again", async () => {
  await using world = setUp({ replicas: 0 });
  const { clock, placement, shadow, log } = world;
  for (let id = 1; id <= 20; id++) {
    arrive(placement, id);
    await clock.advance(500);
    placement.end(id);
    await clock.advance(500);
  }
  assert.equal(log.of("wake_withheld").filter(({ level }) => level === "warn").length, 1);
  assert.deepEqual(log.of("wake_withheld_recovered"), []);
  await clock.advance(IDLE_MS);
  assert.equal(shadow.fault, undefined);
  assert.equal(log.of("wake_withheld_recovered").length, 1);
});

Deno.test("Shadow knows nothing before the count was seen", () => {
  const clock = new VirtualClock();
  const log = recordingLog();
  const metrics: Metrics = { record: () => {} };
  const placement = new Placement(clock, ONE_POD, "pod");
  const peers = soleProxy(placement, 0);
  const coldStart = new ColdStart({ clock, log, metrics });
  const shadow = new Shadow({ clock, log, metrics, placement, peers, coldStart, name: "b", start: START }, {
    minReplicas: 1,
    capacity: ONE_POD,
    idleTimeoutMs: IDLE_MS,
  });
  arrive(placement, 1);
  assert.deepEqual([shadow.replicas, shadow.because], [undefined, "the StatefulSet has not been read yet"]);
  assert.deepEqual(log.of("would_scale"), []);
});
