/**
 * Lists of the records of all scale targets of a process, for those who need no list of their very moment: one request
 * serves several targets. What the agreement decides by is listed anew each time (`known_records.ts`).
 *
 * @module
 */
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

/** Lists the records of all. */
export class RecordLists {
  readonly #selector: string;
  readonly #ports: RecordListsPorts;
  #last: { readonly askedMs: number; readonly leases: Promise<readonly Lease[]> } | undefined;

  /** Asks nothing yet. `names` are the scale targets. */
  constructor(names: readonly string[], ports: RecordListsPorts) {
    this.#selector = recordsSelector(names);
    this.#ports = ports;
  }

  /** One that was asked for in the last `maxAgeMs`, or is from now on. @throws what the API says */
  async get(maxAgeMs: number, signal: AbortSignal): Promise<RecordList> {
    const { clock, leases } = this.#ports;
    const nowMs = clock.nowMs();
    if (this.#last === undefined || nowMs - this.#last.askedMs > maxAgeMs) {
      this.#last = { askedMs: nowMs, leases: leases.list(this.#selector, signal) };
    }
    const last = this.#last;
    try {
      return { askedMs: last.askedMs, leases: await last.leases };
    } catch (error) {
      if (this.#last === last) this.#last = undefined;
      throw error;
    }
  }
}
