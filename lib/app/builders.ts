/**
 * Makes the builders of the program from its settings, and the router over them. Contains no other logic.
 *
 * @module
 */
import { logWith } from "../base/log.ts";
import { DEFAULT_POOL, type PoolSettings, poolsOf } from "../config/builders.ts";
import type { Settings } from "../config/settings.ts";
import { cordonedHomes } from "../route/cordoned.ts";
import { projectOf } from "../route/project.ts";
import type { PoolPorts, RoutedBuilder } from "../route/pool_parts.ts";
import { Router } from "../route/router.ts";
import { SharedParts } from "../target/shared_parts.ts";
import { Target, type TargetPorts } from "../target/target.ts";
import { type TargetSettings, targetSettingsOf } from "../target/target_settings.ts";

/** What builders are made with. */
export type BuildersPorts = Omit<TargetPorts, "shared"> & Pick<PoolPorts, "onPlan">;

/** A builder: its StatefulSet's target, and the pool that it belongs to. */
export interface PooledTarget {
  /** The pool's name. */
  readonly pool: string;
  /** The StatefulSet's name. */
  readonly name: string;
  /** It takes no new sessions. */
  readonly isCordoned: boolean;
  /** Its settings. */
  readonly settings: TargetSettings;
  /** Its parts. */
  readonly target: Target;
}

/** All builders. */
export interface Builders {
  /** In their declared order. */
  readonly targets: readonly PooledTarget[];
  /** What they have in common. */
  readonly shared: SharedParts;
  /** Gives their seats to sessions. */
  readonly router: Router;
  /** The pool of clients that name none. */
  readonly defaultPool: string;
}

/** Makes them. Starts nothing. */
export function makeBuilders(settings: Settings, ports: BuildersPorts): Builders {
  const pools = poolsOf(settings);
  for (const pool of pools) warnOfCordoned(settings, pool, ports);
  const planned = pools.flatMap((pool) =>
    pool.builders.map((builder) => ({ pool, builder, own: targetSettingsOf(settings, pool, builder) }))
  );
  const [first, ...others] = planned.map(({ own }) => own);
  const shared = new SharedParts([first!, ...others], settings, ports);
  // Which StatefulSet a record is about need not be said where there is one.
  const logOf = (builder: string) => planned.length === 1 ? ports.log : logWith(ports.log, { builder });
  const targets = planned.map(({ pool, builder, own }) => ({
    pool: pool.name,
    name: builder.name,
    isCordoned: builder.isCordoned,
    settings: own,
    target: new Target(own, { ...ports, log: logOf(builder.name), shared }),
  }));
  const parts = pools.map((pool) => ({
    policy: { ...settings, ...pool },
    builders: targets.filter((each) => each.pool === pool.name).map(routed),
  }));
  const router = new Router(parts, {
    ...ports,
    projectOf: (host) => projectOf(host, projectNames(settings)),
  });
  const defaultPool = router.pools.has(DEFAULT_POOL) ? DEFAULT_POOL : pools[0]!.name;
  return { targets, shared, router, defaultPool };
}

/** Says whose builds are refused. */
function warnOfCordoned(settings: Settings, { name, builders }: PoolSettings, { log }: BuildersPorts): void {
  const homes = cordonedHomes(settings, builders);
  if (homes.length === 0) return;
  const pool = name === DEFAULT_POOL ? {} : { pool: name };
  if (homes.length === builders.length) {
    const then = "each new build is refused: take a builder of the pool out of --cordoned";
    return log.warn("pool_cordoned", { ...pool, then });
  }
  log.warn("home_cordoned", {
    ...pool,
    builders: homes.map((home) => home.name),
    then: "each new build of their projects is refused: use --overflow full, or take them out of --cordoned",
  });
}

/** What short names of projects stand for. */
export function projectNames(
  { stsNamespace, clusterDomain }: Pick<Settings, "stsNamespace" | "clusterDomain">,
): { readonly namespace: string; readonly clusterDomain: string } {
  return { namespace: stsNamespace, clusterDomain };
}

function routed({ name, isCordoned, target }: PooledTarget): RoutedBuilder {
  return {
    name,
    isCordoned,
    seats: target.seats,
    get facts() {
      return target.facts;
    },
    get othersQueuedSinceMs() {
      return target.proxies.othersQueuedSinceMs;
    },
    tellQueued: (sinceMs) => target.proxies.queuedSinceMs = sinceMs,
    subscribe: (listener) => target.subscribe(listener),
  };
}
