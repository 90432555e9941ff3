/**
 * Where a client may go, by the settings of the proxy that it has come to: written down once more for the judges, apart
 * from the program's router. Pure.
 *
 * @module
 */
import type { PoolSettings } from "../../lib/config/builders.ts";
import { projectOf } from "../../lib/route/project.ts";
import { rank } from "../../lib/route/rank.ts";
import type { Plan } from "./clients.ts";
import type { ProxyProcess } from "./proxy_process.ts";

/** What a client may use. */
export interface ClientChoice {
  readonly pool: PoolSettings;
  /** Its project, as far as it says so. */
  readonly project: string | undefined;
  /** The builder that it prefers, whether it may use it or not; undefined where the policy has no homes. */
  readonly home: string | undefined;
  /** The builders that it may use, in the order in which it prefers them. */
  readonly may: readonly string[];
  /** It waits for the first of them that has room with all its pods, although others have room now. */
  readonly isPatient: boolean;
  /** Pods of a builder, at most. */
  readonly maxReplicas: number;
  /** Sessions on a pod beyond which another is taken. */
  readonly target: number;
  /** Sessions on a pod, at most. */
  readonly limit: number;
}

/** What short names stand for in the simulation. */
const NAMES = { namespace: "default", clusterDomain: "cluster.local" };

/** What the client may use at this proxy; undefined if the proxy has no such pool. */
export function choiceOf(client: Plan, { settings, pools }: ProxyProcess): ClientChoice | undefined {
  const pool = pools.find(({ name }) => name === client.door.pool);
  if (pool === undefined) return undefined;
  const { placement, overflow, maxReplicas } = settings;
  const project = projectAt(client);
  const names = pool.builders.map(({ name }) => name);
  const order = placement === "affinity" || placement === "least-sessions" ? rank(names, project) : names;
  const home = placement === "affinity" || placement === "packed" ? order[0] : undefined;
  const cordoned = pool.builders.filter(({ isCordoned }) => isCordoned).map(({ name }) => name);
  const open = order.filter((name) => !cordoned.includes(name));
  const limit = pool.maxSessionsPerReplica || Infinity;
  return {
    pool,
    project,
    home,
    may: overflow === "never" && home !== undefined ? open.filter((name) => name === home) : open,
    isPatient: placement === "affinity" && project !== undefined && client.http2,
    maxReplicas,
    target: Math.min(limit, pool.sessionsPerReplica || Infinity),
    limit,
  };
}

/** The project that a client's door or its words name. */
function projectAt({ door, http2, headers, serverName, wakesForSeconds }: Plan): string | undefined {
  const name = door.project ?? (http2 || wakesForSeconds !== undefined ? headers.authority : serverName);
  return name === undefined ? undefined : projectOf(name, NAMES);
}
