/**
 * The checks behind `/livez` and `/readyz`, and their texts. They read state and change nothing.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import type { CauseLog } from "../base/log.ts";
import type { BuilderState } from "../base/metrics.ts";
import type { Proxies } from "../ha/proxies.ts";
import type { CheckResult, Health } from "../ops/health.ts";
import type { Proxy } from "../proxy/proxy.ts";
import type { Router } from "../route/router.ts";
import type { Observer } from "../scaler/observer.ts";
import type { Placement } from "../scaler/placement.ts";
import type { Scaling } from "../scaler/scaling.ts";
import type { Joining } from "../target/joining.ts";
import type { Ending } from "./shutdown.ts";

/** What the checks look at. */
export interface Checked {
  /** Whether the program is about to end. */
  readonly ending: Readonly<Ending>;
  /** Whether the API server is within reach. */
  readonly access: Pick<CauseLog, "cause">;
  /** The sessions. */
  readonly proxy: Pick<Proxy, "accepting" | "fault" | "open" | "held">;
  /** The builders. */
  readonly targets: readonly CheckedBuilder[];
  /** Where sessions go. */
  readonly router: Pick<Router, "pools">;
  /** For how long builders are waited for. */
  readonly clock: Pick<Clock, "nowMs">;
}

/** One builder. */
export interface CheckedBuilder {
  /** The StatefulSet's name. */
  readonly name: string;
  /** The pool that it belongs to. */
  readonly pool: string;
  /** Its parts. */
  readonly target: CheckedTarget;
}

/** What the checks look at in one StatefulSet. */
export interface CheckedTarget {
  /** How far this proxy has joined the others. */
  readonly joining: Readonly<Joining>;
  /** How far it can be used. */
  readonly state: BuilderState;
  /** The count. */
  readonly scaler: Pick<Scaling, "because" | "fault">;
  /** The watches. */
  readonly observer: Pick<Observer, "fault" | "unlisted" | "portDoubt">;
  /** What was seen of the count. */
  readonly placement: { readonly agreement: Pick<Placement["agreement"], "seen"> };
  /** This proxy among the others. */
  readonly proxies: DescribedProxies;
}

/** What the checks say about the proxies. */
export interface DescribedProxies extends Pick<Proxies, "identity" | "leader"> {
  /** Where this proxy stands. */
  readonly membership: Pick<Proxies["membership"], "state" | "fault" | "holding">;
  /** The others that are alive. */
  readonly others: readonly Pick<Proxies["others"][number], "identity" | "body">[];
}

/** Adds all checks of the program. Those of one builder of several have its name. */
export function addChecks(health: Health, checked: Checked): void {
  const { ending, proxy, targets, router } = checked;
  const isOne = targets.length === 1;
  health.add({
    name: "accept",
    probes: ["live"],
    // No restart when descriptors run out: it would cut the sessions that hold them.
    check: () =>
      proxy.accepting || ending.begun
        ? { ok: true, detail: proxy.fault ?? `${proxy.open} sessions open, ${proxy.held} held` }
        : { ok: false, reason: "no longer accepting connections" },
  });
  for (const { name, target } of targets) {
    health.add({
      name: isOne ? "scale" : `scale:${name}`,
      probes: ["live"],
      // No restart when the API server fails.
      check: () => ({ ok: true, detail: describeScale(target, isOne) }),
    });
  }
  for (const { name, target: { proxies } } of targets) {
    health.add({
      name: isOne ? "proxies" : `proxies:${name}`,
      probes: ["live"],
      check: () => ({ ok: true, detail: describeProxies(proxies) }),
    });
  }
  if (!isOne) {
    for (const [name, pool] of router.pools) {
      health.add({
        name: name === "" ? "sessions" : `sessions:${name}`,
        probes: ["live"],
        check: () => ({ ok: true, detail: pool.description }),
      });
    }
  }
  health.add({ name: "cluster", probes: ["ready"], check: clusterCheck(checked) });
  health.add({
    name: "shutdown",
    probes: ["ready"],
    check: () => ending.begun ? { ok: false, reason: "shutting down" } : { ok: true },
  });
}

/** The count, and why it is what it is. */
function describeScale({ placement, scaler, observer, state }: CheckedTarget, isOne: boolean): string {
  const replicas = placement.agreement.seen?.replicas;
  const count = replicas === undefined
    ? "the replica count has not been read yet"
    : `replicas ${replicas}: ${scaler.because}`;
  const parts = [isOne ? undefined : state, count, scaler.fault, observer.fault, observer.unlisted];
  return parts.filter(Boolean).join("; ");
}

/** Beside a builder that has joined, each other one of its pool has this long to do so, in ms, the first time. */
const JOIN_MS = 15_000;

/**
 * Ready once every pool has a builder that can be used. For the others of the pool it waits no longer than that they are
 * known to be absent or forbidden, or {@link JOIN_MS}. After that, a builder that goes missing unreadies nothing.
 */
function clusterCheck({ access, targets, clock }: Checked): () => CheckResult {
  const startedMs = clock.nowMs();
  let wasReady = false;
  return () => {
    const holding = targets.map(({ target }) => target.proxies.membership.holding);
    if (holding.every((each) => each !== undefined)) return { ok: false, reason: holding[0]! };
    const isLate = clock.nowMs() - startedMs >= JOIN_MS;
    const pools = Map.groupBy(targets, ({ pool }) => pool);
    const waited = [...pools.values()].flatMap((pool) => {
      const isServed = pool.some(({ target }) => target.joining.joined);
      return pool.filter(({ target: { joining, state } }) =>
        !joining.joined && !(isServed && (isLate || state === "missing"))
      );
    });
    wasReady ||= waited.length === 0;
    const prefix = (name: string) => targets.length === 1 ? "" : `${name}: `;
    if (wasReady) {
      const details = targets.flatMap(({ name, target: { observer: { unlisted, portDoubt } } }) =>
        [unlisted, portDoubt].filter((each) => each !== undefined).map((each) => prefix(name) + each)
      );
      return { ok: true, ...(details.length === 0 ? {} : { detail: details.join("; ") }) };
    }
    // While the API server cannot be reached, all other faults are consequences.
    if (access.cause !== undefined) return { ok: false, reason: access.cause };
    return { ok: false, reason: waited.map(({ name, target }) => prefix(name) + faultOf(target)).join("; ") };
  };
}

/** Why a builder has not joined. */
function faultOf({ joining, observer, proxies }: CheckedTarget): string {
  const faults = [observer.fault, joining.fault, proxies.membership.fault, observer.unlisted];
  const known = [...new Set(faults.filter((fault) => fault !== undefined))];
  return known.join("; ") || joining.waitsFor;
}

/** Who leads, who is alive, and what each has in use. */
function describeProxies({ identity, leader, membership, others }: DescribedProxies): string {
  const parts = [`this is ${identity}, ${membership.state}`];
  if (membership.fault !== undefined) parts.push(membership.fault);
  // A proxy that is alone is not in the election.
  if (membership.state !== "alone") {
    parts.push(leader === "" ? "no leader" : `leader ${leader === identity ? "is this one" : leader}`);
  }
  for (const { identity: other, body } of others) {
    const busy = (body?.inUse ?? []).filter(({ busy }) => busy).map(({ ordinal }) => ordinal);
    const held = body !== undefined && body.needing > 0 ? `, ${body.needing} held` : "";
    const use = busy.length === 0 ? "idle" : `busy on ${busy.join(", ")}`;
    const observes = body?.observes ? ", only observes, so nothing is scaled down beside it" : "";
    parts.push(
      `${other} is alive: ${body === undefined ? "its record cannot be read" : use + held + observes}`,
    );
  }
  return parts.join("; ");
}
