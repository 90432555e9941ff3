/**
 * How long a pod of the StatefulSet takes from its creation until it is ready, by what its own conditions say of the last
 * start: what a client would wait in a cold start. Where that is not known, an assumption. Reads only.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import { Notifier } from "../base/notifier.ts";
import type { Pod } from "../kube/types.ts";
import type { Placement } from "./placement.ts";
import { askForPod, type PodInquiryPorts } from "./pod_inquiry.ts";

/** What is taken for the time that a start takes while nothing was measured, in ms. */
export const ASSUMED_START_MS = 30_000;

/** What takes longer is no start: the readiness has come and gone in between. In ms. */
const LONGEST_START_MS = 600_000;

/** Between two questions, in ms. */
const ASK_MS = 60_000;

/** What it is found out with. */
export interface PodStartPorts extends PodInquiryPorts {
  /** Knows the pods. */
  readonly placement: Pick<Placement, "pods" | "subscribeBeyondLoad">;
}

/** Knows how long a start takes. */
export class PodStart {
  readonly #namespace: string;
  readonly #ports: PodStartPorts;
  #measuredMs: number | undefined;

  /** Asks nothing yet: `run` does. */
  constructor(namespace: string, ports: PodStartPorts) {
    this.#namespace = namespace;
    this.#ports = ports;
  }

  /** How long a start takes, in ms. */
  get ms(): number {
    return this.#measuredMs ?? ASSUMED_START_MS;
  }

  /** It was measured on a pod; otherwise it is {@link ASSUMED_START_MS}. */
  get isMeasured(): boolean {
    return this.#measuredMs !== undefined;
  }

  /** Asks for each pod once that is ready, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, placement } = this.#ports;
    const changed = new Notifier();
    placement.subscribeBeyondLoad(() => changed.notify());
    const known = new Set<string>();
    for (;;) {
      const pod = placement.pods.all.find(({ uid, ready }) => ready && !known.has(uid));
      if (pod === undefined) {
        await changed.wait(clock, Infinity, signal);
        continue;
      }
      const found = await askForPod(this.#namespace, pod.pod, this.#ports, signal);
      signal.throwIfAborted();
      if (found !== undefined && found !== "forbidden") {
        if (known.size > MOST_KNOWN) known.clear();
        known.add(pod.uid);
      }
      if (typeof found === "object") this.#measuredMs = startMsOf(found) ?? this.#measuredMs;
      else await sleep(clock, ASK_MS, signal);
    }
  }
}

/** Pods that were asked for and are remembered. */
const MOST_KNOWN = 1_000;

/**
 * How long the pod has taken to become ready, in ms; undefined if that cannot be seen. Its times are whole seconds. A
 * container that was started again has become ready more than once.
 */
export function startMsOf({ metadata, status }: Pod): number | undefined {
  const ready = status?.conditions?.find(({ type, status }) => type === "Ready" && status === "True");
  const ms = Date.parse(`${ready?.lastTransitionTime}`) - Date.parse(`${metadata?.creationTimestamp}`);
  const restarts = status?.containerStatuses?.some(({ restartCount }) => restartCount > 0) ?? false;
  return restarts || !(ms >= 0 && ms <= LONGEST_START_MS) ? undefined : Math.max(1_000, ms);
}
