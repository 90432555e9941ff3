/** Tests of what becomes of condemned pods where the API server can be asked for them. @module */
import assert from "node:assert/strict";
import type { Http } from "../../../lib/kube/http.ts";
import { TRUST_AFTER_MS } from "../../../lib/scaler/condemned.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { reprieve } from "../../../lib/scaler/reprieve.ts";
import { readyPod } from "../../support/ha.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

/** A pod as the API server has it; a status for a refusal. */
type Answer = { readonly uid: string; readonly deletionTimestamp?: string } | number;

/** A pod that was condemned and that the controller may have let live. */
async function setUp(...answers: (Answer | Promise<Answer>)[]) {
  const clock = new VirtualClock();
  const asked: string[] = [];
  const http: Http = {
    async send({ url, signal }) {
      asked.push(new URL(url).pathname);
      const answer = await (answers.length > 1 ? answers.shift()! : answers[0]!);
      signal.throwIfAborted();
      const [status, body] = typeof answer === "number"
        ? [answer, { kind: "Status", code: answer }]
        : [200, { metadata: answer }];
      return { status, headers: new Headers(), body: new Response(JSON.stringify(body)).body! };
    },
    reset: () => {},
    close: () => {},
  };
  const client = testClient(http, { clock, log: recordingLog() });
  const placement = new Placement(clock, 1, "pod");
  placement.see({ replicas: 1, version: "10" });
  readyPod(placement, "pod-1");
  const controller = new AbortController();
  const running = reprieve("n", { client, clock, placement, log: recordingLog() }, controller.signal)
    .catch(() => {});
  await clock.advance(0);
  let version = 10;
  /** The count falls and rises. */
  const condemn = () => {
    placement.see({ replicas: 0, version: String(++version) });
    placement.see({ replicas: 1, version: String(++version) });
  };
  let sessions = 0;
  const places = () => {
    const seat = placement.open(++sessions, true);
    placement.end(sessions);
    return seat !== undefined;
  };
  const stop = async () => {
    controller.abort(new Error("over"));
    await clock.advance(0);
    await running;
    assert.equal(clock.pending, 0, "no timer is left");
  };
  return { clock, placement, asked, condemn, places, stop };
}

Deno.test("reprieve() spares a pod that the API server shows without a deletion, at once", async () => {
  const { clock, placement, asked, condemn, places, stop } = await setUp({ uid: "pod-1" });
  assert.equal(places(), true);
  condemn();
  await clock.advance(60_000);
  assert.equal(places(), false, "the controller has not worked off the higher count");
  assert.deepEqual(asked, [], "before that an answer says nothing");
  placement.settled();
  await clock.advance(0);
  assert.deepEqual(asked, ["/api/v1/namespaces/n/pods/buildkitd-0"]);
  assert.equal(places(), true);
  await stop();
});

for (
  const [what, answer] of [
    ["is being deleted", { uid: "pod-1", deletionTimestamp: "2024-01-01T00:00:00Z" }],
    ["has been replaced", { uid: "pod-2" }],
    ["is gone", 404],
  ] as const
) {
  Deno.test(`reprieve(): a pod that ${what} is never trusted again, however ready it looks`, async () => {
    const { clock, placement, condemn, places, stop } = await setUp(answer);
    condemn();
    placement.settled();
    await clock.advance(0);
    placement.settled();
    await clock.advance(100 * TRUST_AFTER_MS);
    assert.equal(places(), false);
    readyPod(placement, "pod-2");
    assert.equal(places(), true, "a new one is none the worse");
    await stop();
  });
}

for (const status of [403, 500]) {
  Deno.test(`reprieve(): where the answer is ${status}, time tells`, async () => {
    const { clock, placement, asked, condemn, places, stop } = await setUp(status);
    condemn();
    placement.settled();
    await clock.advance(TRUST_AFTER_MS - 1);
    assert.equal(places(), false);
    await clock.advance(1);
    assert.equal(places(), true);
    const before = asked.length;
    assert.equal(before, TRUST_AFTER_MS / 1_000, "once a second");
    await clock.advance(600_000);
    assert.ok(asked.length <= before + 1, "nobody asks for what is settled");
    await stop();
  });
}

Deno.test("reprieve(): an answer from before the pod was condemned again spares nothing", async () => {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const { clock, placement, condemn, places, stop } = await setUp(promise, {
    uid: "pod-1",
    deletionTimestamp: "2024-01-01T00:00:00Z",
  });
  condemn();
  placement.settled();
  await clock.advance(100);
  condemn();
  placement.settled();
  resolve({ uid: "pod-1" });
  await clock.advance(0);
  assert.equal(places(), false);
  await clock.advance(100 * TRUST_AFTER_MS);
  assert.equal(places(), false);
  await stop();
});

Deno.test("reprieve() asks for the next pod as soon as it has decided on one", async () => {
  const { clock, placement, asked, stop } = await setUp({ uid: "pod-1" }, 404);
  const [pod] = placement.backends;
  placement.setBackends([pod!, { ...pod!, ordinal: 1, pod: "buildkitd-1", uid: "pod-2" }]);
  placement.see({ replicas: 0, version: "11" });
  placement.see({ replicas: 2, version: "12" });
  placement.settled();
  await clock.advance(0);
  assert.deepEqual(asked.map((path) => path.split("/").at(-1)), ["buildkitd-0", "buildkitd-1"]);
  assert.equal(placement.inDoubt, undefined);
  await stop();
});
