/**
 * What a run may have beside faults: ways to use and to set up the program. A seed switches each on or off by itself, and
 * what is off changes no other draw, so that a failing run is made smaller by switching them off like faults.
 *
 * @module
 */
/** They have nothing to do by themselves: `plan.ts` and `simulate.ts` look at whether they are on. */
export const FEATURES = {
  /** A second pool, with a listener. */
  pools: { chance: 0.25 },
  /** Listeners of projects. */
  doors: { chance: 0.25 },
  /** Builders that take no new sessions. */
  cordons: { chance: 0.2 },
  /** Proxies that only observe, until a roll-out ends that. */
  observers: { chance: 0.12 },
  /** `--min-replicas`. */
  minimum: { chance: 0.15 },
  /** `--warm`. */
  warmWindows: { chance: 0.12 },
  /** `--wake-on data`. */
  wakeOnData: { chance: 0.2 },
  /** A low `--max-held`. */
  heldLimit: { chance: 0.15 },
  /** Idle timeouts of minutes. */
  longIdle: { chance: 0.1 },
  /** Dozens of clients at a time, against hard limits. */
  backlog: { chance: 0.2 },
  /** Clients that ask for `POST /wake`. */
  wakes: { chance: 0.2 },
  /** TCP checks: connections that say nothing. */
  probes: { chance: 0.15 },
  /** Clients whose TLS passes through. */
  tls: { chance: 0.3 },
} as const satisfies Readonly<Record<string, { readonly chance: number }>>;

/** Their names. */
export type FeatureName = keyof typeof FEATURES;
