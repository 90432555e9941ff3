/**
 * Which pods can take sessions, and since when, as the cluster has it: what a proxy that sees everything would know. It
 * changes nothing. Times in true ms.
 *
 * @module
 */
import type { KubeObject } from "../../lib/miniature/objects.ts";
import { isReady, setNameOf } from "../../lib/miniature/pods.ts";

/** A pod that can take sessions. */
interface Usable {
  readonly name: string;
  readonly sinceMs: number;
}

/** All pods that can take sessions now. */
export class UsablePods {
  readonly #pods = new Map<string, Usable>();
  /** Until when nobody could read a StatefulSet: Infinity while that lasts. */
  readonly #hiddenUntilMs = new Map<string, number>();

  /** A pod was written, or is gone. */
  stored(before: KubeObject | undefined, after: KubeObject | undefined, nowMs: number): void {
    if (before !== undefined && before.metadata.uid !== after?.metadata.uid) {
      this.#pods.delete(before.metadata.uid);
    }
    if (after === undefined) return;
    const { uid, name, deletionTimestamp } = after.metadata;
    if (!isReady(after) || deletionTimestamp !== undefined) this.#pods.delete(uid);
    else if (!this.#pods.has(uid)) this.#pods.set(uid, { name, sinceMs: nowMs });
  }

  /** Nobody can read this StatefulSet, until the returned function is called with the time. */
  hide(set: string): (nowMs: number) => void {
    this.#hiddenUntilMs.set(set, Infinity);
    return (nowMs) => void this.#hiddenUntilMs.set(set, nowMs);
  }

  /** A pod that could take sessions all the time since then: of any StatefulSet, or of this one. */
  since(ms: number, set?: string): string | undefined {
    for (const { name, sinceMs } of this.#pods.values()) {
      if (set !== undefined && setNameOf(name) !== set) continue;
      if (Math.max(sinceMs, this.#hiddenUntilMs.get(setNameOf(name)) ?? -Infinity) <= ms) return name;
    }
    return undefined;
  }
}
