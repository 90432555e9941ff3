/**
 * Tests of how the program joins the others: its part in the agreement of one StatefulSet after the other, and the moment
 * from which it is ready.
 *
 * @module
 */
import assert from "node:assert/strict";
import { CauseLog } from "../../../lib/base/log.ts";
import { orAborted } from "../../../lib/base/or_aborted.ts";
import type { RecordTarget } from "../../../lib/ha/record.ts";
import { ApiError } from "../../../lib/kube/api_error.ts";
import { JoinPlaces, JOINS_AT_A_TIME } from "../../../lib/target/join_places.ts";
import { joiningAtStart, runProxies, untilJoined } from "../../../lib/target/joining.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";

const SIGNAL = new AbortController().signal;
const TARGET = { namespace: "n", name: "buildkitd", service: "bk", port: 1234 };

/** What `runProxies` deals with, in the test's hand. */
function setUpPart(whenReady: Promise<void> = Promise.resolve()) {
  let uid: string | undefined;
  const looks = new Set<() => void>();
  const waits = { count: 0 };
  const runs: { readonly target: RecordTarget; over: boolean; readonly fail: (error: Error) => void }[] = [];
  const stop = new AbortController();
  const observer = {
    async nextUid(before: string | undefined, signal: AbortSignal) {
      for (;;) {
        if (uid !== undefined && uid !== before) return uid;
        const { promise, resolve } = Promise.withResolvers<void>();
        looks.add(resolve);
        waits.count++;
        await orAborted(promise, signal).finally(() => waits.count--);
      }
    },
  };
  const proxies = {
    membership: { whenReady },
    async run(target: RecordTarget, signal: AbortSignal) {
      const { promise, reject } = Promise.withResolvers<void>();
      const run = { target, over: false, fail: reject };
      runs.push(run);
      try {
        await orAborted(promise, signal);
      } finally {
        run.over = true;
      }
    },
  };
  const clock = new VirtualClock();
  const places = new JoinPlaces(clock);
  return {
    runs,
    waits,
    stop,
    clock,
    /** How many places of those that there are can be taken at once. */
    async free() {
      const controller = new AbortController();
      const taken: Disposable[] = [];
      for (let i = 0; i < JOINS_AT_A_TIME; i++) {
        places.take(controller.signal).then((place) => taken.push(place), () => {});
      }
      await settle();
      controller.abort(new Error("over"));
      await settle();
      for (const place of taken) place[Symbol.dispose]();
      return taken.length;
    },
    ended: runProxies(proxies, observer, TARGET, places, stop.signal),
    async see(next: string) {
      uid = next;
      for (const look of looks) look();
      await settle();
    },
  };
}

Deno.test("runProxies() waits for the StatefulSet, and joins for each of its uids in turn", async () => {
  const { runs, stop, ended, see } = setUpPart();
  await settle();
  assert.equal(runs.length, 0);
  await see("first");
  assert.deepEqual(runs.map(({ target: { uid, name }, over }) => [uid, name, over]), [
    ["first", "buildkitd", false],
  ]);
  await see("second");
  assert.deepEqual(runs.map(({ target, over }) => [target.uid, over]), [["first", true], ["second", false]]);
  stop.abort(new Error("told to stop"));
  await assert.rejects(ended, /told to stop/);
  assert.ok(runs.every(({ over }) => over));
});

Deno.test("runProxies() ends with the signal's reason while no StatefulSet is there", async () => {
  const { stop, ended } = setUpPart();
  stop.abort(new Error("told to stop"));
  await assert.rejects(ended, /told to stop/);
});

Deno.test("runProxies() rejects with the error of the component that failed", async () => {
  const { runs, waits, ended, see } = setUpPart();
  await see("first");
  assert.equal(waits.count, 1, "the next StatefulSet is waited for");
  runs[0]!.fail(new Error("a bug"));
  await assert.rejects(ended, /a bug/);
  assert.equal(waits.count, 0);
});

Deno.test("runProxies() gives its place back when it is ready, also while it runs on", async () => {
  const ready = Promise.withResolvers<void>();
  const { free, stop, ended, see } = setUpPart(ready.promise);
  await see("first");
  assert.equal(await free(), JOINS_AT_A_TIME - 1);
  ready.resolve();
  assert.equal(await free(), JOINS_AT_A_TIME);
  stop.abort(new Error("told to stop"));
  await assert.rejects(ended, /told to stop/);
});

Deno.test("runProxies() gives its place back when it ends, or begins anew, before it was ready", async () => {
  const { free, stop, clock, ended, see } = setUpPart(new Promise(() => {}));
  await see("first");
  await see("second");
  assert.equal(await free(), JOINS_AT_A_TIME - 1, "one of them is over");
  stop.abort(new Error("told to stop"));
  await assert.rejects(ended, /told to stop/);
  assert.equal(await free(), JOINS_AT_A_TIME);
  assert.equal(clock.pending, 0, "no timer is left");
});

/** What `untilJoined` deals with, in the test's hand. Rights are confirmed once `refusal` is undefined. */
function setUpJoin(refusal?: Error) {
  const clock = new VirtualClock();
  const log = recordingLog();
  const access = new CauseLog(log, "api_access_failed");
  const synced = Promise.withResolvers<void>();
  const joined = Promise.withResolvers<void>();
  const listed = Promise.withResolvers<void>();
  const stop = new AbortController();
  const joining = joiningAtStart();
  const world = { refusal, asked: [] as number[] };
  const scaler = {
    checkRights() {
      world.asked.push(clock.nowMs());
      return world.refusal === undefined ? Promise.resolve() : Promise.reject(world.refusal);
    },
  };
  const places = new JoinPlaces(clock);
  const join = () =>
    untilJoined(
      scaler,
      { membership: { whenReady: joined.promise } },
      {
        whenSynced: (signal) => orAborted(synced.promise, signal),
        whenListed: (signal) => orAborted(listed.promise, signal),
      },
      { clock, random: () => 0.5, log, access, places },
      joining,
      stop.signal,
    );
  const ended = join();
  return { join, places, clock, log, access, synced, joined, listed, stop, joining, world, ended };
}

function refusalOf(status: number): ApiError {
  const target = {
    verb: "patch",
    group: "apps",
    resource: "statefulsets/scale",
    namespace: "n",
    name: "buildkitd",
  } as const;
  return new ApiError(target, status, { message: "said the server" });
}

for (const last of ["synced", "joined", "listed"] as const) {
  Deno.test(`untilJoined() is ready when all is there that it waits for, and says so once; the last is "${last}"`, async () => {
    const parts = setUpJoin();
    const { log, joining, ended } = parts;
    assert.match(joining.waitsFor, /rights/);
    for (const part of ["synced", "joined", "listed"] as const) if (part !== last) parts[part].resolve();
    await settle();
    assert.equal(joining.joined, false);
    assert.match(joining.waitsFor, /not seen yet$/, "the rights suffice");
    assert.deepEqual(log.records, []);
    parts[last].resolve();
    await ended;
    assert.equal(joining.joined, true);
    assert.deepEqual(log.records.map(({ level, code }) => `${level} ${code}`), ["info ready"]);
  });
}

Deno.test("untilJoined() tries again after a failure, with pauses that grow, and says each cause once", async () => {
  const { clock, log, synced, joined, listed, joining, world, ended } = setUpJoin(refusalOf(403));
  await clock.advance(10_000);
  assert.match(joining.fault ?? "", /^Cannot patch .*said the server/);
  const pauses = world.asked.slice(1).map((ms, i) => ms - world.asked[i]!);
  assert.ok(pauses.length >= 3 && pauses.every((ms, i) => ms > 0 && ms >= (pauses[i - 1] ?? 0)), `${pauses}`);
  assert.ok(pauses[0]! <= 200 && pauses.at(-1)! > pauses[0]!, `${pauses}`);
  const causes = () =>
    log.of("rights_check_failed").filter(({ level }) => level === "warn").map(({ fields }) =>
      fields["cause"]
    );
  assert.deepEqual(causes(), [joining.fault]);
  world.refusal = undefined;
  await clock.advance(30_000);
  assert.equal(joining.fault, undefined, "the rights suffice now");
  assert.equal(log.of("rights_check_failed_recovered").length, 1);
  assert.equal(joining.joined, false);
  for (const { resolve } of [synced, joined, listed]) resolve();
  await ended;
  assert.equal(joining.joined, true);
});

Deno.test("untilJoined() keeps no place while it pauses, or waits for what it is to see", async () => {
  const { clock, stop, world, places, join, ended } = setUpJoin(refusalOf(403));
  const areFree = async () => {
    const taken = await Promise.all(Array.from({ length: JOINS_AT_A_TIME }, () => places.take(SIGNAL)));
    for (const place of taken) place[Symbol.dispose]();
  };
  await clock.advance(0);
  await areFree();
  world.refusal = undefined;
  await clock.advance(1_000);
  await areFree();
  const others = await Promise.all(Array.from({ length: JOINS_AT_A_TIME }, () => places.take(SIGNAL)));
  const before = world.asked.length;
  const second = join();
  await clock.advance(1_000);
  assert.equal(world.asked.length, before, "no place is free");
  others[0]![Symbol.dispose]();
  await clock.advance(0);
  assert.equal(world.asked.length, before + 1);
  stop.abort(new Error("told to stop"));
  await assert.rejects(ended, /told to stop/);
  await assert.rejects(second, /told to stop/);
});

Deno.test("untilJoined() leaves it to the watch to say that the StatefulSet is missing", async () => {
  const { clock, log, stop, joining, world, ended } = setUpJoin(refusalOf(403));
  await clock.advance(0);
  const cause = joining.fault;
  assert.ok(cause !== undefined);
  world.refusal = refusalOf(404);
  await clock.advance(10_000);
  assert.ok(world.asked.length > 2);
  assert.equal(joining.fault, undefined);
  assert.deepEqual(log.of("rights_check_failed").map(({ fields }) => fields["cause"]), [cause]);
  stop.abort(new Error("told to stop"));
  await assert.rejects(ended, /told to stop/);
  assert.equal(clock.pending, 0, "no timer is left");
});

Deno.test("untilJoined() logs no failure when it is stopped", async () => {
  const { log, stop, ended } = setUpJoin();
  await settle();
  stop.abort(new Error("told to stop"));
  await assert.rejects(ended, /told to stop/);
  assert.deepEqual(log.records, []);
});

Deno.test("untilJoined() does not warn of what follows from an API server out of reach", async () => {
  const { clock, log, access, stop, world, ended } = setUpJoin();
  access.failed("Cannot reach the API server");
  world.refusal = new Error("Cannot reach the API server either");
  await clock.advance(0);
  stop.abort(new Error("told to stop"));
  await assert.rejects(ended, /told to stop/);
  assert.deepEqual(log.of("rights_check_failed").filter(({ level }) => level !== "debug"), []);
});
