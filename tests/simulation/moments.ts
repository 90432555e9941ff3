/**
 * The moments in which things go wrong, if they do: clients and faults wait for them, so that they meet more often than
 * by chance.
 *
 * @module
 */
import type { Clock } from "../../lib/base/clock.ts";
import type { ProxyProcess } from "./proxy_process.ts";

/** What happens at a moment. */
export const MOMENTS = [
  /** A leader sends out what it wants. */
  "announce",
  /** A leader sends the write of a lower count. */
  "lower",
  /** Such a write has landed. */
  "lowered",
  /** A proxy starts, and joins the others within moments. */
  "join",
  /** A proxy dials a pod. */
  "dial",
] as const;

/** One of {@link MOMENTS}. */
export type Moment = typeof MOMENTS[number];

interface Waiter {
  readonly kind: Moment;
  readonly go: (proxy: ProxyProcess | undefined) => void;
}

/** Tells of moments. */
export class Moments {
  readonly #waiting = new Set<Waiter>();

  /** It happens now; to this proxy, where it is one's affair. */
  happens(kind: Moment, proxy: ProxyProcess | undefined): void {
    for (const waiter of [...this.#waiting]) if (waiter.kind === kind) waiter.go(proxy);
  }

  /** Resolves at the next moment of this kind with the proxy concerned, or with none when the time or the signal says so. */
  next(kind: Moment, clock: Clock, limitMs: number, signal: AbortSignal): Promise<ProxyProcess | undefined> {
    return new Promise((resolve) => {
      const go = (proxy: ProxyProcess | undefined) => {
        this.#waiting.delete(waiter);
        cancel();
        signal.removeEventListener("abort", onEnd);
        resolve(proxy);
      };
      const onEnd = () => go(undefined);
      const waiter: Waiter = { kind, go };
      const cancel = clock.setTimer(limitMs, onEnd);
      signal.addEventListener("abort", onEnd, { once: true });
      if (signal.aborted) return onEnd();
      this.#waiting.add(waiter);
    });
  }
}
