/** Tests of what a client is told whose time is up. @module */
import assert from "node:assert/strict";
import { orAborted } from "../../../lib/base/or_aborted.ts";
import type { Http } from "../../../lib/kube/http.ts";
import type { Pod } from "../../../lib/kube/types.ts";
import type { Backend } from "../../../lib/scaler/backends.ts";
import type { Capacity } from "../../../lib/scaler/capacity.ts";
import { describePod, waitExplainer } from "../../../lib/scaler/explain.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import type { ReadinessMode } from "../../../lib/scaler/readiness.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";

const SIGNAL = new AbortController().signal;

/** What is the case; each has a default under which everything works. */
interface Case {
  /** The count that was seen; undefined if nothing was seen. */
  readonly replicas?: number | undefined;
  readonly pods?: readonly Partial<Backend>[];
  /** What the API answers when it is asked for a pod: the pod, a status, or nothing at all. */
  readonly answer?: Pod | number | "silence";
  readonly observerFault?: string;
  readonly scalerFault?: string;
  readonly portDoubt?: string;
  readonly obstacle?: string;
  readonly tlsFault?: string;
  readonly wayFault?: string;
  readonly mode?: ReadinessMode;
  /** A dial to the pod has failed. */
  readonly dialFailed?: boolean;
  /** Sessions that are held. */
  readonly held?: number;
  readonly capacity?: Capacity;
}

function setUp(
  {
    replicas = 1,
    pods = [],
    answer = 403,
    observerFault,
    scalerFault,
    portDoubt,
    obstacle,
    tlsFault,
    wayFault,
    mode = "pod",
    dialFailed,
    held = 0,
    capacity = ONE_POD,
  }: Case,
) {
  const clock = new VirtualClock();
  const asked: string[] = [];
  const http: Http = {
    async send({ url, signal }) {
      asked.push(new URL(url).pathname);
      if (answer === "silence") return await orAborted(new Promise<never>(() => {}), signal);
      const [status, body] = typeof answer === "number"
        ? [answer, { kind: "Status", code: answer }]
        : [200, { ...answer, metadata: { uid: "of-the-pod", ...answer.metadata } }];
      return { status, headers: new Headers(), body: new Response(JSON.stringify(body)).body! };
    },
    reset: () => {},
    close: () => {},
  };
  const placement = new Placement(clock, capacity, mode);
  if (replicas >= 0) placement.see({ replicas, version: "10" });
  placement.pods.set(pods.map((pod, i) => ({
    ordinal: 0,
    pod: "b-0",
    uid: `uid-${i}`,
    addresses: ["192.0.2.1"],
    ready: true,
    terminating: false,
    ...pod,
  })));
  for (let id = 1; id <= held; id++) placement.hold(id, true);
  if (dialFailed) placement.pods.dialFailed("uid-0");
  const log = recordingLog();
  const explain = waitExplainer({ namespace: "n", name: "b", service: "b-headless", port: 8372 }, {
    client: testClient(http, { clock, log }),
    clock,
    placement,
    observer: { fault: observerFault, podName: (ordinal) => `b-${ordinal}`, portDoubt },
    scaler: { fault: scalerFault },
    peers: { obstacle: obstacle },
    upstreamTls: { fault: tlsFault },
    upstream: { fault: wayFault },
  });
  return { clock, asked, log, placement, explain };
}

const NOTHING_SEEN = -1;
const TWO_PODS = { ...ONE_POD, maxReplicas: 2, sessionsPerReplica: 1 };
const READY = {};
const TERMINATING = { terminating: true, ready: false };
const RUNNING: Pod = { status: { phase: "Running", podIP: "192.0.2.1" } };
const PENDING: Pod = { status: { phase: "Pending" } };
const REFUSED: Pod = { status: { phase: "Failed", reason: "NodeAffinity", message: "No match." } };

const CASES: readonly (readonly [because: string, Case, says: string])[] = [
  ["nothing was seen", { replicas: NOTHING_SEEN }, "the StatefulSet has not been read yet"],
  ["nothing can be seen", { replicas: NOTHING_SEEN, observerFault: "no access" }, "no access"],
  ["the count is 0", { replicas: 0, answer: RUNNING }, "the replica count is not raised yet"],
  ["the count cannot be written", { replicas: 0, scalerFault: "no right" }, "no right"],
  [
    "the pod does not exist",
    { answer: 404 },
    'pod b-0 does not exist yet; the events of the StatefulSet "b" say why, if it is refused',
  ],
  ["the view is old", { answer: 404, observerFault: "no watch" }, "no watch"],
  [
    "the pod says why",
    { answer: REFUSED, pods: [READY], observerFault: "no watch" },
    "pod b-0 is Failed: NodeAffinity: No match",
  ],
  ["the pod says nothing, and the view is old", { answer: RUNNING, observerFault: "no watch" }, "no watch"],
  [
    "no EndpointSlice lists the pod",
    { answer: RUNNING },
    'pod b-0 is Running at 192.0.2.1, but no EndpointSlice of the Service "b-headless" lists it ' +
    "(--headless-service-name)",
  ],
  ["the pod has no address", { answer: PENDING }, "pod b-0 has no address yet"],
  [
    "nobody may ask",
    { answer: 403 },
    'pod b-0 has no address yet, or is still being deleted ("kubectl describe pod b-0" says why)',
  ],
  [
    "the API does not answer",
    { answer: 500 },
    'pod b-0 has no address yet, or is still being deleted ("kubectl describe pod b-0" says why)',
  ],
  ["the old pod is still there", { pods: [TERMINATING] }, "pod b-0 is still terminating"],
  [
    "the new pod is not ready, beside the old one",
    { pods: [TERMINATING, { ready: false }] },
    "pod b-0 is not ready",
  ],
  [
    "only a pod that nobody waits for is there",
    { pods: [{ ordinal: 1, pod: "b-1" }], answer: PENDING },
    "pod b-0 has no address yet",
  ],
  [
    "TLS fails, which is why the pod is not ready",
    { answer: RUNNING, pods: [{ ready: false }], tlsFault: "its certificate has expired", obstacle: "out" },
    "pod b-0 runs, but its certificate has expired",
  ],
  [
    "TLS has failed with the old pod",
    { pods: [TERMINATING], tlsFault: "its certificate has expired" },
    "pod b-0 is still terminating",
  ],
  ["the pod is not ready", { answer: RUNNING, pods: [{ ready: false }] }, "pod b-0 is not ready"],
  [
    "the daemon does not answer",
    { pods: [READY], mode: "grpc" },
    "pod b-0 is ready, but does not answer health checks",
  ],
  [
    "a dial has failed",
    { pods: [READY], mode: "grpc", dialFailed: true },
    "pod b-0 is ready, but connections to it fail",
  ],
  [
    "the daemon does not answer, and the port may be wrong",
    { pods: [READY], mode: "grpc", portDoubt: "another port is declared" },
    "pod b-0 is ready, but does not answer health checks: another port is declared",
  ],
  [
    "the port may be wrong",
    { pods: [READY], dialFailed: true, portDoubt: "another port is declared" },
    "pod b-0 is ready, but connections to it fail: another port is declared",
  ],
  [
    "the pod cannot be connected to",
    { pods: [READY], dialFailed: true },
    "pod b-0 is ready, but connections to it fail",
  ],
  [
    "nobody has tried to connect to the pod, as beside a proxy that may know nothing of this one yet",
    { pods: [READY], portDoubt: "another port is declared" },
    "pod b-0 is ready, but this proxy may not use it yet: another one may be about to scale it down",
  ],
  [
    "there is no way to the pod",
    { answer: RUNNING, pods: [{ ready: false }], wayFault: "no right to forward ports" },
    "pod b-0 cannot be reached: no right to forward ports",
  ],
  [
    "there is no way to the pod, and it says what is wrong with itself",
    { answer: REFUSED, pods: [{ ready: false }], wayFault: "no right to forward ports" },
    "pod b-0 is Failed: NodeAffinity: No match",
  ],
  ["the proxy is cut off", { pods: [READY], obstacle: "cut off", scalerFault: "no right" }, "cut off"],
  [
    "the next pod has no address",
    { replicas: 2, pods: [READY], held: 2, capacity: TWO_PODS, answer: PENDING },
    "pod b-1 has no address yet",
  ],
  [
    "the count cannot be raised for the next pod",
    { pods: [READY], held: 2, capacity: TWO_PODS, answer: RUNNING, scalerFault: "no right" },
    "no right",
  ],
  ["the claim fails", { pods: [READY], scalerFault: "no right" }, "no right"],
];

for (const [because, facts, says] of CASES) {
  Deno.test(`waitExplainer(), ${because}: it says "${says}"`, async () => {
    const { explain } = setUp(facts);
    assert.equal(await explain(SIGNAL), says);
  });
}

Deno.test("waitExplainer() asks for the pod once for all whose time is up within two seconds", async () => {
  const { clock, asked, explain } = setUp({});
  await Promise.all([explain(SIGNAL), explain(SIGNAL)]);
  await clock.advance(2_000);
  await explain(SIGNAL);
  assert.equal(asked.length, 1);
  await clock.advance(1);
  await explain(SIGNAL);
  assert.deepEqual(asked, ["/api/v1/namespaces/n/pods/b-0", "/api/v1/namespaces/n/pods/b-0"]);
});

Deno.test("waitExplainer() asks for the pod by the name that the EndpointSlice gives", async () => {
  const { asked, explain } = setUp({ pods: [{ pod: "b-7" }] });
  await explain(SIGNAL);
  assert.deepEqual(asked, ["/api/v1/namespaces/n/pods/b-7"]);
});

Deno.test("waitExplainer() says what it knows after two seconds without an answer", async () => {
  const { clock, explain } = setUp({ answer: "silence", pods: [READY], dialFailed: true });
  let said: string | undefined;
  void explain(SIGNAL).then((text) => said = text);
  await clock.advance(1_999);
  assert.equal(said, undefined);
  await clock.advance(1);
  assert.equal(said, "pod b-0 is ready, but connections to it fail");
  assert.equal(clock.pending, 0, "no timer is left");
});

Deno.test("waitExplainer() is done at once for whoever is cut, and goes on for the others who ask", async () => {
  const { clock, explain } = setUp({ answer: "silence", pods: [READY], dialFailed: true });
  const cut = new AbortController();
  const said: string[] = [];
  void explain(cut.signal).then((text) => said.push(text));
  void explain(SIGNAL).then((text) => said.push(text));
  cut.abort();
  await settle();
  assert.deepEqual(said, ["the reason was not waited for"]);
  await clock.advance(2_000);
  assert.equal(said[1], "pod b-0 is ready, but connections to it fail");
});

type Status = NonNullable<Pod["status"]>;
type Container = NonNullable<Status["containerStatuses"]>[number];

function container(name: string, more: Partial<Container>): Container {
  return { name, image: "", imageID: "", ready: false, restartCount: 0, ...more };
}

const PULLING = container("buildkitd", {
  state: { waiting: { reason: "ImagePullBackOff", message: "no such image. " } },
});
const INITIALIZING = container("buildkitd", { state: { waiting: { reason: "PodInitializing" } } });
const UNREADY = container("buildkitd", { state: { running: {} } });
const CRASHING = container("buildkitd", {
  restartCount: 4,
  state: { waiting: { reason: "CrashLoopBackOff" } },
  lastState: { terminated: { exitCode: 3 } },
});

const PODS: readonly (readonly [what: string, Pod, says: string | undefined])[] = [
  ["that is being deleted", { metadata: { deletionTimestamp: "2024-01-01T00:00:00Z" } }, "still terminating"],
  ["without a status", {}, undefined],
  [
    "whose container waits",
    { status: { phase: "Pending", containerStatuses: [PULLING] } },
    "Pending: container buildkitd: ImagePullBackOff: no such image",
  ],
  [
    "without a phase, whose container waits",
    { status: { containerStatuses: [PULLING] } },
    "Pending: container buildkitd: ImagePullBackOff: no such image",
  ],
  [
    "whose container was restarted",
    { status: { phase: "Running", containerStatuses: [CRASHING] } },
    "Running: container buildkitd: CrashLoopBackOff; it ended with exit code 3, 4 restarts",
  ],
  [
    "whose init container waits",
    {
      status: {
        phase: "Pending",
        initContainerStatuses: [{ ...PULLING, name: "init" }],
        containerStatuses: [INITIALIZING],
      },
    },
    "Pending: container init: ImagePullBackOff: no such image",
  ],
  [
    "whose init container runs",
    {
      status: {
        phase: "Pending",
        initContainerStatuses: [{ ...UNREADY, name: "init" }],
        containerStatuses: [INITIALIZING],
      },
    },
    "Pending: container init runs but is not ready",
  ],
  [
    "that no node takes",
    {
      status: {
        phase: "Pending",
        conditions: [
          { type: "PodReadyToStartContainers", status: "False", reason: "Other" },
          { type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/3 nodes." },
        ],
      },
    },
    "Pending: Unschedulable: 0/3 nodes",
  ],
  [
    "that has a node",
    {
      status: {
        phase: "Running",
        conditions: [
          { type: "PodScheduled", status: "True", reason: "Fine" },
          { type: "Ready", status: "False", reason: "ContainersNotReady" },
        ],
        containerStatuses: [UNREADY],
      },
    },
    "Running: container buildkitd runs but is not ready",
  ],
  ["that the node has refused", REFUSED, "Failed: NodeAffinity: No match"],
  [
    "whose container has ended",
    {
      status: {
        phase: "Running",
        containerStatuses: [container("buildkitd", { state: { terminated: { exitCode: 0 } } })],
      },
    },
    undefined,
  ],
  [
    "whose container is ready",
    { status: { phase: "Running", containerStatuses: [{ ...UNREADY, ready: true }] } },
    undefined,
  ],
];

for (const [what, pod, says] of PODS) {
  Deno.test(`describePod() of a pod ${what} says ${says === undefined ? "nothing" : `"${says}"`}`, () => {
    assert.equal(describePod(pod), says);
  });
}
