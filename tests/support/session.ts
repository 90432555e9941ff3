/**
 * One session in front of one pod, in memory: the test is the client and the daemon, and moves the time.
 *
 * @module
 */
import assert from "node:assert/strict";
import { anySignal } from "../../lib/base/any_signal.ts";
import { Ending } from "../../lib/base/ending.ts";
import type { Metrics } from "../../lib/base/metrics.ts";
import type { Conn, Network } from "../../lib/base/network.ts";
import { HoldEnded, refuseSession } from "../../lib/proxy/goodbye.ts";
import { HoldBudget } from "../../lib/proxy/hold.ts";
import { ReadTurns } from "../../lib/proxy/read_turns.ts";
import { runSession, type SessionPorts } from "../../lib/proxy/session.ts";
import { SilentSessions } from "../../lib/proxy/silent_sessions.ts";
import { SignsOfLife } from "../../lib/proxy/signs_of_life.ts";
import type { Backend } from "../../lib/scaler/backends.ts";
import { ColdStart } from "../../lib/scaler/cold_start.ts";
import { Placement } from "../../lib/scaler/placement.ts";
import { TargetSeats } from "../../lib/target/target_seats.ts";
import { ONE_POD } from "./capacity.ts";
import { bytesOf, call, OPENING, SETTINGS_ACK } from "./http2_client.ts";
import { directDialler } from "./dialler.ts";
import { DOOR, oneBuilder } from "./router.ts";
import { MemoryConn, type MemoryOptions } from "./memory_network.ts";
import { recordingLog } from "./recording_log.ts";
import { VirtualClock } from "./virtual_clock.ts";
import { VirtualClient } from "./virtual_client.ts";

/** The pod. */
export const BACKEND: Backend = {
  ordinal: 0,
  pod: "buildkitd-0",
  uid: "pod-1",
  addresses: ["192.0.2.1"],
  ready: true,
  terminating: false,
};

/** How it is dialled. */
export const DIAL_SETTINGS = {
  upstream: "slices",
  targetPort: 1234,
  connectTimeoutMs: 5_000,
  headlessServiceName: "h",
  stsNamespace: "n",
  clusterDomain: "c",
} as const;

/** How a session is set up. */
export interface SessionOptions {
  /** Whether the pod is ready from the start; true. */
  readonly ready?: boolean;
  /** Settings that differ. */
  readonly settings?: {
    readonly readyWaitTimeoutMs?: number;
    readonly wakeOn?: "connect" | "data";
    readonly maxHeld?: number;
    readonly sessionIdleTimeoutMs?: number;
  };
  /** How the client's connection behaves. */
  readonly client?: MemoryOptions;
}

/** One session, which `start` starts, and all around it. */
export class TestSession {
  readonly clock = new VirtualClock();
  readonly log = recordingLog();
  readonly placement: Placement;
  readonly traffic = { upstreamBytes: 0, downstreamBytes: 0 };
  readonly cut = new Ending();
  readonly refuse = new Ending();
  /** What was counted, in order. */
  readonly counted: { readonly name: string; readonly value: number; readonly labels: object }[] = [];
  /** Addresses that were dialled, and when. */
  readonly dials: { readonly atMs: number; readonly hostname: string }[] = [];
  /** The daemon's ends of the connections to it. */
  readonly daemons: VirtualClient[] = [];
  /** The proxy's ends of them. */
  readonly upstreams: MemoryConn[] = [];
  readonly coldStart: ColdStart;
  /** What was asked about resets; the test answers. */
  readonly resets: { pod: string; connectedForMs: number; tell: (how: string | undefined) => void }[] = [];
  /** How a dial ends; by a connection, unless the test says otherwise. */
  dial: () => Promise<Conn> = () => Promise.resolve(this.connected());
  /** Why no backend is ready. */
  why: () => Promise<string> = () => Promise.resolve("pod buildkitd-0 is Pending");
  /** Whether it was told to be silent, each time. */
  readonly silences: boolean[] = [];
  /** The client. */
  readonly client: VirtualClient;
  /** The proxy's end of the client's connection. */
  readonly downstream: MemoryConn;
  /** The session has ended. */
  over = false;
  readonly #options: SessionOptions;
  readonly ports: SessionPorts;

  constructor(options: SessionOptions = {}) {
    this.#options = options;
    const { clock, log } = this;
    this.placement = new Placement(clock, ONE_POD, "pod");
    this.placement.see({ version: "1", replicas: 1 });
    this.show({ ready: options.ready ?? true });
    const [theirs, ours] = MemoryConn.pair(options.client);
    this.client = new VirtualClient(theirs);
    this.downstream = ours;
    const metrics: Metrics = {
      record: (name, value, labels) => void this.counted.push({ name, value, labels }),
    };
    this.coldStart = new ColdStart({ clock, log, metrics });
    const network: Network = {
      listen: () => assert.fail("nobody listens here"),
      connect: ({ hostname }, signal) => {
        this.dials.push({ atMs: clock.nowMs(), hostname });
        return Promise.race([
          this.dial(),
          new Promise<never>((_, reject) =>
            signal.addEventListener("abort", () => reject(signal.reason), { once: true })
          ),
        ]);
      },
    };
    const ownSeats = new TargetSeats({
      log,
      metrics,
      dialler: directDialler(DIAL_SETTINGS, network, clock),
      placement: this.placement,
      coldStart: this.coldStart,
      resets: {
        explain: ({ pod }, connectedForMs, tell) => void this.resets.push({ pod, connectedForMs, tell }),
      },
      explainWait: () => this.why(),
    });
    const { readyWaitTimeoutMs = 300_000, maxHeld = 10 } = options.settings ?? {};
    const policy = { readyWaitTimeoutMs, maxHeld };
    const seats = oneBuilder(ownSeats, this.placement, { clock, log, metrics }, policy);
    this.ports = {
      clock,
      random: () => 1,
      log,
      metrics,
      seats,
      budget: new HoldBudget(1024 * 1024, () => {}),
      turns: new ReadTurns(clock),
      signs: new SignsOfLife(clock),
      silence: new SilentSessions(clock, (_id, isSilent) => void this.silences.push(isSilent)),
    };
  }

  /** The pod is seen in this state. */
  show(change: Partial<Backend> = {}): void {
    this.placement.pods.set([{ ...BACKEND, ...change }]);
  }

  /** A new connection to the daemon; the proxy's end. */
  connected(): MemoryConn {
    const [ours, theirs] = MemoryConn.pair();
    this.upstreams.push(ours);
    this.daemons.push(new VirtualClient(theirs));
    return ours;
  }

  /** Another session is held. */
  holdOther(id: number): void {
    const { seats } = this.ports;
    const arrival = { door: DOOR, counts: true, onWait: () => {}, onEnd: () => {}, onRefuse: () => {} };
    assert.equal(seats.open(id, arrival), undefined);
    seats.identify(id, undefined);
  }

  /** Starts the session. */
  async start(): Promise<void> {
    const settings = {
      wakeOn: "connect",
      sessionIdleTimeoutMs: 0,
      ...this.#options.settings,
    } as const;
    const ends = { cut: this.cut, refuse: this.refuse };
    const { downstream, traffic } = this;
    const onEnd = () => void (this.over = true);
    void runSession(1, { downstream, door: DOOR, traffic, onEnd }, settings, this.ports, ends);
    await this.pass(0);
  }

  /** Refuses the client instead. */
  async startRefusing(message: string): Promise<void> {
    void refuseSession(this.downstream, message, this.ports, anySignal(this.cut).signal).then(() =>
      this.over = true
    );
    await this.pass(0);
  }

  /** No backend is going to come. */
  async giveUp(): Promise<void> {
    this.refuse.abort(new HoldEnded("failed", "The proxy has failed", 9));
    await this.pass(0);
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
  }

  /** The fields of the session's line; undefined while it is not written. */
  get line(): Readonly<Record<string, unknown>> | undefined {
    const lines = this.log.of("session_ended");
    assert.ok(lines.length <= 1, "one line a session");
    return lines[0]?.fields;
  }

  /** The level of that line. */
  get level(): string | undefined {
    return this.log.of("session_ended")[0]?.level;
  }

  /** What was counted of one metric. */
  of(name: string): readonly { readonly value: number; readonly labels: object }[] {
    return this.counted.filter((each) => each.name === name).map(({ value, labels }) => ({ value, labels }));
  }

  /** Asserts that it has ended, and that nothing of it is left. */
  assertOver(): void {
    assert.ok(this.over, "the session is over");
    assert.ok(this.downstream.closed, "the client's connection is closed");
    assert.ok(this.upstreams.every(({ closed }) => closed), "the daemon's connections are closed");
    assert.equal(this.placement.usage.held, 0);
    assert.equal(this.placement.usage.on(0), 0, "its seat is given up");
    assert.equal(this.clock.pending, 0, "no timer is left");
    assert.ok(this.cut.isFree && this.refuse.isFree, "it follows nothing any more");
    assert.equal(this.ports.budget.leftBytes, 1024 * 1024, "no byte is kept");
    assert.equal(this.of("sessions_opened_total").length, 1);
    assert.equal(this.of("sessions_ended_total").length, 1);
  }
}

/** A gRPC client's first call. */
export const CALL: Uint8Array = bytesOf(OPENING, SETTINGS_ACK, ...call(1));

/** The first bytes of a TLS client. */
export const TLS: Uint8Array = Uint8Array.of(0x16, 3, 1, 2, 0, 1);

/** A session that has begun, with what the client has sent so far. */
export async function begun(sent: Uint8Array | string, options: SessionOptions = {}): Promise<TestSession> {
  const session = new TestSession(options);
  await session.start();
  await session.client.send(sent);
  await session.pass(0);
  return session;
}

/** The same without a pod that is ready. */
export function held(sent: Uint8Array | string = CALL): Promise<TestSession> {
  return begun(sent, { ready: false });
}

/** The client has had what it wanted, and leaves, and then the daemon. */
export async function finish(session: TestSession): Promise<void> {
  await session.client.end();
  await session.pass(0);
  await session.daemons.at(-1)!.end();
  await session.pass(0);
}
