/**
 * A network in memory, without latency: whoever connects gets one end of a {@link MemoryConn}, who listens the other.
 *
 * @module
 */
import {
  type Address,
  type Conn,
  formatAddress,
  type Listener,
  type Network,
} from "../../lib/base/network.ts";
import { MemoryConn } from "./memory_network.ts";

class VirtualListener implements Listener {
  readonly addr: Address;
  readonly #onClose: () => void;
  readonly #waiting: Conn[] = [];
  readonly #accepts: PromiseWithResolvers<Conn>[] = [];
  #closed = false;

  constructor(addr: Address, onClose: () => void) {
    this.addr = addr;
    this.#onClose = onClose;
  }

  accept(): Promise<Conn> {
    const conn = this.#waiting.shift();
    if (conn !== undefined) return Promise.resolve(conn);
    const accept = Promise.withResolvers<Conn>();
    if (this.#closed) accept.reject(new Deno.errors.BadResource("Listener has been closed"));
    else this.#accepts.push(accept);
    return accept.promise;
  }

  close(): void {
    if (this.#closed) throw new Deno.errors.BadResource("Listener has been closed");
    this.#closed = true;
    this.#onClose();
    for (const { reject } of this.#accepts) reject(new Deno.errors.BadResource("Listener has been closed"));
    for (const conn of this.#waiting) conn.close();
  }

  connected(conn: Conn): void {
    const accept = this.#accepts.shift();
    if (accept === undefined) this.#waiting.push(conn);
    else accept.resolve(conn);
  }
}

/** All addresses of one test. */
export class VirtualNetwork implements Network {
  readonly #listeners = new Map<string, VirtualListener>();
  /** Where connections went, in order; those that were refused as well. */
  readonly dialled: string[] = [];

  /** Whether somebody listens there. */
  listensOn(address: Address): boolean {
    return this.#listeners.has(formatAddress(address));
  }

  listen(address: Address): Listener {
    const key = formatAddress(address);
    if (this.#listeners.has(key)) throw new Deno.errors.AddrInUse("Address already in use");
    const listener = new VirtualListener(address, () => this.#listeners.delete(key));
    this.#listeners.set(key, listener);
    return listener;
  }

  connect(address: Address, signal: AbortSignal): Promise<MemoryConn> {
    if (signal.aborted) return Promise.reject(signal.reason);
    const key = formatAddress(address);
    this.dialled.push(key);
    const listener = this.#listeners.get(key);
    if (listener === undefined) {
      return Promise.reject(new Deno.errors.ConnectionRefused("Connection refused"));
    }
    const [ours, theirs] = MemoryConn.pair();
    listener.connected(theirs);
    return Promise.resolve(ours);
  }
}
