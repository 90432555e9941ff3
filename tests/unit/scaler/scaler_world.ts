/**
 * A scaler with everything around it: the count, pods, other proxies, and what it reports.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Metrics } from "../../../lib/base/metrics.ts";
import { ColdStart } from "../../../lib/scaler/cold_start.ts";
import type { Capacity } from "../../../lib/scaler/capacity.ts";
import type { PeerUse } from "../../../lib/scaler/peers.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { ReplicaCount } from "../../../lib/scaler/replica_count.ts";
import { Scaler, type ScalerPolicy } from "../../../lib/scaler/scaler.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { FakeScale } from "../../support/fake_scale.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { soleProxy } from "../../../lib/scaler/sole_proxy.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

/** The idle timeout. */
export const IDLE_MS = 60_000;
/** Carried out and answered: for fates before another one. */
export const DONE = { after: Promise.resolve() };

/** Something that a test lets happen. */
export function gate() {
  const { promise: before, resolve: open } = Promise.withResolvers<void>();
  return { before, open };
}

/** A scaler that has not begun. */
export function setUp(
  { replicas = 1, minReplicas = 0, capacity = ONE_POD, warmAt }: {
    readonly replicas?: number;
    readonly minReplicas?: number;
    readonly capacity?: Capacity;
    readonly warmAt?: ScalerPolicy["warmAt"];
  } = {},
) {
  const clock = new VirtualClock();
  const scale = new FakeScale(replicas);
  const log = recordingLog();
  const placement = new Placement(
    clock,
    capacity === ONE_POD ? { ...ONE_POD, maxReplicas: 2 } : capacity,
    "pod",
  );
  const values = new Map<string, number>();
  const metrics: Metrics = {
    record: (name, value, labels) => void values.set([name, ...Object.values(labels)].join(" "), value),
  };
  const sole = soleProxy(placement, clock.nowMs());
  /** The other proxies, as a test has them. */
  const others = {
    leads: true,
    uid: undefined as string | undefined,
    use: {} as Partial<PeerUse>,
    consent: sole.consent,
    changed: () => {},
  };
  const count = new ReplicaCount({ scale, placement, log, metrics, identity: "one" });
  const coldStart = new ColdStart({ clock, log, metrics });
  const scaler = new Scaler(
    {
      clock,
      random: () => 0.5,
      log,
      metrics,
      count,
      placement,
      peers: {
        obstacle: undefined,
        get uid() {
          return others.uid;
        },
        get leads() {
          return others.leads;
        },
        use: () => ({ ...sole.use(), ...others.use }),
        consent: (wanted, signal) => others.consent(wanted, signal),
        subscribe: (listener) => void (others.changed = listener),
      },
      coldStart,
    },
    { minReplicas, capacity, warmAt, idleTimeoutMs: IDLE_MS },
  );
  scale.onChange = (count) => void placement.see(count, "watch");
  const controller = new AbortController();
  let running = Promise.resolve();
  /** The present count is seen. */
  const see = () => void placement.see({ replicas: scale.replicas, version: String(scale.version) });
  /** There is a ready pod for each replica, and the count is seen first, unless `seen` is false. */
  const start = async (seen = true) => {
    if (seen) see();
    pods(scale.replicas);
    running = scaler.run(controller.signal).catch(() => {});
    await clock.advance(0);
  };
  const pods = (count: number, ready = true) =>
    placement.pods.set(Array.from({ length: count }, (_, ordinal) => ({
      ordinal,
      pod: `b-${ordinal}`,
      uid: `uid-${ordinal}-${scale.version}`,
      addresses: ["192.0.2.1"],
      ready,
      terminating: false,
    })));
  const stop = async () => {
    controller.abort(new Error("over"));
    await clock.advance(0);
    await running;
    assert.equal(clock.pending, 0, "no timer is left");
  };
  return {
    clock,
    scale,
    log,
    placement,
    values,
    others,
    count,
    coldStart,
    scaler,
    start,
    see,
    pods,
    stop,
  };
}
