/**
 * Where the cluster is: its folder, its addresses, and the names of its parts.
 *
 * The addresses exist only inside the cluster's network namespace, so they are fixed.
 *
 * @module
 */

import { basename, join } from "node:path";
import { cacheFolder } from "../../.ci/commands.ts";

/** Data, settings, logs and sockets of the cluster. `CLUSTER_FOLDER` names another one, for a second cluster. */
export const FOLDER = Deno.env.get("CLUSTER_FOLDER") || cacheFolder("cluster");

/** A path in {@link FOLDER}. */
export function at(...names: readonly string[]): string {
  return join(FOLDER, ...names);
}

/** The kubeconfig for people and for the program on this machine. */
export const KUBECONFIG = at("kubeconfig");

/** The name of the node, and of its kubelet. */
export const NODE = "node-1";

/** The node's address. It is on a bridge without ports, and no route leads out of the namespace. */
export const NODE_ADDRESS = "10.250.0.1";

/** Where the API server listens inside the namespace. */
export const API_ENDPOINT = `${NODE_ADDRESS}:6443`;

/** The same server's socket for the processes outside of the network namespace. */
export const API_SOCKET = at("api.sock");

/** The registry that all images come from, whatever registry their names begin with. */
export const REGISTRY = `${NODE_ADDRESS}:5000`;

/** Addresses of Services; the first one is the API server's, by which pods reach it. */
export const SERVICES = { range: "10.96.0.0/16", api: "10.96.0.1", dns: "10.96.0.10" };

/** Addresses of pods. */
export const POD_RANGE = "10.251.0.0/16";

/** The control group below which all pods have theirs. Named after the folder, because two clusters may run. */
export const CGROUP = `cluster-${basename(FOLDER)}`;
