/**
 * Faults of single StatefulSets: pods that stay pending, missing rights, a StatefulSet that is away for a while, and an
 * autoscaler that writes the same counts.
 *
 * @module
 */
import { HorizontalAutoscaler } from "../../lib/miniature/horizontal_autoscaler.ts";
import type { PendingReason } from "../../lib/miniature/kubelet.ts";
import type { FaultClasses } from "./fault_class.ts";

const S = 1_000;

/** Why pods stay pending. */
const REASONS: readonly PendingReason[] = [
  { kind: "unschedulable", message: "0/3 nodes are available: 3 Insufficient memory." },
  { kind: "waiting", reason: "ImagePullBackOff", message: 'Back-off pulling image "buildkitd"' },
];

/** The classes. */
export const BUILDER_FAULTS = {
  pending: {
    chance: 0.15,
    everyMs: [2 * S, 60 * S],
    at: ["lowered", "dial"],
    async once({ world, random, lasts, note }) {
      const set = world.pickSet(random);
      if (set === undefined) return;
      const why = random.pick(REASONS);
      note(`${set.name} is ${why.kind}`);
      const go = world.cluster.kubelet.keepPending(set.name, why);
      await lasts(5 * S, random.pick([20 * S, 100 * S]));
      go();
    },
  },
  forbidden: {
    chance: 0.15,
    everyMs: [5 * S, 60 * S],
    at: ["join", "announce", "lower"],
    async once({ world, random, lasts, note }) {
      const set = world.pickSet(random);
      if (set === undefined) return;
      note(set.name);
      const allow = set.forbid();
      const show = world.judge.usable.hide(set.name);
      if (random.chance(0.5)) world.cluster.api.watches.end();
      await lasts(1 * S, random.pick([5 * S, 40 * S]));
      allow();
      show(world.time.nowMs());
    },
  },
  absent: {
    chance: 0.1,
    everyMs: [10 * S, 90 * S],
    async once({ world, random, lasts, note }) {
      const set = world.pickSet(random);
      if (set === undefined) return;
      note(set.name);
      const show = world.judge.usable.hide(set.name);
      world.byHand(() => set.delete());
      await lasts(0, random.pick([1 * S, 40 * S]));
      world.byHand(() => set.create());
      show(world.time.nowMs());
    },
  },
  autoscaler: {
    chance: 0.5,
    everyMs: [0, 20 * S],
    async once({ world, random, lasts, note }) {
      const set = world.pickSet(random);
      // Where one pod is the most, there is nothing to raise.
      if (set === undefined || world.plan.replicas === 1) return;
      note(set.name);
      using _autoscaler = new HorizontalAutoscaler(world.cluster.api.registry, world.time, {
        namespace: world.cluster.namespace,
        name: set.name,
        maxReplicas: world.plan.replicas,
        wanted: () => random.integer(0, world.plan.replicas),
        periodMs: () => random.integer(500, random.pick([2, 15]) * S),
        latencyMs: () => random.integer(1, random.pick([50, 2 * S])),
        write: (what) => world.byHand(what),
      });
      await lasts(10 * S, 60 * S);
    },
  },
} as const satisfies FaultClasses;
