/**
 * Faults of pods and controllers, and what people do to the cluster by hand.
 *
 * @module
 */
import type { FaultClasses } from "./fault_class.ts";

const S = 1_000;

/** No pod starts later than this, in ms. */
export const SLOWEST_START_MS = 95 * S;

/** Pods that end, fail their probe or start slowly, and slow controllers. */
export const POD_FAULTS = {
  podCrash: {
    chance: 0.25,
    everyMs: [5 * S, 60 * S],
    once({ world, random, note }) {
      if (world.cluster.pods.length === 0) return;
      const { name, uid } = random.pick(world.cluster.pods).metadata;
      note(name);
      world.judge.doomed.add(uid);
      world.cluster.kubelet.crash(name);
    },
  },
  eviction: {
    chance: 0.15,
    everyMs: [10 * S, 90 * S],
    once({ world, random, note }) {
      if (world.cluster.pods.length === 0) return;
      const { name, uid } = random.pick(world.cluster.pods).metadata;
      note(name);
      world.judge.doomed.add(uid);
      world.cluster.kubelet.evict(name);
    },
  },
  unready: {
    chance: 0.2,
    everyMs: [5 * S, 60 * S],
    async once({ world, random, lasts, note }) {
      if (world.cluster.pods.length === 0) return;
      const { name } = random.pick(world.cluster.pods).metadata;
      note(name);
      world.cluster.kubelet.setReady(name, false);
      await lasts(1 * S, 20 * S);
      if (world.daemons.serves(name)) world.cluster.kubelet.setReady(name, true);
    },
  },
  slowStart: {
    chance: 0.2,
    everyMs: [0, 30 * S],
    async once({ world, random, lasts, note }) {
      world.podDelayMs = random.pick([10 * S, 40 * S, 90 * S]);
      note(`${world.podDelayMs} ms`);
      await lasts(10 * S, 60 * S);
      world.podDelayMs = 0;
    },
  },
  slowController: {
    chance: 0.2,
    everyMs: [2 * S, 40 * S],
    async once({ world, lasts }) {
      const go = world.cluster.controllers.pause();
      await lasts(100, 15 * S);
      go();
    },
  },
} as const satisfies FaultClasses;

/** What people do, and tools that know nothing of the program. */
export const HAND_FAULTS = {
  byHand: {
    chance: 0.3,
    everyMs: [2 * S, 40 * S],
    at: ["announce", "lower", "lowered", "dial"],
    once({ world, random, note }) {
      const replicas = random.integer(0, 2);
      const set = world.pickSet(random);
      note(`scales ${set?.name} to ${replicas}`);
      world.byHand(() => set?.scale(replicas));
    },
  },
  gitOps: {
    chance: 0.1,
    everyMs: [15 * S, 60 * S],
    once({ world }) {
      for (const set of world.cluster.sets) {
        if (set.exists && set.replicas > 0) world.byHand(() => set.scale(0));
      }
    },
  },
  leasesDeleted: {
    chance: 0.15,
    everyMs: [10 * S, 90 * S],
    once({ world, random, note }) {
      if (world.leases.length === 0) return;
      const lease = random.pick(world.leases);
      note(lease.metadata.name);
      world.byHand(() => world.removeLease(lease.metadata.name));
    },
  },
} as const satisfies FaultClasses;
