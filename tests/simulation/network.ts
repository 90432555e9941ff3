/**
 * The simulation's TCP: connections with latency, bounded windows, slicing, resets and silence, on simulated time. A
 * process that stands still has a kernel that goes on: connections are made and bytes arrive, and nobody reads them.
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
import type { Machine, WorldTime } from "./time.ts";

/** How the network behaves at present. */
export interface NetworkWeather {
  /** One way, one packet. */
  latencyMs(): number;
  /** How many of so many bytes one call takes. */
  slice(bytes: number): number;
}

/** Bytes that may be under way or unread in one direction. */
const WINDOW_BYTES = 16 * 1024;

/** A client's number stands within the first bytes. */
const OPENING_BYTES = 400;

/** The network. */
export class SimulatedNetwork {
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

/** What goes over the wire. */
type Packet = Uint8Array | "fin" | "rst";

/** One connection: the end that dialled, and the other. */
export class Pair {
  /** The network. */
  readonly network: SimulatedNetwork;
  /** Dialler, listener. */
  readonly ends: readonly [End, End];
  /** Nothing passes any more, and nobody is told. */
  silent = false;
  /** A fault has broken it. */
  broken = false;

  /** Made by {@link SimulatedNetwork}. */
  constructor(network: SimulatedNetwork, a: Machine, toA: Address, b: Machine, toB: Address) {
    this.network = network;
    this.ends = [new End(this, a, toA), new End(this, b, toB)];
  }

  /** The other end. */
  other(end: End): End {
    return this.ends[0] === end ? this.ends[1] : this.ends[0];
  }

  /** Whether nothing passes now. */
  get isCut(): boolean {
    return this.silent || this.network.isCut(this.ends[0].machine, this.ends[1].machine);
  }

  /** A fault: both ends see a reset. */
  reset(): void {
    this.broken = true;
    for (const end of this.ends) end.take("rst");
  }

  /** A fault: nothing passes any more. */
  silence(): void {
    this.broken = true;
    this.silent = true;
  }

  /** Something may pass again. */
  look(): void {
    if (this.isCut) return;
    for (const end of this.ends) end.catchUp();
  }

  /** Forgets it when nobody uses it. */
  closed(): void {
    if (this.ends[0].closed && this.ends[1].closed) this.network.pairs.delete(this);
  }
}

/** One end of a connection. */
export class End implements Conn {
  /** The process that has it. */
  readonly machine: Machine;
  readonly remoteAddr: Address;
  /** The connection. */
  readonly pair: Pair;
  /** The client whose bytes were written first, once that can be told. */
  client: number | undefined;
  /** For an end that a proxy has dialled: when it got it, true ms. */
  seatedMs = Infinity;
  /** And the count that it had seen by then. */
  observed = Infinity;
  /** And whether it was cut off from the API by then, and served all the same. */
  seatedCutOff = false;
  #opening = "";
  #inbox: Uint8Array[] = [];
  #unreadBytes = 0;
  #arriveMs = 0;
  #stalled: Packet[] = [];
  #ended = false;
  #finished = false;
  #closed = false;
  #fault: Error | undefined;
  #waiting: (() => void)[] = [];

  /** Made by {@link Pair}. */
  constructor(pair: Pair, machine: Machine, remoteAddr: Address) {
    this.pair = pair;
    this.machine = machine;
    this.remoteAddr = remoteAddr;
  }

  /** Whether this end is no more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Whether it is closed, or is known here to be broken. */
  get over(): boolean {
    return this.#closed || this.#fault !== undefined;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    for (;;) {
      this.#check();
      if (this.#inbox.length > 0) return this.#give(buffer);
      if (this.#ended) return null;
      await this.#change();
    }
  }

  async write(bytes: Uint8Array): Promise<number> {
    const peer = this.pair.other(this);
    // Whose bytes would have gone to a connection that a fault has broken before?
    if (this.pair.broken && this.client === undefined) {
      this.#identify(bytes);
      this.pair.network.onBroken(this);
    }
    for (;;) {
      this.#check();
      if (this.#finished) throw new Deno.errors.BrokenPipe("Broken pipe (os error 32)");
      const room = WINDOW_BYTES - peer.#unreadBytes;
      if (room > 0) {
        const n = this.pair.network.weather.slice(Math.min(room, bytes.byteLength));
        if (this.client === undefined) this.#identify(bytes.subarray(0, n));
        peer.#unreadBytes += n;
        peer.send(bytes.slice(0, n));
        return n;
      }
      await this.#change();
    }
  }

  async closeWrite(): Promise<void> {
    this.#check();
    this.#finished = true;
    this.pair.other(this).send("fin");
    await Promise.resolve();
  }

  close(): void {
    if (this.#closed) throw new Deno.errors.BadResource("Bad resource ID");
    this.abandon();
  }

  setNoDelay(): void {}

  setKeepAlive(): void {}

  /** Closes it if it is open, as a kernel does when the process is gone. */
  abandon(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#finished || this.#inbox.length > 0) {
      this.pair.other(this).send(this.#inbox.length > 0 ? "rst" : "fin");
    }
    this.#wake();
    this.pair.closed();
  }

  /** A packet for this end leaves its peer. */
  send(packet: Packet): void {
    const { world, weather } = this.pair.network;
    this.#arriveMs = Math.max(this.#arriveMs, world.nowMs() + weather.latencyMs());
    world.setTimer(this.#arriveMs - world.nowMs(), () => {
      if (this.pair.isCut || this.#stalled.length > 0) this.#stalled.push(packet);
      else this.take(packet);
    });
  }

  /** What could not pass arrives. */
  catchUp(): void {
    const stalled = this.#stalled;
    this.#stalled = [];
    for (const packet of stalled) this.take(packet);
  }

  /** A packet arrives. */
  take(packet: Packet): void {
    if (packet === "rst") {
      this.#fault ??= new Deno.errors.ConnectionReset("Connection reset by peer (os error 104)");
      this.#inbox = [];
      this.#wake();
    } else if (packet === "fin") {
      this.#ended = true;
      this.#wake();
    } else if (this.#closed) {
      // Nobody is there any more.
      this.pair.other(this).send("rst");
    } else {
      this.#inbox.push(packet);
      this.#wake();
    }
  }

  /** Looks for the number that each client sends first. */
  #identify(bytes: Uint8Array): void {
    if (this.#opening.length >= OPENING_BYTES) return;
    for (const byte of bytes.subarray(0, OPENING_BYTES)) this.#opening += String.fromCharCode(byte);
    const number = /#C(\d+)#/.exec(this.#opening)?.[1];
    if (number === undefined) return;
    this.client = Number(number);
    this.pair.network.onClient(this);
  }

  #check(): void {
    if (this.#closed) throw new Deno.errors.BadResource("Bad resource ID");
    if (this.#fault !== undefined) throw this.#fault;
  }

  #give(buffer: Uint8Array): number {
    const chunk = this.#inbox[0]!;
    const n = this.pair.network.weather.slice(Math.min(buffer.byteLength, chunk.byteLength));
    buffer.set(chunk.subarray(0, n));
    if (n === chunk.byteLength) this.#inbox.shift();
    else this.#inbox[0] = chunk.subarray(n);
    this.#unreadBytes -= n;
    this.pair.other(this).#wake();
    return n;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.machine.deliver(() => {
      for (const wake of waiting) wake();
    });
  }
}
