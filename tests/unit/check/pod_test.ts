/**
 * Findings about pods: which one is asked, and what its answers mean.
 *
 * @module
 */
import assert from "node:assert/strict";
import { noPodFinding, podToAsk, probeFindings, unreadyFinding } from "../../../lib/check/pod.ts";
import type { Backend } from "../../../lib/scaler/backends.ts";
import { absent, faults, found, unread } from "./builders.ts";

function backend(ordinal: number, more: Partial<Backend> = {}): Backend {
  const pod = `builder-${ordinal}`;
  return { ordinal, pod, uid: pod, addresses: ["10.0.0.1"], ready: true, terminating: false, ...more };
}

Deno.test("podToAsk() takes a ready pod, else one that starts, and none that goes", () => {
  const starting = backend(0, { ready: false });
  assert.equal(podToAsk([starting, backend(1)])?.pod, "builder-1");
  assert.equal(podToAsk([starting])?.pod, "builder-0");
  assert.equal(podToAsk([backend(0, { terminating: true }), backend(1, { addresses: [] })]), undefined);
  assert.equal(noPodFinding("builder").result, "unchecked");
});

Deno.test("unreadyFinding() warns of a pod that starts, and finds fault with one that cannot", () => {
  const waiting = (reason: string) =>
    found({
      status: {
        phase: "Pending",
        containerStatuses: [{
          name: "buildkitd",
          image: "a",
          imageID: "",
          ready: false,
          restartCount: 0,
          state: { waiting: { reason, message: "no" } },
        }],
      },
    });
  const of = (read: Parameters<typeof unreadyFinding>[3]) =>
    unreadyFinding("builder", "ci", "builder-0", read);
  for (
    const reason of ["CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError"]
  ) {
    const finding = of(waiting(reason));
    assert.deepEqual([finding.result, finding.fix], [
      "failed",
      "kubectl --namespace ci describe pod builder-0",
    ]);
    assert.match(
      finding.found,
      new RegExp(`^builder-0 is not ready: Pending: container buildkitd: ${reason}: no$`),
    );
  }
  assert.equal(of(waiting("ContainerCreating")).result, "warning");
  const unscheduled = {
    type: "PodScheduled",
    status: "False",
    reason: "Unschedulable",
    message: "0/3 nodes",
  };
  assert.match(
    of(found({ status: { conditions: [unscheduled] } })).found,
    /: Pending: Unschedulable: 0\/3 nodes$/,
  );
  assert.equal(of(found({ status: { conditions: [unscheduled] } })).result, "warning");
  assert.equal(of(found({})).found, "builder-0 is not ready");
  const ready = of(found({ status: { conditions: [{ type: "Ready", status: "True" }] } }));
  assert.deepEqual([ready.result, ready.found], [
    "unchecked",
    "builder-0 is ready, and no EndpointSlice lists it as such",
  ]);
  assert.equal(of(absent).fix, "kubectl --namespace ci describe statefulset builder");
  assert.equal(of(unread).result, "unchecked");
});

Deno.test("probeFindings() tells the way, and what each answer of the health service means", () => {
  const of = (
    answer: "serving" | "not_serving" | "missed" | "unsupported",
    readiness: "auto" | "grpc" = "auto",
  ) => probeFindings("builder", "ci", backend(0), { answer, way: "by its address" }, readiness);
  assert.deepEqual(of("serving").map(({ found }) => found), [
    "builder-0 accepts connections by its address",
    "builder-0 answers SERVING",
  ]);
  assert.deepEqual(faults(of("not_serving")), [
    'failed health service of "builder": builder-0 answers that it does not serve',
  ]);
  assert.deepEqual(faults(of("missed")), [
    'failed health service of "builder": builder-0 accepts connections and does not answer',
  ]);
  assert.equal(of("unsupported")[1]?.result, "warning");
  assert.equal(of("unsupported", "grpc")[1]?.result, "failed");
  const findings = probeFindings("builder", "ci", backend(0), { fault: "refused" }, "auto");
  assert.deepEqual(faults(findings), [
    'failed pod of "builder": refused',
    'unchecked health service of "builder": the pod cannot be reached',
  ]);
});
