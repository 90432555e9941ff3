/** Tests of how suspect pods are verified where the API server can be asked for them. @module */
import assert from "node:assert/strict";
import type { Http } from "../../../lib/kube/http.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { VERIFIED_AFTER_MS } from "../../../lib/scaler/suspects.ts";
import { verifySuspects } from "../../../lib/scaler/verification.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { readyPod } from "../../support/ha.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { arrive } from "../../support/seating.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

/** A pod as the API server has it; a status for a refusal. */
type Answer = { readonly uid: string; readonly deletionTimestamp?: string } | number;

/** A pod that `suspect` makes suspect. */
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
  const placement = new Placement(clock, ONE_POD, "pod");
  placement.see({ replicas: 1, version: "10" });
  readyPod(placement, "pod-1");
  const controller = new AbortController();
  const running = verifySuspects(
    "n",
    { client, clock, pods: placement.pods, log: recordingLog() },
    controller.signal,
  ).catch(() => {});
  await clock.advance(0);
  let version = 10;
  /** The count falls and rises. */
  const suspect = () => {
    placement.see({ replicas: 0, version: String(++version) });
    placement.see({ replicas: 1, version: String(++version) });
  };
  let sessions = 0;
  const places = () => {
    const seat = arrive(placement, ++sessions);
    placement.end(sessions);
    return seat !== undefined;
  };
  const stop = async () => {
    controller.abort(new Error("over"));
    await clock.advance(0);
    await running;
    assert.equal(clock.pending, 0, "no timer is left");
  };
  return { clock, placement, asked, suspect, places, stop };
}

Deno.test("verifySuspects() verifies a pod at once that the API server shows without a deletion", async () => {
  const { clock, placement, asked, suspect, places, stop } = await setUp({ uid: "pod-1" });
  assert.equal(places(), true);
  suspect();
  await clock.advance(60_000);
  assert.equal(places(), false, "the higher count is not settled");
  assert.deepEqual(asked, [], "before that an answer says nothing");
  placement.pods.settled();
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
  Deno.test(`verifySuspects(): a pod that ${what} stays suspect, however ready it looks`, async () => {
    const { clock, placement, suspect, places, stop } = await setUp(answer);
    suspect();
    placement.pods.settled();
    await clock.advance(0);
    placement.pods.settled();
    await clock.advance(100 * VERIFIED_AFTER_MS);
    assert.equal(places(), false);
    readyPod(placement, "pod-2");
    assert.equal(places(), true, "a new pod is not suspect");
    await stop();
  });
}

for (const status of [403, 500]) {
  Deno.test(`verifySuspects(): where the answer is ${status}, the pod is verified by time`, async () => {
    const { clock, placement, asked, suspect, places, stop } = await setUp(status);
    suspect();
    placement.pods.settled();
    await clock.advance(VERIFIED_AFTER_MS - 1);
    assert.equal(places(), false);
    await clock.advance(1);
    assert.equal(places(), true);
    const before = asked.length;
    assert.equal(before, VERIFIED_AFTER_MS / 1_000, "once a second");
    await clock.advance(600_000);
    assert.ok(asked.length <= before + 1, "nobody asks for a pod that is verified");
    await stop();
  });
}

Deno.test("verifySuspects(): an answer from before the pod became suspect again verifies nothing", async () => {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const { clock, placement, suspect, places, stop } = await setUp(promise, {
    uid: "pod-1",
    deletionTimestamp: "2024-01-01T00:00:00Z",
  });
  suspect();
  placement.pods.settled();
  await clock.advance(100);
  suspect();
  placement.pods.settled();
  resolve({ uid: "pod-1" });
  await clock.advance(0);
  assert.equal(places(), false);
  await clock.advance(100 * VERIFIED_AFTER_MS);
  assert.equal(places(), false);
  await stop();
});

Deno.test("verifySuspects() asks for the next pod as soon as it has an answer for one", async () => {
  const { clock, placement, asked, stop } = await setUp({ uid: "pod-1" }, 404);
  const [pod] = placement.pods.all;
  placement.pods.set([pod!, { ...pod!, ordinal: 1, pod: "buildkitd-1", uid: "pod-2" }]);
  placement.see({ replicas: 0, version: "11" });
  placement.see({ replicas: 2, version: "12" });
  placement.pods.settled();
  await clock.advance(0);
  assert.deepEqual(asked.map((path) => path.split("/").at(-1)), ["buildkitd-0", "buildkitd-1"]);
  assert.equal(placement.pods.toVerify, undefined);
  await stop();
});
