/**
 * How the container ended whose daemon has reset a session, where the rights permit to ask: killed for its memory, say.
 * The kubelet reports late, so the pod is read a few times, once for all sessions that it has reset. Decides nothing.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import type { Pod } from "../kube/types.ts";
import type { Backend } from "./backends.ts";
import { askForPod, type PodInquiryPorts } from "./pod_inquiry.ts";

/** From the reset to the first read, and from one read's answer to the next read, in ms. */
const PAUSES_MS = [1_000, 2_000, 3_000];

/** The clocks of nodes differ from this machine's by no more than this, in ms, or nothing is said. */
const CLOCK_SKEW_MS = 10_000;

/** The kubelet gives times to the second. */
const ROUNDING_MS = 1_000;

/** Told how the pod ended, once; undefined if that is not known. Must not throw. */
export type TellEnd = (how: string | undefined) => void;

/** A session that waits to be told. */
interface Asking {
  /** The end of a container before this is not what has reset the session, wall ms. */
  readonly sinceMs: number;
  readonly tell: TellEnd;
}

/** Explains resets. */
export class ResetExplainer {
  readonly #namespace: string;
  readonly #ports: PodInquiryPorts;
  /** By the pods' uids. */
  readonly #asking = new Map<string, Set<Asking>>();
  readonly #series = new Set<Promise<void>>();
  readonly #over = new AbortController();

  /** Asks nothing yet. */
  constructor(namespace: string, ports: PodInquiryPorts) {
    this.#namespace = namespace;
    this.#ports = ports;
  }

  /** A pod has just reset a session that was connected to it for so long: tells how its container ended, once known. */
  explain(backend: Backend, connectedForMs: number, tell: TellEnd): void {
    if (this.#over.signal.aborted) return tell(undefined);
    const livedMs = Math.min(connectedForMs, CLOCK_SKEW_MS) + ROUNDING_MS;
    const one: Asking = { sinceMs: this.#ports.clock.wallMs() - livedMs, tell };
    const others = this.#asking.get(backend.uid);
    if (others !== undefined) return void others.add(one);
    const asking = new Set([one]);
    this.#asking.set(backend.uid, asking);
    const series = this.#askAll(backend, asking).catch(() => {}).finally(() => {
      this.#series.delete(series);
    });
    this.#series.add(series);
  }

  /** Tells all who still wait, and asks nothing any more. */
  async end(): Promise<void> {
    this.#over.abort(new Error("Explanations are no longer needed"));
    await Promise.all(this.#series);
  }

  async #askAll({ pod, uid }: Backend, asking: Set<Asking>): Promise<void> {
    const { clock } = this.#ports;
    const { signal } = this.#over;
    try {
      while (asking.size > 0) {
        let first: readonly Asking[] = [];
        for (const [i, pauseMs] of PAUSES_MS.entries()) {
          await sleep(clock, pauseMs, signal);
          // Those who come after the first pause may need another series.
          if (i === 0) first = [...asking];
          const found = await askForPod(this.#namespace, pod, this.#ports, signal);
          if (found === "forbidden") return;
          if (found === undefined) continue;
          const isLast = i === PAUSES_MS.length - 1;
          for (const one of asking) {
            const how = describeEnd(found, { pod, uid }, one.sinceMs, clock.wallMs(), isLast);
            if (how !== undefined && asking.delete(one)) one.tell(how);
          }
          if (asking.size === 0) return;
        }
        for (const one of first) if (asking.delete(one)) one.tell(undefined);
      }
    } finally {
      this.#asking.delete(uid);
      for (const { tell } of asking) tell(undefined);
    }
  }
}

/**
 * How a pod, or a container of it, ended between two times, in words; undefined if neither is known to have. That it is
 * being deleted says so little that it counts only when nothing else is going to be known, `isLast`.
 */
export function describeEnd(
  found: Pod | "missing",
  { pod, uid }: Pick<Backend, "pod" | "uid">,
  sinceMs: number,
  nowMs: number,
  isLast: boolean,
): string | undefined {
  if (found === "missing" || found.metadata?.uid !== uid) return `pod ${pod} is gone`;
  const { phase, reason, message, containerStatuses = [] } = found.status ?? {};
  // The node has ended the pod: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
  if (phase === "Failed" && reason !== undefined) {
    return [`pod ${pod} has failed`, reason, message?.trim().replace(/\.$/, "")].filter(Boolean).join(": ");
  }
  const ended = containerStatuses.flatMap(({ name, state, lastState }) => {
    const end = [state?.terminated, lastState?.terminated].find((it) => {
      const endedMs = Date.parse(it?.finishedAt ?? "");
      return endedMs >= sinceMs && endedMs <= nowMs + CLOCK_SKEW_MS;
    });
    if (end === undefined) return [];
    const cause = end.reason === undefined ? "" : `: ${end.reason}`;
    return [`container ${name} of pod ${pod} ended with exit code ${end.exitCode}${cause}`];
  });
  if (ended.length > 0) return ended.join("; ");
  return isLast && found.metadata.deletionTimestamp !== undefined ? `pod ${pod} is being deleted` : undefined;
}
