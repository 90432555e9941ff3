/**
 * A router over several builders whose pods a test makes come and go, and sessions that do what it tells them.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { PlanRecord, PoolPolicy } from "../../lib/route/pool_parts.ts";
import type { State } from "../../lib/route/plan.ts";
import { Router } from "../../lib/route/router.ts";
import type { Capacity } from "../../lib/scaler/capacity.ts";
import { Placement } from "../../lib/scaler/placement.ts";
import type { Caller, Seat, WaitsFor } from "../../lib/target/seats.ts";
import { TargetSeats } from "../../lib/target/target_seats.ts";
import { countedMetrics } from "./counted_metrics.ts";
import { recordingLog } from "./recording_log.ts";
import { VirtualClock } from "./virtual_clock.ts";

/** What differs from the defaults. */
export interface PoolWorldOptions {
  /** Their names; `b1` and `b2`. */
  readonly builders?: readonly string[];
  /** Those of them that are cordoned; none. */
  readonly cordoned?: readonly string[];
  /** See {@link PoolPolicy}. */
  readonly policy?: Partial<PoolPolicy>;
  /** See {@link Capacity}. */
  readonly capacity?: Partial<Capacity>;
}

/** A client that builds, of a project. */
export function builds(host?: string, more: Partial<Caller> = {}): Caller {
  return { host, purpose: "build", isPatient: true, ...more };
}

/** A client that only watches. */
export const WATCHES: Caller = { purpose: "watch", isPatient: true };

/** One builder of a {@link PoolWorld}. */
export class TestBuilder {
  readonly name: string;
  readonly placement: Placement;
  readonly seats: TargetSeats;
  readonly isCordoned: boolean;
  /** What it is instead of what its pods say. */
  state: State | undefined;
  othersQueuedSinceMs: number | undefined;
  /** What it was told of the own queue. */
  toldQueuedSinceMs: number | undefined;
  readonly #listeners = new Set<() => void>();
  #version = 1;

  constructor(name: string, world: PoolWorld, capacity: Capacity, isCordoned = false) {
    this.name = name;
    this.isCordoned = isCordoned;
    if (isCordoned) this.state = "missing";
    this.placement = new Placement(world.clock, capacity, "pod");
    const metrics = { record: () => {} };
    this.seats = new TargetSeats({
      log: world.log,
      metrics,
      dialler: { dial: () => assert.fail("nobody is dialled here") },
      placement: this.placement,
      coldStart: { begin: () => {}, reached: () => {} },
      resets: { explain: () => {} },
      explainWait: () => Promise.resolve(`${name} does not come`),
    });
  }

  get facts() {
    const { usable, needed, room } = this.placement;
    const state = usable.length > 0 ? "ready" : needed > 0 ? "starting" : "asleep";
    return { name: this.name, ...room, state: this.state ?? state } as const;
  }

  /** Its sessions that count. */
  get load(): number {
    return this.placement.room.load;
  }

  subscribe(listener: () => void): void {
    this.placement.subscribe(listener);
    this.#listeners.add(listener);
  }

  tellQueued(sinceMs: number | undefined): void {
    this.toldQueuedSinceMs = sinceMs;
  }

  /** Something but its pods has changed. */
  change(change: Partial<Pick<TestBuilder, "state" | "othersQueuedSinceMs">>): void {
    Object.assign(this, change);
    for (const listener of this.#listeners) listener();
  }

  /** So many pods are there, and are ready but for these ordinals. */
  run(pods: number, unready: readonly number[] = []): void {
    this.placement.see({ version: `${this.#version++}`, replicas: pods }, "watch");
    this.placement.pods.set(Array.from({ length: pods }, (_, ordinal) => ({
      ordinal,
      pod: `${this.name}-${ordinal}`,
      uid: `${this.name}-${ordinal}`,
      addresses: ["192.0.2.1"],
      ready: !unready.includes(ordinal),
      terminating: false,
    })));
  }
}

/** A session. */
export interface TestSession {
  readonly id: number;
  /** What it has waited for, in order. */
  readonly waits: WaitsFor[];
  /** Why it was told to end, each time: it only watches. */
  readonly ends: string[];
  /** Why it was told not to wait, each time. */
  readonly refusals: string[];
  /** Its seat, once it has one. */
  seat: Seat | undefined;
  /** Its wait ends. */
  readonly leave: AbortController;
}

/** The pod that it is seated on. */
export function podOf({ seat }: TestSession): string | undefined {
  return seat?.backend.pod;
}

/** All of it. */
export class PoolWorld {
  readonly clock = new VirtualClock();
  readonly log = recordingLog();
  readonly metrics = countedMetrics(() => {});
  readonly builders: readonly TestBuilder[];
  readonly router: Router;
  readonly plans: PlanRecord[] = [];
  #lastId = 0;

  constructor(options: PoolWorldOptions = {}) {
    const { builders = ["b1", "b2"], cordoned = [], policy = {}, capacity = {} } = options;
    const own: Capacity = {
      maxReplicas: 1,
      sessionsPerReplica: 2,
      maxSessionsPerReplica: 0,
      spread: "lowest",
      ...capacity,
    };
    this.builders = builders.map((name) => new TestBuilder(name, this, own, cordoned.includes(name)));
    this.router = new Router([{
      policy: {
        name: "",
        placement: "packed",
        overflow: "full",
        affinityPatienceMs: 0,
        readyWaitTimeoutMs: 300_000,
        queueTimeoutMs: 3_600_000,
        maxHeld: 1_000,
        maxReplicas: own.maxReplicas,
        maxSessionsPerReplica: own.maxSessionsPerReplica,
        ...policy,
      },
      builders: this.builders,
    }], {
      clock: this.clock,
      log: this.log,
      metrics: this.metrics,
      projectOf: (host) => host === "localhost" ? undefined : host,
      onPlan: (record) => void this.plans.push(record),
    });
  }

  /** The builder of that name. */
  builder(name: string): TestBuilder {
    return this.builders.find((each) => each.name === name) ?? assert.fail(name);
  }

  /** A session comes. Nothing is known of it yet. */
  open(): TestSession {
    const session: TestSession = {
      id: ++this.#lastId,
      waits: [],
      ends: [],
      refusals: [],
      seat: undefined,
      leave: new AbortController(),
    };
    session.seat = this.router.open(session.id, {
      door: { pool: "" },
      counts: true,
      onWait: (waitsFor) => void session.waits.push(waitsFor),
      onEnd: (why) => void session.ends.push(why),
      onRefuse: (outcome, why) => void session.refusals.push(`${outcome}: ${why}`),
    });
    return session;
  }

  /** It waits for a seat. */
  wait(session: TestSession): void {
    this.router.wait(session.id, session.leave.signal).then((seat) => session.seat = seat, () => {});
  }

  /** A session comes and says this. */
  async come(caller?: Caller): Promise<TestSession> {
    const session = this.open();
    if (session.seat === undefined) this.wait(session);
    this.router.identify(session.id, caller);
    await this.pass(0);
    return session;
  }

  /** The dial of a session that has a seat has succeeded. */
  connect({ seat }: TestSession): void {
    assert.ok(seat !== undefined && this.router.connected(seat));
  }

  /** The session ends. */
  async end(session: TestSession): Promise<void> {
    session.leave.abort(new Error("The client has left"));
    this.router.end(session.id);
    await this.pass(0);
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
  }

  /** Asserts that nothing is left of any session. */
  assertEmpty(): void {
    assert.equal(this.router.held, 0);
    assert.equal(this.clock.pending, 0, "no timer is left");
    for (const { name, placement: { usage } } of this.builders) {
      assert.deepEqual([usage.open, usage.held, usage.needing, usage.highest], [0, 0, 0, -1], name);
    }
    assert.equal(this.metrics.value("sessions_queued"), 0);
  }
}
