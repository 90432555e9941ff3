/**
 * Notices sessions that have been silent for a while: they use their pod, and are no load on it. A running build is never
 * silent for more than about 5 s. One timer serves all sessions, and none runs without sessions.
 *
 * @module
 */
import type { CancelTimer, Clock } from "../base/clock.ts";
import type { Traffic } from "./relay.ts";

/** Between two looks at all sessions, in ms. */
const LOOK_MS = 15_000;

/** A session that has not changed for so many looks is silent: for 60 s at least. */
const SILENT_LOOKS = 4;

interface Watched {
  readonly traffic: Traffic;
  bytes: number;
  /** Looks since `bytes` has changed. */
  looks: number;
}

/** Watches all sessions. */
export class SilentSessions {
  readonly #clock: Clock;
  readonly #tell: (id: number, isSilent: boolean) => void;
  readonly #watched = new Map<number, Watched>();
  #cancelTimer: CancelTimer | undefined;

  /** Tells `tell` when a session has become silent, or is not any more. */
  constructor(clock: Clock, tell: (id: number, isSilent: boolean) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** Watches a session that has its pod, until `remove`. */
  add(id: number, traffic: Traffic): void {
    this.#watched.set(id, { traffic, bytes: -1, looks: 0 });
    this.#cancelTimer ??= this.#clock.setTimer(LOOK_MS, () => this.#look());
  }

  /** The session has ended. */
  remove(id: number): void {
    this.#watched.delete(id);
    if (this.#watched.size > 0) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #look(): void {
    this.#cancelTimer = this.#clock.setTimer(LOOK_MS, () => this.#look());
    for (const [id, watched] of this.#watched) {
      const { upstreamBytes, downstreamBytes } = watched.traffic;
      const bytes = upstreamBytes + downstreamBytes;
      if (bytes === watched.bytes) {
        if (++watched.looks === SILENT_LOOKS) this.#tell(id, true);
        continue;
      }
      if (watched.looks >= SILENT_LOOKS) this.#tell(id, false);
      watched.bytes = bytes;
      watched.looks = 0;
    }
  }
}
