/**
 * The simulation's TCP connections, with latency, bounded windows, slicing, resets and silence, on simulated time. A
 * process that stands still has a kernel that goes on: connections are made and bytes arrive, and nobody reads them.
 *
 * @module
 */
import type { Address, Conn } from "../../lib/base/network.ts";
import type { Machine, WorldTime } from "./time.ts";

/** How the network behaves at present. */
export interface NetworkWeather {
  /** One way, one packet. */
  latencyMs(): number;
  /** How many of so many bytes one call takes. */
  slice(bytes: number): number;
}

/** What a connection goes over: the network. */
export interface Wires {
  readonly world: WorldTime;
  readonly weather: NetworkWeather;
  /** Every connection that is not closed on both ends. */
  readonly pairs: Set<Pair>;
  /** Told when something is written to a connection that a fault has broken. */
  readonly onBroken: (end: End) => void;
  /** Told when it shows whose bytes go over a connection, before they do. */
  readonly onClient: (end: End) => void;
  /** Whether nothing passes between two machines now. */
  isCut(a: Machine, b: Machine): boolean;
}

/** Bytes that may be under way or unread in one direction. */
const WINDOW_BYTES = 16 * 1024;

/** A client's number stands within the first bytes. */
const OPENING_BYTES = 400;

/** A setting of HTTP/2 that nobody knows (RFC 9113, section 6.5.2): its value is the client's number. */
export const NUMBER_SETTING = 0x4331;

/** The preface, the head of the SETTINGS frame, and its first setting. */
const NUMBER_AT = { id: 24 + 9, value: 24 + 9 + 2, end: 24 + 9 + 6 };

/** What goes over the wire. */
type Packet = Uint8Array | "fin" | "rst";

/** One connection: the end that dialled, and the other. */
export class Pair {
  /** The network. */
  readonly network: Wires;
  /** Dialler, listener. */
  readonly ends: readonly [End, End];
  /** Nothing passes any more, and nobody is told. */
  silent = false;
  /** A fault has broken it. */
  broken = false;

  /** Made by the network. */
  constructor(network: Wires, a: Machine, toA: Address, b: Machine, toB: Address) {
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
  /** Connections of clients that the dialler's end went beside: those to the same address when it was dialled. */
  beside = 0;
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

  /** Whether it may carry a client. */
  get mayBeLoad(): boolean {
    return !this.#closed && (this.client !== undefined || this.isSilent);
  }

  /** Whether it has written nothing: then it carries a session that is silent, since a health check speaks at once. */
  get isSilent(): boolean {
    return this.#opening === "";
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
    this.client = numberIn(this.#opening);
    if (this.client !== undefined) this.pair.network.onClient(this);
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

/** The number that a client's first bytes tell; undefined while they do not. */
function numberIn(opening: string): number | undefined {
  if (!opening.startsWith("PRI")) {
    const number = /#C(\d+)#/.exec(opening)?.[1];
    return number === undefined ? undefined : Number(number);
  }
  if (opening.length < NUMBER_AT.end) return undefined;
  const view = new DataView(Uint8Array.from(opening, (char) => char.charCodeAt(0)).buffer);
  return view.getUint16(NUMBER_AT.id) === NUMBER_SETTING ? view.getUint32(NUMBER_AT.value) : undefined;
}
