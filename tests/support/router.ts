/**
 * A router over one builder, for tests of what lies before it.
 *
 * @module
 */
import type { Clock } from "../../lib/base/clock.ts";
import type { Log } from "../../lib/base/log.ts";
import type { Metrics } from "../../lib/base/metrics.ts";
import type { PoolPolicy } from "../../lib/route/pool_parts.ts";
import { Router } from "../../lib/route/router.ts";
import type { Placement } from "../../lib/scaler/placement.ts";
import type { BuilderSeats } from "../../lib/target/seats.ts";

/** The door of all clients. */
export const DOOR = { pool: "" };

/** Routes all sessions to the one builder. */
export function oneBuilder(
  seats: BuilderSeats,
  placement: Placement,
  ports: { readonly clock: Clock; readonly log: Log; readonly metrics: Metrics },
  policy: Partial<PoolPolicy> = {},
): Router {
  const builder = {
    name: "buildkitd",
    isCordoned: false,
    seats,
    get facts() {
      return {
        name: "buildkitd",
        ...placement.room,
        state: placement.usable.length > 0 ? "ready" : "asleep",
      } as const;
    },
    othersQueuedSinceMs: undefined,
    tellQueued: () => {},
    subscribe: (listener: () => void) => placement.subscribe(listener),
  };
  return new Router([{
    policy: {
      name: "",
      placement: "affinity",
      overflow: "full",
      affinityPatienceMs: 0,
      readyWaitTimeoutMs: 300_000,
      queueTimeoutMs: 3_600_000,
      maxHeld: 1_000,
      maxReplicas: 1,
      maxSessionsPerReplica: 0,
      ...policy,
    },
    builders: [builder],
  }], { ...ports, projectOf: (host) => host });
}
