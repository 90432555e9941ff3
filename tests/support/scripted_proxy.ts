/**
 * The proxy behind a listener whose accepts a test answers, on a virtual clock.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Conn, Listener } from "../../lib/base/network.ts";
import { noMetrics } from "../../lib/base/metrics.ts";
import { Proxy } from "../../lib/proxy/proxy.ts";
import { Room } from "../../lib/proxy/room.ts";
import { ColdStart } from "../../lib/scaler/cold_start.ts";
import { Placement } from "../../lib/scaler/placement.ts";
import { TargetSeats } from "../../lib/target/target_seats.ts";
import { ONE_POD } from "./capacity.ts";
import { countedMetrics } from "./counted_metrics.ts";
import { MemoryConn } from "./memory_network.ts";
import { recordingLog } from "./recording_log.ts";
import { DOOR, oneBuilder } from "./router.ts";
import { BACKEND } from "./session.ts";
import { VirtualClock } from "./virtual_clock.ts";

/** A listener whose accepts a test answers. */
export class ScriptedListener implements Listener {
  readonly addr = { hostname: "192.0.2.1", port: 1 };
  closed = false;
  accepts = 0;
  #next = Promise.withResolvers<Conn>();
  readonly #waiting: Conn[] = [];

  async accept(): Promise<Conn> {
    this.accepts++;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) return waiting;
    try {
      return await this.#next.promise;
    } finally {
      this.#next = Promise.withResolvers();
    }
  }

  close(): void {
    if (this.closed) throw new Deno.errors.BadResource("Listener has been closed");
    this.closed = true;
    this.#next.reject(new Deno.errors.BadResource("Listener has been closed"));
  }

  fail(code: string): void {
    this.#next.reject(Object.assign(new Error(`The accept failed (${code})`), { code }));
  }

  /** So many clients that connect at the same moment. */
  burst(count: number): MemoryConn[] {
    const pairs = Array.from({ length: count }, () => MemoryConn.pair());
    this.#waiting.push(...pairs.slice(1).map(([, downstream]) => downstream));
    this.#next.resolve(pairs[0]![1]);
    return pairs.map(([client]) => client);
  }

  connect(): MemoryConn {
    const [client, downstream] = MemoryConn.pair();
    this.#next.resolve(downstream);
    return client;
  }
}

/** How it is set up. */
export interface Options {
  readonly maxConnections?: number;
  readonly descriptors?: number;
  /** There is a pod, and this is what a connection to it comes to. */
  readonly dial?: () => Conn;
}

/** A proxy that accepts. */
export function setUp({ maxConnections = 10, descriptors, dial }: Options = {}) {
  const clock = new VirtualClock();
  const log = recordingLog();
  const listener = new ScriptedListener();
  const metrics = countedMetrics(() => {});
  const placement = new Placement(clock, ONE_POD, "pod");
  if (dial !== undefined) {
    placement.see({ version: "1", replicas: 1 });
    placement.pods.set([BACKEND]);
  }
  const ownSeats = new TargetSeats({
    log,
    metrics,
    dialler: { dial: () => Promise.resolve(dial?.() ?? assert.fail("there is no pod")) },
    placement,
    coldStart: new ColdStart({ clock, log, metrics: noMetrics }),
    resets: { explain: (_backend, _connectedForMs, tell) => tell(undefined) },
    explainWait: () => Promise.resolve("no pod"),
  });
  const seats = oneBuilder(ownSeats, placement, { clock, log, metrics }, { readyWaitTimeoutMs: 60_000 });
  const proxy = new Proxy(
    [{ listener, door: DOOR }],
    {
      wakeOn: "connect",
      sessionIdleTimeoutMs: 0,
    },
    new Room(maxConnections, { count: () => descriptors, log, metrics }),
    { clock, random: () => 0.5, log, metrics, seats },
  );
  const controller = new AbortController();
  const running = proxy.run(controller.signal);
  return { clock, log, listener, metrics, proxy, placement, controller, running };
}
