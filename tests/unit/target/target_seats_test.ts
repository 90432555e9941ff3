/**
 * Tests of the seats of one StatefulSet: what fails about them, and the measuring of cold starts.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Conn } from "../../../lib/base/network.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { DialError } from "../../../lib/target/seats.ts";
import { TargetSeats } from "../../../lib/target/target_seats.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { directDialler } from "../../support/dialler.ts";
import { MemoryConn } from "../../support/memory_network.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { BACKEND, DIAL_SETTINGS } from "../../support/session.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const SIGNAL = new AbortController().signal;
const [, CONN] = MemoryConn.pair();

/** The seats of a StatefulSet whose one pod is ready, unless the test says otherwise. */
function setUp(ready = true, replicas = 1) {
  const clock = new VirtualClock();
  const log = recordingLog();
  const metrics = countedMetrics(() => {});
  const placement = new Placement(clock, { ...ONE_POD, maxReplicas: replicas }, "pod");
  placement.see({ version: "1", replicas });
  placement.pods.set([{ ...BACKEND, ready }]);
  const coldStarts: string[] = [];
  const begun: (boolean | undefined)[] = [];
  const resets: string[] = [];
  const world = { dial: (): Promise<Conn> => Promise.resolve(CONN) };
  const seats = new TargetSeats({
    log,
    metrics,
    dialler: directDialler(
      DIAL_SETTINGS,
      { listen: () => assert.fail("nobody listens here"), connect: () => world.dial() },
      clock,
    ),
    placement,
    coldStart: {
      begin: (isWaitedFor) => {
        coldStarts.push("begin");
        begun.push(isWaitedFor);
      },
      reached: (phase) => void coldStarts.push(phase),
    },
    resets: {
      explain: ({ pod }, connectedForMs, tell) => {
        resets.push(`${pod} after ${connectedForMs} ms`);
        tell("it was killed");
      },
    },
    explainWait: () => Promise.resolve("the pod is Pending"),
  });
  return { clock, log, metrics, placement, coldStarts, begun, resets, world, seats };
}

Deno.test("TargetSeats.dial() connects to the pod of a seat, which still holds", async () => {
  const { seats, log, metrics } = setUp();
  const seat = seats.seat(1, true, "limit")!;
  assert.equal(seat.backend.pod, "buildkitd-0");
  assert.equal(await seats.dial(seat, SIGNAL), CONN);
  assert.equal(seats.connected(seat), true);
  assert.equal(metrics.value("dial_errors_total", {}), 0);
  assert.deepEqual(log.records, []);
});

Deno.test("TargetSeats.dial() ends with the signal's reason", async () => {
  const { seats, world } = setUp();
  const stop = new AbortController();
  world.dial = () => {
    stop.abort(new Error("the client has left"));
    return Promise.reject(new Error("the client has left"));
  };
  await assert.rejects(seats.dial(seats.seat(1, true, "limit")!, stop.signal), /the client has left/);
});

Deno.test("TargetSeats.connected() says when the seat was lost during the dial", () => {
  for (const change of [{ terminating: true }, { uid: "pod-2" }]) {
    const { seats, placement } = setUp();
    const seat = seats.seat(1, true, "limit")!;
    placement.pods.set([{ ...BACKEND, ...change }]);
    assert.equal(seats.connected(seat), false);
  }
});

Deno.test("TargetSeats.failed() takes the pod for unhealthy, counts, and says so once until a dial works", async () => {
  const { seats, placement, log, metrics, world } = setUp();
  const seat = seats.seat(1, true, "limit")!;
  world.dial = () => Promise.reject(new Deno.errors.ConnectionRefused("refused"));
  for (let i = 0; i < 2; i++) {
    await assert.rejects(seats.dial(seat, SIGNAL), (error) => {
      assert.ok(error instanceof DialError);
      seats.failed(seat, error);
      return true;
    });
  }
  assert.ok(placement.pods.healthOf(BACKEND.uid).unhealthy);
  assert.equal(metrics.value("dial_errors_total", {}), 2);
  const faults = () => log.of("pod_connection_failed");
  const isOver = () => log.of("pod_connection_failed_recovered").length === 1;
  assert.deepEqual(faults().filter(({ level }) => level === "warn").map(({ fields }) => fields["pod"]), [
    "buildkitd-0",
  ]);
  placement.pods.set([{ ...BACKEND, terminating: true }]);
  assert.equal(seats.connected(seat), false);
  assert.ok(!isOver());
  placement.pods.set([BACKEND]);
  assert.equal(seats.connected(seat), true);
  assert.ok(isOver());
});

Deno.test("TargetSeats takes a pod out that refuses connections for 10 s, unless one of them succeeds", async () => {
  for (const succeeds of [false, true]) {
    const { seats, placement, clock } = setUp();
    const seat = seats.seat(1, true, "limit")!;
    for (let dial = 0; dial < 4; dial++) {
      seats.failed(seat, new DialError("refused", false));
      if (succeeds && dial === 2) seats.connected(seat);
      await clock.advance(4_000);
    }
    assert.deepEqual(placement.usable, succeeds ? [0] : []);
  }
});

Deno.test("TargetSeats.failed() does not take a pod for unhealthy that this machine cannot even dial", () => {
  const { seats, placement, metrics } = setUp();
  seats.failed(seats.seat(1, true, "limit")!, new DialError("Too many open files", true));
  assert.ok(!placement.pods.healthOf(BACKEND.uid).unhealthy);
  assert.equal(metrics.value("dial_errors_total", {}), 1);
});

Deno.test("TargetSeats begins to measure a cold start with the first session that calls for a pod", () => {
  const warm = setUp();
  warm.seats.seat(1, true, "limit");
  warm.seats.used(1);
  assert.deepEqual(warm.coldStarts, [], "there is a pod");
  const waking = setUp(false);
  waking.seats.hold(1, true);
  assert.deepEqual(waking.coldStarts, ["begin"]);
  waking.seats.hold(1, true);
  assert.deepEqual(waking.coldStarts, ["begin"]);
  waking.seats.answered(1);
  assert.deepEqual(waking.coldStarts, ["begin", "first_byte"]);
  const silent = setUp(false);
  silent.seats.hold(1, false);
  assert.deepEqual(silent.coldStarts, [], "it calls for none");
});

Deno.test("TargetSeats.used() does nothing for a session that has ended", () => {
  const { seats, coldStarts } = setUp(false);
  seats.hold(1, false);
  seats.end(1);
  seats.used(1);
  assert.deepEqual(coldStarts, []);
  assert.equal(seats.needs(1), false);
});

Deno.test("TargetSeats.hold() gives the seat up, and tells of changes", () => {
  for (const needs of [true, false]) {
    const { seats, placement } = setUp();
    let told = 0;
    placement.subscribe(() => told++);
    seats.seat(1, needs, "limit");
    assert.equal(placement.usage.on(0), 1);
    seats.hold(1, needs);
    assert.equal(placement.usage.held, 1);
    assert.equal(seats.needs(1), needs);
    assert.equal(placement.usage.on(0), 0, "its seat is given up");
    assert.ok(told >= 2);
  }
});

Deno.test("TargetSeats.watchNoMore() has a session count again that only watched, unless its pod may go", () => {
  for (const closed of [false, true]) {
    const { seats, placement } = setUp();
    assert.equal(seats.seatWatcher(1)?.backend.pod, "buildkitd-0");
    assert.equal(placement.usage.on(0), 0, "it counts for nothing");
    if (closed) {
      assert.ok(placement.promise({ below: 0, version: "1" }), "nothing is in the way of a scale-down");
    }
    assert.equal(seats.watchNoMore(1), !closed);
    assert.equal(placement.usage.on(0), closed ? 0 : 1);
  }
});

Deno.test("TargetSeats.keepAwake() uses the lowest pod as a silent session does, and moves when a lower one comes", () => {
  const { seats, placement } = setUp(true, 2);
  const pod = (ordinal: number, ready: boolean) => ({
    ...BACKEND,
    ordinal,
    pod: `buildkitd-${ordinal}`,
    uid: `pod-${ordinal}`,
    ready,
  });
  const used = () => [0, 1].map((ordinal) => placement.usage.on(ordinal));
  placement.pods.set([pod(0, false), pod(1, true)]);
  assert.ok(seats.keepAwake(1));
  assert.deepEqual([used(), [...placement.usage.load]], [[0, 1], []], "it is no load");
  placement.pods.set([pod(0, true), pod(1, true)]);
  assert.ok(seats.keepAwake(1));
  assert.deepEqual([used(), [...placement.usage.load]], [[1, 0], []]);
  let told = 0;
  placement.subscribe(() => told++);
  assert.ok(seats.keepAwake(1), "it stays on the lowest");
  assert.deepEqual([used(), told], [[1, 0], 0]);
  placement.pods.set([pod(0, false), pod(1, true)]);
  told = 0;
  assert.ok(seats.keepAwake(1), "its pod is the lower one, and may come back");
  placement.pods.set([]);
  assert.ok(seats.keepAwake(1), "no pod is better than its own");
  assert.deepEqual(used(), [1, 0]);
  seats.end(1);
  assert.deepEqual(used(), [0, 0]);
});

Deno.test("TargetSeats.keepAwake() is false without a pod that takes sessions, and leaves nothing behind", () => {
  const none = setUp(false);
  assert.equal(none.seats.keepAwake(1), false);
  const going = setUp();
  going.seats.seatWatcher(2);
  assert.ok(going.placement.promise({ below: 0, version: "1" }));
  for (const { seats, placement } of [none, going]) {
    assert.equal(seats.keepAwake(1), false);
    assert.deepEqual([placement.usage.on(0), placement.usage.ordinalOf(1)], [0, undefined]);
  }
});

Deno.test("TargetSeats.callFor() calls for a pod, which is a cold start that nobody waits for", () => {
  const { seats, placement, begun } = setUp(false);
  seats.callFor(1);
  assert.deepEqual([placement.usage.needing, begun], [1, [false]]);
});

Deno.test("TargetSeats explains waits and resets", async () => {
  const { seats, resets } = setUp();
  const seat = seats.seat(1, true, "limit")!;
  let how: string | undefined;
  seats.explainReset(seat, 7_000, (it) => how = it);
  assert.deepEqual([resets, how], [["buildkitd-0 after 7000 ms"], "it was killed"]);
  assert.equal(await seats.explainWait(SIGNAL), "the pod is Pending");
});
