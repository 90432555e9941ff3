/**
 * A placement with ready pods.
 *
 * @module
 */
import { Listeners } from "../../../lib/base/listeners.ts";
import type { Backend } from "../../../lib/scaler/backends.ts";
import type { Capacity } from "../../../lib/scaler/capacity.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import type { ReadinessMode } from "../../../lib/scaler/readiness.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { arrive } from "../../support/seating.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

/** A pod, ready as long as `more` does not say otherwise. */
export function pod(ordinal: number, more: Partial<Backend> = {}): Backend {
  return {
    ordinal,
    pod: `b-${ordinal}`,
    uid: `uid-${ordinal}`,
    addresses: ["192.0.2.1"],
    ready: true,
    terminating: false,
    ...more,
  };
}

/** A placement that has seen this count at version 10, with a ready pod for each replica. */
export function setUp(
  replicas = 1,
  { maxReplicas = 10, mode = "pod" as ReadinessMode, capacity = {} as Partial<Capacity> } = {},
) {
  const clock = new VirtualClock();
  const changed = new Listeners();
  const gate = { open: true, subscribe: (it: () => void) => changed.add(it), tell: () => changed.tell() };
  const placement = new Placement(clock, { ...ONE_POD, maxReplicas, ...capacity }, mode, gate);
  let version = 9;
  const see = (replicas: number, proof?: string) =>
    placement.see({ replicas, version: String(++version) }, proof);
  const pods = (count: number) => Array.from({ length: count }, (_, ordinal) => pod(ordinal));
  see(replicas);
  placement.pods.set(pods(replicas));
  let sessions = 100;
  /** The ordinal that a new session would be placed on. */
  const place = () => {
    const seat = arrive(placement, ++sessions);
    placement.end(sessions);
    return seat?.backend.ordinal;
  };
  return { clock, gate, placement, see, pods, place };
}
