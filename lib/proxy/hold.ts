/**
 * What a client does while it has no backend: the bytes that it sends are kept, in order and bounded, and that it leaves
 * is noticed at once. A pending read is how that is noticed; it is handed on to the relay, since only closing the socket
 * cancels it. This is the plain hold: it sends nothing to the client.
 *
 * @module
 */
import type { Conn } from "../base/network.ts";

/** Kept bytes of one session never exceed this; past it reading stops until there is a backend. */
export const SESSION_LIMIT_BYTES = 128 * 1024;

/** Kept bytes of all sessions together never exceed this. */
export const TOTAL_LIMIT_BYTES = 64 * 1024 * 1024;

const READ_BYTES = 4 * 1024;

/** How a held client left: with a FIN (which may also be a half-close), or with an RST. */
export type Leaving = "fin" | "reset";

/** Bytes that all held sessions keep together. */
export class HoldBudget {
  readonly #limitBytes: number;
  readonly #onChange: (usedBytes: number) => void;
  #usedBytes = 0;

  /** Reports the sum to `onChange`. */
  constructor(limitBytes: number, onChange: (usedBytes: number) => void) {
    this.#limitBytes = limitBytes;
    this.#onChange = onChange;
  }

  /** Bytes that may still be kept. */
  get leftBytes(): number {
    return this.#limitBytes - this.#usedBytes;
  }

  /** Keeps (or, if negative, gives back) some bytes. */
  add(bytes: number): void {
    if (bytes === 0) return;
    this.#usedBytes += bytes;
    this.#onChange(this.#usedBytes);
  }
}

/** What a hold hands to the relay. */
export interface HandOver {
  /** What the client has sent, in order. */
  readonly chunks: readonly Uint8Array[];
  /** The read that is still under way: its bytes come next. `null` is the client's FIN. */
  readonly pending: Promise<Uint8Array | null> | undefined;
  /** The client has sent a FIN: nothing comes after the chunks. */
  readonly ended: boolean;
}

/** The hold of one session. */
export class Hold {
  readonly #conn: Conn;
  readonly #budget: HoldBudget;
  readonly #onBytes: () => void;
  readonly #onLeave: (how: Leaving) => void;
  readonly #buffer = new Uint8Array(READ_BYTES);
  #chunks: Uint8Array[] = [];
  #keptBytes = 0;
  #pending: Promise<Uint8Array | null> | undefined;
  #left: Leaving | undefined;
  #over = false;

  /** `onBytes` is called whenever the client has sent something, `onLeave` once when it has left. */
  constructor(conn: Conn, budget: HoldBudget, onBytes: () => void, onLeave: (how: Leaving) => void) {
    this.#conn = conn;
    this.#budget = budget;
    this.#onBytes = onBytes;
    this.#onLeave = onLeave;
  }

  /** How the client left, if it has. */
  get left(): Leaving | undefined {
    return this.#left;
  }

  /** Bytes that the client has sent so far. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** Begins to read. */
  start(): void {
    this.#read();
  }

  /** Ends the hold. Everything that was read, and the read under way, is the relay's now. */
  handOver(): HandOver {
    const handOver = { chunks: this.#chunks, pending: this.#pending, ended: this.#left === "fin" };
    this.end();
    return handOver;
  }

  /** Ends the hold and forgets what was kept. Harmless after `handOver`. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#budget.add(-this.#keptBytes);
    this.#chunks = [];
  }

  #read(): void {
    if (this.#keptBytes + READ_BYTES > SESSION_LIMIT_BYTES || this.#budget.leftBytes < READ_BYTES) {
      this.#pending = undefined;
      return;
    }
    const pending = this.#conn.read(this.#buffer).then((n) => n === null ? null : this.#buffer.slice(0, n));
    this.#pending = pending;
    pending.then((bytes) => {
      if (this.#over) return;
      if (bytes === null) return this.#leave("fin");
      this.#chunks.push(bytes);
      this.#keptBytes += bytes.byteLength;
      this.#budget.add(bytes.byteLength);
      this.#onBytes();
      this.#read();
    }, () => {
      if (!this.#over) this.#leave("reset");
    });
  }

  #leave(how: Leaving): void {
    this.#pending = undefined;
    this.#left = how;
    this.#onLeave(how);
  }
}
