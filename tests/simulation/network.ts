/**
 * The simulation's network: who listens where, how a connection is made, and which machines cannot reach each other, on
 * simulated time. What happens on a connection is in `connection.ts`.
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
import { type End, type NetworkWeather, Pair, type Wires } from "./connection.ts";
import type { Machine, WorldTime } from "./time.ts";

/** The network. */
export class SimulatedNetwork implements Wires {
  /** Every connection that is not closed on both ends. */
  readonly pairs = new Set<Pair>();
  /** Told when something is written to a connection that a fault has broken. */
  onBroken: (end: End) => void = () => {};
  /** Told when it shows whose bytes go over a connection, before they do. */
  onClient: (end: End) => void = () => {};
  readonly #world: WorldTime;
  readonly #weather: NetworkWeather;
  readonly #listeners = new Map<string, SimulatedListener>();
  readonly #cut = new Set<string>();
  #ports = 30_000;

  /** Nothing listens at first. */
  constructor(world: WorldTime, weather: NetworkWeather) {
    this.#world = world;
    this.#weather = weather;
  }

  /** The network as one process sees it. */
  of(machine: Machine): Network {
    return {
      listen: (address) => this.#listen(machine, address),
      connect: (address, signal) => this.#connect(machine, address, signal),
    };
  }

  /** Nothing passes between a machine and the other (all others, with `*`), until it is mended. */
  partition(machine: Machine, other: string): () => void {
    const key = `${machine.name} ${other}`;
    this.#cut.add(key);
    return () => {
      this.#cut.delete(key);
      for (const pair of this.pairs) pair.look();
    };
  }

  /** Whether nothing passes between two machines now. */
  isCut(a: Machine, b: Machine): boolean {
    return this.#cut.size > 0 && [
      `${a.name} ${b.name}`,
      `${b.name} ${a.name}`,
      `${a.name} *`,
      `${b.name} *`,
    ].some((key) => this.#cut.has(key));
  }

  /** The process is gone: its kernel closes its sockets. */
  killed(machine: Machine): void {
    for (const [key, listener] of this.#listeners) {
      if (listener.machine === machine) this.#listeners.delete(key);
    }
    for (const pair of [...this.pairs]) {
      for (const end of pair.ends) if (end.machine === machine) end.abandon();
    }
  }

  /** The weather, for the ends. */
  get weather(): NetworkWeather {
    return this.#weather;
  }

  /** The time, for the ends. */
  get world(): WorldTime {
    return this.#world;
  }

  #listen(machine: Machine, address: Address): Listener {
    const port = address.port === 0 ? this.#ports++ : address.port;
    const key = formatAddress({ ...address, port });
    if (this.#listeners.has(key)) throw new Deno.errors.AddrInUse("Address already in use");
    const listener = new SimulatedListener(machine, { ...address, port }, () => this.#listeners.delete(key));
    this.#listeners.set(key, listener);
    return listener;
  }

  #connect(machine: Machine, address: Address, signal: AbortSignal): Promise<Conn> {
    const { promise, resolve, reject } = Promise.withResolvers<Conn>();
    if (signal.aborted) return Promise.reject(signal.reason);
    const beside = this.#loadAt(address);
    let over = false;
    const onAbort = () => {
      over = true;
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const end = (what: () => void) =>
      machine.deliver(() => {
        signal.removeEventListener("abort", onAbort);
        what();
      });
    const back = (what: () => void) => this.#world.setTimer(this.#weather.latencyMs(), () => end(what));
    this.#world.setTimer(this.#weather.latencyMs(), () => {
      const listener = this.#listeners.get(formatAddress(address));
      if (listener === undefined) {
        back(() => reject(new Deno.errors.ConnectionRefused("Connection refused (os error 111)")));
      } else if (!this.isCut(machine, listener.machine)) {
        const from = { hostname: machine.name, port: this.#ports++ };
        const pair = new Pair(this, machine, address, listener.machine, from);
        pair.ends[0].beside = beside;
        this.pairs.add(pair);
        listener.arrive(pair.ends[1]);
        back(() => {
          if (over) pair.ends[0].abandon();
          else resolve(pair.ends[0]);
        });
      }
    });
    return promise;
  }

  #loadAt(address: Address): number {
    const at = formatAddress(address);
    return [...this.pairs].filter(({ ends: [dialler] }) =>
      dialler.mayBeLoad && formatAddress(dialler.remoteAddr) === at
    ).length;
  }
}

class SimulatedListener implements Listener {
  readonly machine: Machine;
  readonly addr: Address;
  readonly #onClose: () => void;
  readonly #backlog: End[] = [];
  readonly #waiting: PromiseWithResolvers<Conn>[] = [];
  #closed = false;

  constructor(machine: Machine, addr: Address, onClose: () => void) {
    this.machine = machine;
    this.addr = addr;
    this.#onClose = onClose;
  }

  arrive(end: End): void {
    this.#backlog.push(end);
    this.machine.deliver(() => this.#match());
  }

  accept(): Promise<Conn> {
    if (this.#closed) return Promise.reject(new Deno.errors.BadResource("Listener has been closed"));
    const waiting = Promise.withResolvers<Conn>();
    this.#waiting.push(waiting);
    this.#match();
    return waiting.promise;
  }

  close(): void {
    if (this.#closed) throw new Deno.errors.BadResource("Listener has been closed");
    this.#closed = true;
    this.#onClose();
    for (const { reject } of this.#waiting) reject(new Deno.errors.BadResource("Listener has been closed"));
    for (const end of this.#backlog) {
      end.pair.broken = true;
      end.abandon();
    }
  }

  #match(): void {
    while (!this.#closed && this.#backlog.length > 0 && this.#waiting.length > 0) {
      const end = this.#backlog.shift()!;
      this.#waiting.shift()!.resolve(end);
    }
  }
}
