/**
 * One proxy's part among others, in pieces and in memory: what unit tests of `lib/ha` are set up with.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Clock } from "../../lib/base/clock.ts";
import { noMetrics } from "../../lib/base/metrics.ts";
import { orAborted } from "../../lib/base/or_aborted.ts";
import { CountWrites } from "../../lib/ha/count_writes.ts";
import { Membership } from "../../lib/ha/membership.ts";
import { OwnRecord } from "../../lib/ha/own_record.ts";
import { type RecordBody, recordLease, type RecordTarget } from "../../lib/ha/record.ts";
import type { SeenRecord } from "../../lib/ha/record_expiry.ts";
import { Standing, type StandingSettings } from "../../lib/ha/standing.ts";
import type { Lease } from "../../lib/kube/types.ts";
import { Placement } from "../../lib/scaler/placement.ts";
import { ReplicaCount } from "../../lib/scaler/replica_count.ts";
import { ONE_POD } from "./capacity.ts";
import { FakeLeases } from "./fake_leases.ts";
import { FakeScale } from "./fake_scale.ts";
import { type RecordingLog, recordingLog } from "./recording_log.ts";
import { VirtualClock } from "./virtual_clock.ts";

/** The scale target of all. */
export const TARGET: RecordTarget = { namespace: "n", name: "buildkitd", uid: "sts-1" };

/** The default of `--record-expiry`, in ms. */
export const EXPIRY_MS = 300_000;

/** A record of a proxy that has nothing in use and has been asked nothing. */
export const IDLE: RecordBody = {
  inUse: [],
  needing: 0,
  neededMs: null,
  knowsForMs: 0,
  answers: {},
  announcement: null,
};

/** A record with a session on ordinal 0. */
export const BUSY: RecordBody = { ...IDLE, inUse: [{ ordinal: 0, busy: true, idleMs: 0 }] };

/** Another proxy's record, as it stands in its Lease. */
export function leaseOf(identity: string, body: RecordBody = IDLE, options: {
  readonly podUid?: string;
  readonly expiryMs?: number;
  readonly target?: RecordTarget;
} = {}): Lease {
  const { podUid, expiryMs = EXPIRY_MS, target = TARGET } = options;
  return recordLease(target, { identity, podUid, expiryMs, renewed: "2024-01-01T00:00:00.000000Z", body });
}

/** The name of a proxy's Lease. */
export function nameOf(identity: string): string {
  return leaseOf(identity).metadata!.name!;
}

/** A version of a record: a Lease with what the API server adds. */
export function versionOf(lease: Lease, version: number, uid = "uid-1"): Lease {
  return { ...lease, metadata: { ...lease.metadata, uid, resourceVersion: String(version) } };
}

/** A pod of ordinal 0 that is ready. */
export function readyPod(placement: Placement, uid = "pod-1", listed = false): void {
  placement.pods.set([{
    ordinal: 0,
    pod: "buildkitd-0",
    uid,
    addresses: ["192.0.2.1"],
    ready: true,
    terminating: false,
  }], listed);
}

/** The count is settled, and the API server shows the pods without a deletion. */
export function letPodsLive(placement: Placement): void {
  placement.pods.settled();
  const { pods } = placement;
  for (let suspect = pods.toVerify; suspect !== undefined; suspect = pods.toVerify) {
    pods.verified(suspect.backend.uid, suspect.settledMs);
  }
}

/** One proxy: its record and its membership. */
export interface Member {
  readonly membership: Membership;
  readonly record: OwnRecord;
  readonly placement: Placement;
  readonly standing: Standing;
  /** The resourceVersions have regressed, as its membership is told. */
  readonly regressed: () => void;
  readonly scale: FakeScale;
  readonly log: RecordingLog;
  /** A watch says that a Lease is gone. */
  readonly gone: (lease: Lease) => void;
  /** What its record says. */
  content: RecordBody;
  /** The records of all proxies, as a list has them. */
  others: () => readonly SeenRecord[];
  /** How often it has claimed the present count. */
  claims: number;
  /** Starts it. The promise settles when it ends. */
  run(): Promise<void>;
  /** Stops it. */
  stop(): void;
}

/** What can be told of one. */
export interface MemberOptions {
  readonly identity?: string;
  readonly podUid?: string;
  readonly replicas?: number;
  readonly settings?: Partial<StandingSettings>;
}

/** Makes one. */
export function member(clock: Clock, leases: FakeLeases, options: MemberOptions = {}): Member {
  const { identity = "one", podUid, replicas = 1 } = options;
  const settings = { recordExpiryMs: EXPIRY_MS, whenCutOff: "serve", ...options.settings } as const;
  const scale = new FakeScale(replicas);
  const standing = new Standing(clock, settings);
  const placement = new Placement(clock, ONE_POD, "pod", standing);
  const log = recordingLog();
  const controller = new AbortController();
  const count = new ReplicaCount({
    scale,
    placement,
    log: { ...log, debug: () => {} },
    metrics: noMetrics,
    identity,
  });
  const claimPresent = count.claimPresent.bind(count);
  count.claimPresent = async (signal) => {
    made.claims++;
    await orAborted(claimPresent(signal), signal);
    letPodsLive(placement);
  };
  let onGone = (_lease: Lease) => {};
  let onRegressed = () => {};
  const listen = count.onRegressed.bind(count);
  count.onRegressed = (listener) => listen(onRegressed = listener);
  const record = new OwnRecord({
    leases,
    clock,
    identity,
    podUid,
    recordExpiryMs: settings.recordExpiryMs,
    lifetime: { goodForMs: () => Promise.resolve(settings.recordExpiryMs) },
    statement: {
      get body() {
        return made.content;
      },
      subscribe: () => {},
      onCounts: () => {},
    },
    countWrites: new CountWrites(),
    standing,
    records: { onGone: (listener) => void (onGone = listener) },
    count,
  });
  record.target = TARGET;
  const membership = new Membership(settings, {
    clock,
    random: () => 0.5,
    log,
    leases,
    count,
    writer: settings.observe ? undefined : count,
    records: { list: () => Promise.resolve(made.others()) },
    placement,
    record,
    standing,
    identity,
    podUid,
  });
  const made: Member = {
    membership,
    record,
    placement,
    standing,
    scale,
    log,
    regressed: () => onRegressed(),
    gone: (lease) => onGone(lease),
    content: IDLE,
    others: () => [],
    claims: 0,
    run: () =>
      membership.run(TARGET, controller.signal).catch((error) => {
        if (!controller.signal.aborted) throw error;
      }),
    stop: () => controller.abort(new Error("over")),
  };
  return made;
}

/** A proxy that has not joined yet, with one pod that is ready, on a clock and an API of its own. */
export function aMember(options: MemberOptions = {}) {
  const clock = new VirtualClock();
  const leases = new FakeLeases();
  const one = member(clock, leases, options);
  one.placement.see({ replicas: 1, version: "99" });
  readyPod(one.placement);
  return { clock, leases, one };
}

/** One that has joined. `stop` also sees to it that no timer is left. */
export async function joinedMember(options: MemberOptions = {}) {
  const world = aMember(options);
  const running = world.one.run();
  await world.clock.advance(0);
  assert.equal(world.one.membership.state, "joined");
  const stop = async () => {
    world.one.stop();
    await world.clock.advance(0);
    await running;
    assert.equal(world.clock.pending, 0, "no timer is left");
  };
  return { ...world, running, stop };
}
