/**
 * The checks behind `/livez` and `/readyz`, and their texts. They read state and change nothing.
 *
 * @module
 */
import type { CauseLog } from "../base/log.ts";
import type { Proxies } from "../ha/proxies.ts";
import type { Health } from "../ops/health.ts";
import type { Proxy } from "../proxy/proxy.ts";
import type { Observer } from "../scaler/observer.ts";
import type { Placement } from "../scaler/placement.ts";
import type { Scaler } from "../scaler/scaler.ts";
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
  /** The StatefulSet. */
  readonly target: CheckedTarget;
}

/** What the checks look at in one StatefulSet. */
export interface CheckedTarget {
  /** How far this proxy has joined the others. */
  readonly joining: Readonly<Joining>;
  /** The count. */
  readonly scaler: Pick<Scaler, "because" | "fault">;
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

/** Adds all checks of the program. */
export function addChecks(
  health: Health,
  { ending, access, proxy, target }: Checked,
): void {
  const { joining, scaler, observer, placement, proxies } = target;
  health.add({
    name: "accept",
    probes: ["live"],
    // No restart when descriptors run out: it would cut the sessions that hold them.
    check: () =>
      proxy.accepting || ending.begun
        ? { ok: true, detail: proxy.fault ?? `${proxy.open} sessions open, ${proxy.held} held` }
        : { ok: false, reason: "no longer accepting connections" },
  });
  health.add({
    name: "scale",
    probes: ["live"],
    // No restart when the API server fails.
    check: () => {
      const replicas = placement.agreement.seen?.replicas;
      const state = replicas === undefined
        ? "the replica count has not been read yet"
        : `replicas ${replicas}: ${scaler.because}`;
      return {
        ok: true,
        detail: [state, scaler.fault, observer.fault, observer.unlisted].filter(Boolean).join("; "),
      };
    },
  });
  health.add({
    name: "proxies",
    probes: ["live"],
    check: () => ({ ok: true, detail: describeProxies(proxies) }),
  });
  health.add({
    name: "cluster",
    probes: ["ready"],
    check: () => {
      const { holding } = proxies.membership;
      if (holding !== undefined) return { ok: false, reason: holding };
      if (joining.joined) {
        const detail = [observer.unlisted, observer.portDoubt].filter(Boolean).join("; ");
        return { ok: true, ...(detail === "" ? {} : { detail }) };
      }
      // While the API server cannot be reached, all other faults are consequences.
      const faults = access.cause !== undefined
        ? [access.cause]
        : [observer.fault, joining.fault, proxies.membership.fault, observer.unlisted].filter((fault) =>
          fault !== undefined
        );
      const reason = [...new Set(faults)].join("; ");
      return { ok: false, reason: reason || joining.waitsFor };
    },
  });
  health.add({
    name: "shutdown",
    probes: ["ready"],
    check: () => ending.begun ? { ok: false, reason: "shutting down" } : { ok: true },
  });
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
    parts.push(`${other} is alive: ${body === undefined ? "its record cannot be read" : use + held}`);
  }
  return parts.join("; ");
}
