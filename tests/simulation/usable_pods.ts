/**
 * Which pods can take sessions, and since when, as the cluster has it: what a proxy that sees everything would know. It
 * changes nothing. Times in true ms.
 *
 * @module
 */
import type { KubeObject } from "../../lib/miniature/objects.ts";
import { isReady, ordinalOf, setNameOf } from "../../lib/miniature/pods.ts";

/** A pod that can take sessions. */
export interface Usable {
  readonly uid: string;
  readonly name: string;
  /** Its StatefulSet. */
  readonly set: string;
  readonly ordinal: number;
  readonly sinceMs: number;
}

/** All pods that can take sessions now. */
export class UsablePods {
  readonly #pods = new Map<string, Usable>();
  /** For how many reasons nobody can read a StatefulSet, and until when that was so. */
  readonly #hidden = new Map<string, { count: number; untilMs: number }>();

  /** A pod was written, or is gone. */
  stored(before: KubeObject | undefined, after: KubeObject | undefined, nowMs: number): void {
    if (before !== undefined && before.metadata.uid !== after?.metadata.uid) {
      this.#pods.delete(before.metadata.uid);
    }
    if (after === undefined) return;
    const { uid, name, deletionTimestamp } = after.metadata;
    if (!isReady(after) || deletionTimestamp !== undefined) this.#pods.delete(uid);
    else if (!this.#pods.has(uid)) {
      this.#pods.set(uid, { uid, name, set: setNameOf(name), ordinal: ordinalOf(after), sinceMs: nowMs });
    }
  }

  /** Nobody can read this StatefulSet, until the returned function is called with the time. */
  hide(set: string): (nowMs: number) => void {
    const hidden = this.#hidden.get(set) ?? { count: 0, untilMs: -Infinity };
    this.#hidden.set(set, hidden);
    hidden.count++;
    return (nowMs) => {
      hidden.count--;
      hidden.untilMs = nowMs;
    };
  }

  /** Until when nobody could read a StatefulSet: Infinity while that lasts. */
  hiddenUntilMs(set: string): number {
    const { count = 0, untilMs = -Infinity } = this.#hidden.get(set) ?? {};
    return count > 0 ? Infinity : untilMs;
  }

  /** Those that can take sessions now, of StatefulSets that can be read. */
  get all(): readonly Usable[] {
    return [...this.#pods.values()]
      .map((pod) => ({ ...pod, sinceMs: Math.max(pod.sinceMs, this.hiddenUntilMs(pod.set)) }))
      .filter(({ sinceMs }) => sinceMs < Infinity);
  }

  /** A pod that could take sessions all the time since then: of any StatefulSet, or of one of these. */
  since(ms: number, sets?: readonly string[]): string | undefined {
    return this.all.find(({ set, sinceMs }) => sinceMs <= ms && (sets?.includes(set) ?? true))?.name;
  }
}
