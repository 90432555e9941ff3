/** Tests of the state of a builder as it is kept up to date. @module */
import assert from "node:assert/strict";
import { Listeners } from "../../../lib/base/listeners.ts";
import type { Http } from "../../../lib/kube/http.ts";
import type { Pod } from "../../../lib/kube/types.ts";
import { StateRunner } from "../../../lib/scaler/state_runner.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { pod, setUp as placementWorld } from "./placement_world.ts";

const READY_WAIT_MS = 300_000;
const BROKEN: Pod = {
  status: {
    containerStatuses: [{
      name: "buildkitd",
      image: "",
      imageID: "",
      ready: false,
      restartCount: 0,
      state: { waiting: { reason: "ImagePullBackOff" } },
    }],
  },
};

function setUp({ replicas = 1, asks = true } = {}) {
  const world = placementWorld(replicas, { capacity: { maxReplicas: 2, sessionsPerReplica: 1 } });
  const { clock, placement } = world;
  const asked: string[] = [];
  const api = { answer: {} as Pod | number };
  const http: Http = {
    send({ url }) {
      asked.push(new URL(url).pathname.split("/").at(-1)!);
      const { answer } = api;
      const [status, body] = typeof answer === "number"
        ? [answer, { kind: "Status", code: answer }]
        : [200, { ...answer, metadata: { uid: "of-the-pod" } }];
      return Promise.resolve({
        status,
        headers: new Headers(),
        body: new Response(JSON.stringify(body)).body!,
      });
    },
    reset: () => {},
    close: () => {},
  };
  const changed = new Listeners();
  const presence = {
    isMissing: false,
    isForbidden: false,
    onPresence: (listener: () => void) => changed.add(listener),
    podName: (ordinal: number) => `b-${ordinal}`,
  };
  const client = testClient(http, { clock, log: recordingLog() });
  const policy = { namespace: "n", readyWaitTimeoutMs: READY_WAIT_MS, asks };
  const runner = new StateRunner(policy, { client, clock, placement, presence });
  const told: string[] = [];
  runner.subscribe(() => told.push(runner.state));
  const controller = new AbortController();
  const running = runner.run(controller.signal).catch(() => {});
  const stop = async () => {
    controller.abort(new Error("over"));
    await clock.advance(0);
    await running;
    assert.equal(clock.pending, 0, "no timer is left");
  };
  return { ...world, asked, api, presence, changed, runner, told, stop };
}

Deno.test("StateRunner tells each new state, whatever brings it about", async () => {
  const { clock, placement, see, pods, presence, changed, runner, told, stop } = setUp();
  assert.equal(runner.state, "ready");
  placement.pods.set([]);
  placement.hold(1, true);
  await clock.advance(READY_WAIT_MS / 2 - 1);
  assert.deepEqual(told, ["starting"]);
  await clock.advance(1);
  placement.pods.set(pods(1));
  presence.isMissing = true;
  changed.tell();
  presence.isMissing = false;
  changed.tell();
  placement.end(1);
  see(0);
  placement.pods.set([]);
  assert.deepEqual(told, ["starting", "stuck", "ready", "missing", "ready", "asleep"]);
  await stop();
});

Deno.test("StateRunner: a builder that may not be seen is ready for as long as a pod of it is usable", async () => {
  const { placement, pods, presence, changed, told, stop } = setUp();
  placement.pods.set([]);
  placement.pods.set(pods(1));
  presence.isForbidden = true;
  changed.tell();
  placement.pods.set([]);
  presence.isForbidden = false;
  changed.tell();
  assert.deepEqual(told, ["starting", "ready", "missing", "starting"]);
  await stop();
});

Deno.test("StateRunner tells of a change that somebody has read at the moment when it was due", async () => {
  const { clock, placement, runner, told, stop } = setUp({ asks: false });
  placement.pods.set([]);
  const read: string[] = [];
  clock.setTimer(READY_WAIT_MS / 2, () => read.push(runner.state));
  placement.hold(1, true);
  await clock.advance(READY_WAIT_MS / 2);
  assert.deepEqual([read, told], [["stuck"], ["starting", "stuck"]]);
  await stop();
});

Deno.test("StateRunner.state is right in the very step in which something has changed", async () => {
  const { placement, runner, stop } = setUp();
  const seen: string[] = [];
  placement.pods.subscribe(() => seen.push(runner.state));
  placement.pods.set([]);
  assert.deepEqual(seen, ["starting"]);
  await stop();
});

Deno.test("StateRunner: a pod that a promise has closed is not awaited, however long the answers take", async () => {
  const { clock, placement, see, runner, told, stop } = setUp();
  assert.equal(placement.promise({ below: 0, version: "10" }), true);
  placement.lookAgain();
  await clock.advance(READY_WAIT_MS);
  assert.equal(runner.awaitedSinceMs, undefined);
  assert.deepEqual(told, ["asleep"]);
  placement.hold(1, true);
  assert.equal(runner.awaitedSinceMs, clock.nowMs());
  assert.deepEqual(told, ["asleep", "starting"]);
  placement.end(1);
  see(0);
  placement.pods.set([]);
  assert.deepEqual(told, ["asleep", "starting", "asleep"]);
  await stop();
});

Deno.test("StateRunner: the growth of a builder is not stuck while a promise closes its last pod", async () => {
  const { clock, placement, runner, stop } = setUp({ replicas: 2 });
  assert.equal(placement.promise({ below: 1, version: "10" }), true);
  placement.lookAgain();
  await clock.advance(READY_WAIT_MS);
  assert.deepEqual([runner.state, runner.isStuck], ["ready", false]);
  await stop();
});

Deno.test("StateRunner: a count that cannot be raised for 10 s makes it stuck", async () => {
  const { clock, placement, runner, stop } = setUp({ replicas: 0 });
  assert.equal(runner.state, "asleep");
  placement.hold(1, true);
  await clock.advance(9_999);
  assert.equal(runner.state, "starting");
  await clock.advance(1);
  assert.equal(runner.state, "stuck");
  await stop();
});

Deno.test("StateRunner asks for the awaited pod while somebody waits, and finds it broken", async () => {
  const { clock, placement, asked, api, runner, stop } = setUp();
  placement.pods.set([pod(0, { ready: false })]);
  await clock.advance(10_000);
  assert.deepEqual(asked, [], "nobody waits");
  placement.hold(1, true);
  await clock.advance(0);
  assert.deepEqual([asked, runner.state], [["b-0"], "starting"]);
  api.answer = BROKEN;
  await clock.advance(3_000);
  assert.deepEqual([asked.length, runner.state], [2, "stuck"]);
  placement.end(1);
  await clock.advance(600_000);
  assert.deepEqual([asked.length, runner.state], [2, "starting"], "it may be tried again");
  await stop();
});

Deno.test("StateRunner does not take the next pod for broken when the one before has come up", async () => {
  const { clock, placement, pods, api, runner, stop } = setUp();
  placement.pods.set([pod(0, { ready: false })]);
  for (const id of [1, 2]) placement.hold(id, true);
  api.answer = BROKEN;
  await clock.advance(0);
  assert.equal(runner.state, "stuck");
  placement.pods.set(pods(1));
  assert.deepEqual([runner.state, placement.room.reach], ["ready", 2]);
  await clock.advance(3_000);
  assert.equal(placement.room.reach, 1, "the next one is broken, too");
  await stop();
});

Deno.test("StateRunner does without an answer: it asks less often where it may not, and not at all where that is no use", async () => {
  for (const answer of [403, 404, 500]) {
    const { clock, placement, asked, api, runner, stop } = setUp();
    api.answer = answer;
    placement.pods.set([]);
    placement.hold(1, true);
    await clock.advance(59_000);
    assert.equal(asked.length, answer === 403 ? 1 : 20, String(answer));
    await clock.advance(1_000);
    assert.equal(asked.length, answer === 403 ? 2 : 21, String(answer));
    assert.equal(runner.state, "starting");
    await stop();
  }
  const { clock, placement, asked, stop } = setUp({ asks: false });
  placement.pods.set([]);
  placement.hold(1, true);
  await clock.advance(10_000);
  assert.deepEqual(asked, []);
  await stop();
});

Deno.test("StateRunner: a builder whose next pod is broken has only the room that is there", async () => {
  const { clock, placement, see, api, asked, runner, stop } = setUp();
  placement.seat(1, true, "nothing");
  assert.equal(placement.room.reach, 1);
  placement.hold(2, true);
  see(2);
  api.answer = BROKEN;
  await clock.advance(3_000);
  assert.deepEqual([asked[0], runner.state, placement.room.reach], ["b-1", "ready", 0]);
  assert.equal(placement.seat(2, true, "target")?.backend.ordinal, 0, "so who waits shares the pod");
  placement.pods.set([pod(0), pod(1)]);
  assert.equal(placement.room.reach, 1);
  await stop();
});
