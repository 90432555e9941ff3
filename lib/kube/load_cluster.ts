/**
 * Finds the cluster and the credentials, in this order: the kubeconfig that the user asks for, the pod's service
 * account, the files of `KUBECONFIG`, `~/.kube/config`. If the user asks for a context, the service account is skipped,
 * because only kubeconfigs have contexts. Sends no request and runs no plugin. A kubeconfig is read again when its
 * credentials or its certificate authority no longer work.
 *
 * @module
 */
import { delimiter, join, resolve } from "node:path";
import { UsageError } from "../base/errors.ts";
import type { Cluster } from "./cluster.ts";
import { type ClusterParts, type LoadPorts, makeCluster } from "./cluster_parts.ts";
import { fixed } from "./credentials.ts";
import { Problems } from "./fields.ts";
import { findInCluster, SERVICE_ACCOUNT_DIRECTORY } from "./in_cluster.ts";
import {
  chooseContext,
  type ChosenContext,
  type Kubeconfig,
  mergeKubeconfigs,
  parseKubeconfig,
} from "./kubeconfig.ts";
import { checkTransport, readCluster } from "./kubeconfig_connection.ts";
import { readUser } from "./kubeconfig_user.ts";
import { isMissing, readFault } from "./machine.ts";

/** What the user asks for. */
export interface LoadOptions {
  /** Use only this kubeconfig. */
  readonly kubeconfig?: string | undefined;
  /** Use this context instead of the current one. */
  readonly context?: string | undefined;
  /** Where the service account is mounted, for tests. */
  readonly serviceAccountDirectory?: string;
}

/**
 * The cluster to use, with its credentials.
 *
 * @throws UsageError with all problems, or with what was looked for if nothing was found
 */
export async function loadCluster(options: LoadOptions, ports: LoadPorts): Promise<Cluster> {
  return makeCluster(await findCluster(options, ports), ports);
}

async function findCluster(options: LoadOptions, ports: LoadPorts): Promise<ClusterParts> {
  const { kubeconfig, context } = options;
  const { machine } = ports;
  if (kubeconfig !== undefined) {
    return await fromKubeconfigs([resolve(kubeconfig)], true, context, ports) ?? none([]);
  }
  const looked: string[] = [];
  if (context === undefined) {
    const directory = options.serviceAccountDirectory ?? SERVICE_ACCOUNT_DIRECTORY;
    const inCluster = await findInCluster(directory, ports);
    if ("problems" in inCluster) throw new UsageError(inCluster.problems);
    if ("parts" in inCluster) return inCluster.parts;
    looked.push(`no service account (${inCluster.absent})`);
  }
  const listed = machine.env("KUBECONFIG");
  if (listed !== undefined) {
    const files = [...new Set(listed.split(delimiter).filter((file) => file !== ""))].map((file) =>
      resolve(file)
    );
    return await fromKubeconfigs(files, false, context, ports) ??
      none([...looked, `no file of those that KUBECONFIG names ("${listed}")`]);
  }
  looked.push("no KUBECONFIG");
  const home = machine.home();
  if (home === undefined) return none([...looked, "no home directory"]);
  const standard = join(home, ".kube", "config");
  return await fromKubeconfigs([standard], false, context, ports) ?? none([...looked, `no "${standard}"`]);
}

function none(looked: readonly string[]): never {
  throw new UsageError([
    `Cannot find a cluster: found ${
      looked.join(", ")
    }, want "--kubeconfig" or "KUBECONFIG" with the path of a ` +
    "kubeconfig, or a pod with a service account token",
  ]);
}

/** The chosen context of these files, or `undefined` if none exists and none is required. */
async function fromKubeconfigs(
  files: readonly string[],
  mustExist: boolean,
  wanted: string | undefined,
  ports: LoadPorts,
): Promise<ClusterParts | undefined> {
  const first = await readKubeconfigs(files, mustExist, wanted, ports);
  if (first === undefined) return undefined;
  const { context, parts, exposesCredentials } = first;
  if (exposesCredentials) {
    ports.log.warn("credentials_not_sent", {
      server: parts.server.origin,
      cause:
        `field "server" of the cluster in "${context.file}" begins with "http://": anyone on the network path could ` +
        `read the credentials; use "https://" if the API server asks for them`,
    });
  }
  let texts = first.texts;
  return {
    ...parts,
    async renew() {
      const again = await readKubeconfigs(files, mustExist, context.name, ports);
      if (again === undefined) throw new Error(`Cannot read ${parts.source} again: found no such file`);
      if (endpointOf(again.parts) !== endpointOf(parts)) {
        throw new Error(
          `Cannot use the changed ${parts.source}: found another server or other connection settings, restart the program to use it`,
        );
      }
      const { ca } = again.parts.connection;
      if (again.texts === texts) return { ca }; // files that it names are looked after by the credentials themselves
      texts = again.texts;
      return { ca, credentials: again.parts.credentials };
    },
  };
}

/** Server and connection without the certificate authority, to compare them. */
function endpointOf({ server, connection }: ClusterParts): string {
  return JSON.stringify([server, { ...connection, ca: undefined, caSource: undefined }]);
}

/** A context of kubeconfig files. */
interface ReadContext {
  readonly context: ChosenContext;
  readonly parts: ClusterParts;
  /** Whether credentials would be sent over plain HTTP. */
  readonly exposesCredentials: boolean;
  /** The content of the files, to compare it. */
  readonly texts: string;
}

async function readKubeconfigs(
  files: readonly string[],
  mustExist: boolean,
  wanted: string | undefined,
  ports: LoadPorts,
): Promise<ReadContext | undefined> {
  const problems = new Problems();
  const configs: Kubeconfig[] = [];
  const texts: string[] = [];
  for (const file of files) {
    try {
      const text = await ports.machine.readText(file);
      texts.push(text);
      configs.push(await parseKubeconfig(file, text, problems));
    } catch (error) {
      if (!isMissing(error) || mustExist) problems.file(file, `${readFault(error)}, want a kubeconfig`);
    }
  }
  if (configs.length === 0 && problems.lines.length === 0) return undefined;
  // If a file could not be read, a missing context is only the consequence.
  const chosen = problems.lines.length > 0
    ? undefined
    : await readContext(mergeKubeconfigs(configs), wanted, problems, ports);
  if (problems.lines.length > 0 || chosen === undefined) throw new UsageError(problems.lines);
  return { ...chosen, texts: JSON.stringify(texts) };
}

async function readContext(
  config: Kubeconfig,
  wanted: string | undefined,
  problems: Problems,
  ports: LoadPorts,
): Promise<Omit<ReadContext, "texts"> | undefined> {
  const chosen = chooseContext(config, wanted, problems);
  if (chosen === undefined) return undefined;
  const { cluster, user } = chosen;
  const entry = cluster && await readCluster(cluster, ports);
  const who = user && await readUser(user, cluster, entry, ports);
  if (cluster === undefined || entry === undefined) return undefined;
  const secure = entry.server.protocol === "https:";
  const repeatsHeaders = secure && (who?.repeatsHeaders ?? false);
  const connection = { ...entry.connection, repeatsHeaders };
  checkTransport(cluster, user, connection, ports.machine.denoVersion());
  const parts: ClusterParts = {
    server: entry.server,
    source: `context "${chosen.name}" of "${chosen.file}"`,
    namespace: chosen.namespace,
    connection,
    // As in kubectl: no credentials over an unencrypted connection.
    credentials: secure && who !== undefined ? who.credentials : fixed({ headers: {} }),
  };
  return { context: chosen, parts, exposesCredentials: !secure && (who?.hasCredentials ?? false) };
}
