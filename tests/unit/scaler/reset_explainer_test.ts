/** Tests of what is said of the pod that has reset a session: which of its ends, when, and by how many reads. @module */
import assert from "node:assert/strict";
import { orAborted } from "../../../lib/base/or_aborted.ts";
import type { Http } from "../../../lib/kube/http.ts";
import type { Pod } from "../../../lib/kube/types.ts";
import type { Backend } from "../../../lib/scaler/backends.ts";
import { describeEnd, ResetExplainer } from "../../../lib/scaler/reset_explainer.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const BACKEND: Backend = {
  ordinal: 0,
  pod: "buildkitd-0",
  uid: "pod-1",
  addresses: ["192.0.2.1"],
  ready: true,
  terminating: false,
};

const HOUR_MS = 3_600_000;

type Ended = { readonly exitCode: number; readonly reason?: string };
type ContainerStatus = NonNullable<NonNullable<Pod["status"]>["containerStatuses"]>[number];

/** A container that runs, after it has ended at a time, if it has. */
function container(
  finishedMs?: number,
  end: Ended = { exitCode: 137, reason: "OOMKilled" },
): ContainerStatus {
  return {
    name: "buildkitd",
    image: "buildkitd",
    imageID: "",
    ready: true,
    restartCount: finishedMs === undefined ? 0 : 1,
    state: { running: {} },
    lastState: finishedMs === undefined
      ? {}
      : { terminated: { ...end, finishedAt: toTheSecond(finishedMs) } },
  };
}

function toTheSecond(wallMs: number): string {
  return new Date(Math.floor(wallMs / 1000) * 1000).toISOString().replace(".000Z", "Z");
}

function podWith(...containerStatuses: ContainerStatus[]): Pod {
  return { metadata: { uid: "pod-1" }, status: { phase: "Running", containerStatuses } };
}

const OOM = "container buildkitd of pod buildkitd-0 ended with exit code 137: OOMKilled";

/** Answers reads of the pod, each as `answer` says at its time; a number is the status of a refusal. */
function setUp(answer: () => Pod | number | Promise<Pod | number>) {
  const clock = new VirtualClock();
  const startMs = clock.nowMs();
  const reads: number[] = [];
  const http: Http = {
    async send({ url, signal }) {
      assert.equal(new URL(url).pathname, "/api/v1/namespaces/n/pods/buildkitd-0");
      reads.push(clock.nowMs() - startMs);
      const found = await orAborted(Promise.resolve(answer()), signal);
      const [status, body] = typeof found === "number"
        ? [found, { kind: "Status", code: found }]
        : [200, found];
      return { status, headers: new Headers(), body: new Response(JSON.stringify(body)).body! };
    },
    reset: () => {},
    close: () => {},
  };
  const log = recordingLog();
  const explainer = new ResetExplainer("n", { client: testClient(http, { clock, log }), clock });
  /** What each session was told, and when. */
  const told: { readonly how: string | undefined; readonly atMs: number }[] = [];
  const reset = (connectedForMs = HOUR_MS) =>
    explainer.explain(BACKEND, connectedForMs, (how) => told.push({ how, atMs: clock.nowMs() - startMs }));
  return { clock, explainer, reads, told, reset, log };
}

Deno.test("ResetExplainer reads the pod after 1, 3 and 6 s, and tells as soon as it has ended", async () => {
  for (const reportedMs of [500, 2_000, 5_000]) {
    const { clock, reads, told, reset, log } = setUp(() =>
      clock.nowMs() < 1_000 + reportedMs ? podWith(container()) : podWith(container(killedMs))
    );
    const killedMs = clock.wallMs();
    reset();
    await clock.advance(HOUR_MS);
    const expected = reportedMs === 500
      ? [1_000]
      : reportedMs === 2_000
      ? [1_000, 3_000]
      : [1_000, 3_000, 6_000];
    assert.deepEqual(reads, expected);
    assert.deepEqual(told, [{ how: OOM, atMs: expected.at(-1)! }]);
    assert.deepEqual(log.records.filter(({ level }) => level !== "debug"), []);
  }
});

Deno.test("ResetExplainer says nothing of a pod that goes on, and asks no more", async () => {
  const { clock, reads, told, reset } = setUp(() => podWith(container()));
  reset();
  await clock.advance(HOUR_MS);
  assert.deepEqual(reads, [1_000, 3_000, 6_000]);
  assert.deepEqual(told, [{ how: undefined, atMs: 6_000 }]);
  assert.equal(clock.pending, 0, "no timer is left");
});

Deno.test("ResetExplainer takes no restart that was there before for the end", async () => {
  // An hour ago, under a build that runs for two: another container than the daemon's has ended then.
  for (
    const [connectedForMs, agoMs] of [[2 * HOUR_MS, HOUR_MS], [5_000, 7_000], [
      2 * HOUR_MS,
      -HOUR_MS,
    ]] as const
  ) {
    const { clock, told, reset } = setUp(() => podWith(container(restartMs)));
    const restartMs = clock.wallMs() - agoMs;
    reset(connectedForMs);
    await clock.advance(HOUR_MS / 2);
    assert.deepEqual(told, [{ how: undefined, atMs: 6_000 }], `${connectedForMs} ${agoMs}`);
  }
});

Deno.test("ResetExplainer tolerates clock skew, and times in whole seconds", async () => {
  for (const aheadMs of [-9_000, -900, 900, 9_000]) {
    const { clock, told, reset } = setUp(() => podWith(container(killedMs)));
    const killedMs = clock.wallMs() + aheadMs;
    reset();
    await clock.advance(10_000);
    assert.deepEqual(told, [{ how: OOM, atMs: 1_000 }], `${aheadMs}`);
  }
});

Deno.test("ResetExplainer explains the reset of a session that had just begun, whose container's end is rounded down", async () => {
  const { clock, told, reset } = setUp(() => podWith(container(killedMs)));
  await clock.advance(900);
  const killedMs = clock.wallMs();
  assert.equal(killedMs % 1_000, 900);
  reset(0);
  await clock.advance(1_000);
  assert.deepEqual(told.map(({ how }) => how), [OOM]);
});

Deno.test("ResetExplainer says that the pod is being deleted once nothing else is going to be known", async () => {
  const metadata = { uid: "pod-1", deletionTimestamp: "2024-01-01T00:00:00Z" };
  const { clock, told, reset } = setUp(() => ({ metadata }));
  reset();
  await clock.advance(HOUR_MS);
  assert.deepEqual(told, [{ how: "pod buildkitd-0 is being deleted", atMs: 6_000 }]);
});

Deno.test("ResetExplainer asks once for all sessions that a pod has reset", async () => {
  const { clock, reads, told, reset } = setUp(() => podWith(container(killedMs)));
  const killedMs = clock.wallMs();
  for (let i = 0; i < 100; i++) reset();
  await clock.advance(HOUR_MS);
  assert.deepEqual(reads, [1_000]);
  assert.deepEqual(told.map(({ how }) => how), Array(100).fill(OOM));
});

Deno.test("ResetExplainer tells all sessions that a pod has reset at a time of one series that finds nothing", async () => {
  const { clock, reads, told, reset } = setUp(() => podWith(container()));
  for (let i = 0; i < 3; i++) reset();
  await clock.advance(HOUR_MS);
  assert.deepEqual(reads, [1_000, 3_000, 6_000]);
  assert.deepEqual(told, Array(3).fill({ how: undefined, atMs: 6_000 }));
});

Deno.test("ResetExplainer goes on for a session that is reset while it asks for others", async () => {
  let killedMs = 0;
  const { clock, reads, told, reset } = setUp(() => podWith(container(killedMs)));
  reset();
  await clock.advance(5_500);
  reset();
  await clock.advance(1_000);
  assert.deepEqual(told, [{ how: undefined, atMs: 6_000 }]);
  killedMs = clock.wallMs();
  await clock.advance(HOUR_MS);
  assert.deepEqual(told.slice(1), [{ how: OOM, atMs: 7_000 }]);
  assert.deepEqual(reads, [1_000, 3_000, 6_000, 7_000]);
  reset(1_000);
  await clock.advance(HOUR_MS);
  assert.deepEqual(told.slice(2).map(({ how }) => how), [undefined], "a new series, and an old end");
});

Deno.test("ResetExplainer without the right to get pods asks once and says nothing", async () => {
  const { clock, reads, told, reset, log } = setUp(() => 403);
  reset();
  await clock.advance(HOUR_MS);
  assert.deepEqual(reads, [1_000]);
  assert.deepEqual(told, [{ how: undefined, atMs: 1_000 }]);
  assert.deepEqual(log.records.filter(({ level }) => level !== "debug"), []);
});

Deno.test("ResetExplainer goes on after a read that fails", async () => {
  const { clock, told, reset } = setUp(() => clock.nowMs() < 3_000 ? 500 : podWith(container(killedMs)));
  const killedMs = clock.wallMs();
  reset();
  await clock.advance(HOUR_MS);
  assert.deepEqual(told.map(({ how }) => how), [OOM]);
});

Deno.test("ResetExplainer.end() tells all who wait at once, whatever it is about to do, and those who come later", async () => {
  for (const waitMs of [500, 1_500]) {
    const { clock, told, reset, explainer, reads } = setUp(() => new Promise(() => {}));
    reset();
    reset();
    await clock.advance(waitMs);
    assert.equal(reads.length, waitMs > 1_000 ? 1 : 0);
    const ended = explainer.end();
    await clock.advance(0);
    await ended;
    assert.deepEqual(told.map(({ how, atMs }) => [how, atMs]), [[undefined, waitMs], [undefined, waitMs]]);
    reset();
    assert.equal(told.length, 3);
    assert.equal(clock.pending, 0, "no timer is left");
  }
});

const NOW_MS = Date.UTC(2024, 0, 1);
const describe = (pod: Pod | "missing", isLast = false) =>
  describeEnd(pod, BACKEND, NOW_MS - 1_000, NOW_MS, isLast);

Deno.test("describeEnd() speaks of what the node has done with the pod first", () => {
  const status = {
    phase: "Failed",
    reason: "Evicted",
    message: "The node was low on resource: memory. ",
    containerStatuses: [container(NOW_MS)],
  };
  assert.equal(
    describe({ metadata: { uid: "pod-1" }, status }),
    "pod buildkitd-0 has failed: Evicted: The node was low on resource: memory",
  );
});

Deno.test("describeEnd() says that a pod is gone, also when another has its name", () => {
  assert.equal(describe("missing"), "pod buildkitd-0 is gone");
  assert.equal(describe({ metadata: { uid: "pod-2" } }), "pod buildkitd-0 is gone");
});

Deno.test("describeEnd() says that a pod is being deleted when nothing else will be known", () => {
  const metadata = { uid: "pod-1", deletionTimestamp: "2024-01-01T00:00:00Z" };
  assert.equal(describe({ metadata }), undefined);
  assert.equal(describe({ metadata }, true), "pod buildkitd-0 is being deleted");
  const status = { containerStatuses: [container(NOW_MS)] };
  assert.equal(describe({ metadata, status }, true), OOM);
});

Deno.test("describeEnd() finds the end of a container that has not been started again", () => {
  const { lastState, ...rest } = container(NOW_MS);
  const older = container(NOW_MS - HOUR_MS).lastState!;
  assert.equal(describe(podWith({ ...rest, state: lastState!, lastState: older })), OOM);
});

Deno.test("describeEnd() names every container that has ended, and no reason where there is none", () => {
  const proxy = { ...container(NOW_MS, { exitCode: 2 }), name: "proxy" };
  assert.equal(
    describe(podWith(container(NOW_MS), proxy, { ...container(), name: "other" })),
    `${OOM}; container proxy of pod buildkitd-0 ended with exit code 2`,
  );
});

Deno.test("describeEnd() takes an end for the cause from the given time to ten seconds from now", () => {
  for (const [atMs, counts] of [[-2_000, false], [-1_000, true], [10_000, true], [11_000, false]] as const) {
    assert.equal(describe(podWith(container(NOW_MS + atMs))), counts ? OOM : undefined, `${atMs}`);
  }
});
