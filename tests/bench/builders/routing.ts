/**
 * What routing costs in one proxy, without sockets: a route from the arrival of a session to its seat, while the sessions
 * of three proxies are open, and a plan for very many that wait. Router, placement and metrics are the program's own.
 *
 * @module
 */
import { systemClock } from "../../../lib/base/clock.ts";
import { prometheusMetrics } from "../../../lib/ops/prometheus.ts";
import { type Builder, plan, type RoutePolicy, type State, type Waiting } from "../../../lib/route/plan.ts";
import type { RoutedBuilder } from "../../../lib/route/pool_parts.ts";
import { Router } from "../../../lib/route/router.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import type { BuilderSeats, Seat } from "../../../lib/target/seats.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { median } from "../figures.ts";
import { type Figure, quantile } from "./figures.ts";

const BUILDERS = 20;
const SESSIONS = 10_000;
const PROXIES = 3;
const WAITING = 1_000;
const PROJECTS = 100;

const ROUTE_BAR_US = 50;
const PLAN_BAR_MS = 2;

const PLACEMENTS: readonly RoutePolicy["placement"][] = [
  "affinity",
  "packed",
  "least-sessions",
  "round-robin",
];

/** A builder with one ready pod and the sessions of other proxies on it. */
function builder(name: string, others: number): RoutedBuilder {
  const placement = new Placement(systemClock, ONE_POD, "pod");
  placement.see({ replicas: 1, version: "10" });
  const pod = { pod: `${name}-0`, uid: name, addresses: ["192.0.2.1"], ready: true, terminating: false };
  placement.pods.set([{ ...pod, ordinal: 0 }]);
  placement.others = new Map([[0, others]]);
  const unused = (): never => {
    throw new Error("Sessions are only routed here");
  };
  const seats: BuilderSeats = {
    calling: 0,
    seat: (id, used, beyond) => placement.seat(id, used, beyond),
    hold: (id, needs) => placement.hold(id, needs),
    end: (id) => placement.end(id),
    needs: (id) => placement.usage.needs(id),
    seatWatcher: unused,
    callFor: unused,
    keepAwake: unused,
    watch: unused,
    watchNoMore: unused,
    keeps: unused,
    dial: unused,
    failed: unused,
    connected: unused,
    used: unused,
    silent: unused,
    answered: unused,
    explainWait: unused,
    explainReset: unused,
  };
  return {
    name,
    isCordoned: false,
    seats,
    get facts() {
      return { name, ...placement.room, state: "ready" as const };
    },
    othersQueuedSinceMs: undefined,
    tellQueued: () => {},
    subscribe: (listener) => placement.subscribe(listener),
  };
}

function router(placement: RoutePolicy["placement"]): Router {
  const others = Math.round(SESSIONS * (PROXIES - 1) / PROXIES / BUILDERS);
  const builders = Array.from({ length: BUILDERS }, (_, at) => builder(`builder-${at}`, others));
  const policy = {
    name: "",
    placement,
    overflow: "full",
    affinityPatienceMs: 0,
    readyWaitTimeoutMs: 300_000,
    queueTimeoutMs: 3_600_000,
    maxHeld: 1_000_000,
    maxReplicas: 1,
    maxSessionsPerReplica: 0,
  } as const;
  return new Router([{ policy, builders }], {
    clock: systemClock,
    log: recordingLog(),
    metrics: prometheusMetrics(),
    projectOf: (host) => host,
  });
}

/** Routes one session. */
async function seat(router: Router, id: number): Promise<Seat> {
  const signal = new AbortController().signal;
  router.open(id, {
    door: { pool: "" },
    counts: true,
    onWait: () => {},
    onEnd: () => {},
    onRefuse: () => {},
  });
  router.identify(id, { host: `team-${id % PROJECTS}.ci`, purpose: "build", isPatient: true });
  return await router.wait(id, signal);
}

/** How long a route takes while this proxy's share of the sessions is open. */
export async function measureRoute(samples: number): Promise<readonly Figure[]> {
  const own = Math.round(SESSIONS / PROXIES);
  const figures: Figure[] = [];
  for (const placement of PLACEMENTS) {
    const routes = router(placement);
    let id = 0;
    while (id < own) await seat(routes, ++id);
    const us: number[] = [];
    for (let round = 0; round < samples; round++) {
      const startedMs = performance.now();
      await seat(routes, ++id);
      us.push((performance.now() - startedMs) * 1_000);
      routes.end(id);
    }
    const middle = median(us);
    figures.push({
      what: `one route, ${placement}, ${SESSIONS} sessions of ${PROXIES} proxies (no sockets)`,
      bar: `<= ${ROUTE_BAR_US} µs`,
      measured: `median ${middle.toFixed(0)} µs, p99 ${quantile(us, 0.99).toFixed(0)} µs`,
      holds: middle <= ROUTE_BAR_US,
    });
  }
  return figures;
}

/** How long a plan takes. */
export function measurePlan(samples: number): readonly Figure[] {
  const waiting = Array.from({ length: WAITING }, (_, id): Waiting => ({
    id,
    project: `team-${id % PROJECTS}.ci`,
    tag: Math.floor(id / PROJECTS),
    patient: id % 2 === 0,
  }));
  const states: readonly State[] = ["ready", "ready", "starting", "asleep", "stuck"];
  const builders = Array.from({ length: BUILDERS }, (_, at): Builder => ({
    name: `builder-${at}`,
    state: states[at % states.length]!,
    load: at % 4,
    room: 4 - at % 4,
    reach: 4 - at % 4,
    limit: Infinity,
    open: at % 5 < 2 ? Infinity : 0,
  }));
  return PLACEMENTS.map((placement): Figure => {
    const policy: RoutePolicy = { placement, overflow: "full", turn: 0 };
    const ms = Array.from({ length: samples }, () => {
      const startedMs = performance.now();
      plan(waiting, builders, policy);
      return performance.now() - startedMs;
    }).slice(samples >> 2);
    const middle = median(ms);
    return {
      what: `plan of ${WAITING} waiting of ${PROJECTS} projects, ${BUILDERS} builders, ${placement}`,
      bar: `<= ${PLAN_BAR_MS} ms`,
      measured: `median ${middle.toFixed(2)} ms, p99 ${quantile(ms, 0.99).toFixed(2)} ms`,
      holds: middle <= PLAN_BAR_MS,
    };
  });
}
