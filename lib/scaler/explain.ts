/**
 * Why no pod is ready, in words for the client whose time is up: what is known anyway and, where the rights permit,
 * what the API says of the pod. Reads only; decides nothing.
 *
 * @module
 */
import { orAborted } from "../base/or_aborted.ts";
import type { Pod } from "../kube/types.ts";
import { awaitedBy } from "./builder_state.ts";
import type { Observer, ScaleTarget } from "./observer.ts";
import type { Peers } from "./peers.ts";
import type { Placement } from "./placement.ts";
import { askForPod, type PodInquiryPorts } from "./pod_inquiry.ts";
import type { Scaling } from "./scaling.ts";

/** What the explanation is drawn from. */
export interface ExplainPorts extends PodInquiryPorts {
  /** The pods as seen. */
  readonly placement: Placement;
  /** Knows why nothing is seen, and what pods are called. */
  readonly observer: Pick<Observer, "fault" | "podName" | "portDoubt">;
  /** Knows why nothing is written. */
  readonly scaler: Pick<Scaling, "fault">;
  /** Knows why no pod can be reached from here, where the pods are not the cause. */
  readonly upstream: { readonly fault: string | undefined };
  /** Knows why this proxy sends nobody to a pod that is ready. */
  readonly peers: Pick<Peers, "obstacle">;
  /** Knows why the last connection to a pod has failed in TLS, where connections speak that. */
  readonly upstreamTls?: { readonly fault: string | undefined } | undefined;
}

/** How long an explanation serves all clients whose time is up, in ms. */
const KEEP_MS = 2_000;

/** Said to nobody: whoever has asked is being cut. */
const NOT_KNOWN = "the reason was not waited for";

/** Makes the function that explains, until its signal is aborted. It never throws. */
export function waitExplainer(
  target: ScaleTarget,
  ports: ExplainPorts,
): (signal: AbortSignal) => Promise<string> {
  let last: { readonly text: Promise<string>; readonly atMs: number } | undefined;
  return (signal) => {
    const nowMs = ports.clock.nowMs();
    if (last === undefined || nowMs - last.atMs > KEEP_MS) {
      // Without a signal: it bounds its own time, and whoever asks first may leave before the others.
      last = { text: explain(target, ports), atMs: nowMs };
    }
    return orAborted(last.text, signal).catch(() => NOT_KNOWN);
  };
}

async function explain(target: ScaleTarget, ports: ExplainPorts): Promise<string> {
  const { placement, observer, scaler } = ports;
  const { agreement, pods } = placement;
  if (agreement.seen === undefined) return observer.fault ?? "the StatefulSet has not been read yet";
  // Others may be there and ready: nobody waits for them.
  const awaited = awaitedBy(placement) ?? 0;
  if (agreement.seen.replicas <= awaited) return scaler.fault ?? "the replica count is not raised yet";
  const candidates = pods.all.filter(({ ordinal }) => ordinal === awaited);
  const backend = candidates.find(({ terminating }) => !terminating) ?? candidates[0];
  const name = backend?.pod ?? observer.podName(awaited);
  const found = await askForPod(target.namespace, name, ports);
  if (found === "missing") {
    return observer.fault ??
      `pod ${name} does not exist yet; the events of the StatefulSet "${target.name}" say why, if it is refused`;
  }
  const tlsFault = ports.upstreamTls?.fault;
  if (tlsFault !== undefined && backend?.terminating === false) return `pod ${name} runs, but ${tlsFault}`;
  const pod = found === "forbidden" ? undefined : found;
  const said = pod === undefined ? undefined : describePod(pod);
  if (said !== undefined) return `pod ${name} is ${said}`;
  const { fault } = ports.upstream;
  if (fault !== undefined && backend !== undefined) return `pod ${name} cannot be reached: ${fault}`;
  if (observer.fault !== undefined) return observer.fault;
  if (backend === undefined && pod?.status?.podIP !== undefined) {
    return `pod ${name} is ${pod.status.phase} at ${pod.status.podIP}, but no EndpointSlice of the Service ` +
      `"${target.service}" lists it (--headless-service-name)`;
  }
  if (backend === undefined) {
    return pod === undefined
      ? `pod ${name} has no address yet, or is still being deleted ("kubectl describe pod ${name}" says why)`
      : `pod ${name} has no address yet`;
  }
  if (backend.terminating) return `pod ${name} is still terminating`;
  if (!backend.ready) return `pod ${name} is not ready`;
  const hint = observer.portDoubt === undefined ? "" : `: ${observer.portDoubt}`;
  const { unhealthy, refused } = pods.healthOf(backend.uid);
  if (!pods.isReady(backend) && !unhealthy) {
    return `pod ${name} is ready, but does not answer health checks${hint}`;
  }
  const why = refused.dials > 0
    ? `connections to it fail${hint}`
    : "this proxy may not use it yet: another one may be about to scale it down";
  return ports.peers.obstacle ?? scaler.fault ?? `pod ${name} is ready, but ${why}`;
}

/** `Pending: Unschedulable: 0/3 nodes are available`, or undefined when the pod has nothing to say for itself. */
export function describePod({ metadata, status }: Pod): string | undefined {
  if (metadata?.deletionTimestamp !== undefined) return "still terminating";
  const phase = status?.phase ?? "Pending";
  const containers = [...status?.initContainerStatuses ?? [], ...status?.containerStatuses ?? []];
  for (const { name, state, lastState, restartCount } of containers) {
    if (state?.waiting?.reason !== undefined && state.waiting.reason !== "PodInitializing") {
      const ended = lastState?.terminated;
      const before = ended === undefined
        ? ""
        : `; it ended with exit code ${ended.exitCode}, ${restartCount} restarts`;
      return `${phase}: container ${name}: ${sentence(state.waiting)}${before}`;
    }
  }
  const failed = status?.conditions?.find(({ type, status }) =>
    type === "PodScheduled" && status === "False"
  );
  if (failed !== undefined) return `${phase}: ${sentence(failed)}`;
  if (status?.reason !== undefined) return `${phase}: ${sentence(status)}`;
  const unready = containers.find(({ ready, state }) => !ready && state?.running !== undefined);
  return unready === undefined ? undefined : `${phase}: container ${unready.name} runs but is not ready`;
}

function sentence({ reason, message }: { reason?: string; message?: string }): string {
  return [reason, message?.trim().replace(/\.$/, "")].filter(Boolean).join(": ");
}
