/**
 * Lists of the records of all scale targets of a process, for those who need no list of their very moment: one request
 * serves several targets. What the agreement decides by is listed anew each time (`known_records.ts`).
 *
 * @module
 */
import { orAborted } from "../base/or_aborted.ts";
import type { BasePorts } from "../base/ports.ts";
import type { LeaseApi } from "../kube/leases.ts";
import type { Lease } from "../kube/types.ts";
import { recordsSelector } from "./record.ts";

/** What lists are made with. */
export interface RecordListsPorts extends Pick<BasePorts, "clock"> {
  /** Lists Leases. */
  readonly leases: Pick<LeaseApi, "list">;
}

/** A consistent list. */
export interface RecordList {
  /** When it was asked for, monotonic ms: it is not older than that. */
  readonly askedMs: number;
  /** The records of all scale targets. */
  readonly leases: readonly Lease[];
}

/** A list that was asked for, for all who have called since. */
interface Asked {
  readonly askedMs: number;
  readonly leases: Promise<readonly Lease[]>;
  /** Ends the request. */
  readonly abort: AbortController;
  /** Callers that wait for it. */
  waiting: number;
}

/** Lists the records of all. */
export class RecordLists {
  readonly #selector: string;
  readonly #ports: RecordListsPorts;
  #last: Asked | undefined;

  /** Asks nothing yet. `names` are the scale targets. */
  constructor(names: readonly string[], ports: RecordListsPorts) {
    this.#selector = recordsSelector(names);
    this.#ports = ports;
  }

  /**
   * One that was asked for in the last `maxAgeMs`, or is from now on. A request that several callers wait for goes on when
   * one of them leaves.
   *
   * @throws what the API says, or the reason of `signal`
   */
  async get(maxAgeMs: number, signal: AbortSignal): Promise<RecordList> {
    signal.throwIfAborted();
    const nowMs = this.#ports.clock.nowMs();
    if (this.#last === undefined || nowMs - this.#last.askedMs > maxAgeMs) this.#last = this.#ask(nowMs);
    const last = this.#last;
    last.waiting++;
    try {
      return { askedMs: last.askedMs, leases: await orAborted(last.leases, signal) };
    } catch (error) {
      // The others that wait have failed with it, or still want it.
      if (last.waiting === 1 || !signal.aborted) this.#forget(last, error);
      throw error;
    } finally {
      last.waiting--;
    }
  }

  #ask(askedMs: number): Asked {
    const abort = new AbortController();
    return { askedMs, leases: this.#ports.leases.list(this.#selector, abort.signal), abort, waiting: 0 };
  }

  #forget(asked: Asked, reason: unknown): void {
    asked.abort.abort(reason);
    if (this.#last === asked) this.#last = undefined;
  }
}
