/**
 * The service account of the pod that the program runs in
 * (https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/): server, token, certificate authority and
 * namespace.
 *
 * @module
 */
import { join } from "node:path";
import { formatAddress } from "../base/network.ts";
import { CachedFile } from "./cached_file.ts";
import { SERVICE_ACCOUNT } from "./cluster.ts";
import type { ClusterParts, LoadPorts } from "./cluster_parts.ts";
import { isToken, tokenFile } from "./credentials.ts";
import { isMissing, readFault } from "./machine.ts";
import { faultOfCa } from "./pem.ts";
import { readClaims } from "./token_claims.ts";

/** Where Kubernetes mounts a service account. */
export const SERVICE_ACCOUNT_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount";

/** The result: a service account, the reason why there is none, or its problems. */
export type InCluster =
  | { readonly parts: ClusterParts }
  | { readonly absent: string }
  | { readonly problems: readonly string[] };

/** Looks for a service account in `directory`. */
export async function findInCluster(directory: string, ports: LoadPorts): Promise<InCluster> {
  const { machine, clock, log } = ports;
  const host = machine.env("KUBERNETES_SERVICE_HOST");
  const port = machine.env("KUBERNETES_SERVICE_PORT");
  if (host === undefined) return { absent: "KUBERNETES_SERVICE_HOST is not set" };
  if (port === undefined) return { absent: "KUBERNETES_SERVICE_PORT is not set" };
  const tokenPath = join(directory, "token");
  try {
    await machine.readText(tokenPath);
  } catch (error) {
    if (isMissing(error)) return { absent: `there is no "${tokenPath}"` };
  }
  const problems: string[] = [];
  const file = new CachedFile({
    path: tokenPath,
    what: "service account token",
    fault: (text) => isToken(text) ? undefined : "found no token, want one line of text",
    machine,
    clock,
    log,
  });
  const token = await file.read().catch((error: Error) => void problems.push(error.message));
  const caPath = join(directory, "ca.crt");
  const ca = await readAuthority(caPath, ports).catch((error: Error) => void problems.push(error.message));
  const address = formatAddress({ hostname: host.replace(/^\[|\]$/g, ""), port: Number(port) });
  const server = /^\d{1,5}$/.test(port) && URL.canParse(`https://${address}`)
    ? new URL(`https://${address}`)
    : undefined;
  if (server === undefined) {
    problems.push(
      `Cannot use the service account: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: ` +
        `found "${host}" and "${port}", want a host and a port`,
    );
  }
  if (problems.length > 0 || server === undefined) return { problems };
  const namespace = await machine.readText(join(directory, "namespace")).catch(() => "");
  return {
    parts: {
      server,
      source: SERVICE_ACCOUNT,
      namespace: namespace.trim() || undefined,
      podUid: readClaims(token ?? "").podUid,
      tokenTimes: () => file.read().then((text) => readClaims(text).times, () => undefined),
      connection: {
        ca,
        caSource: `the service account's authority "${caPath}"`,
        proxy: undefined,
        serverName: undefined,
        insecure: false,
        repeatsHeaders: false,
      },
      credentials: tokenFile(file),
      renew: async () => ({ ca: await readAuthority(caPath, ports) }),
    },
  };
}

/** The cluster's certificate authority. Kubernetes replaces the file when it changes. */
async function readAuthority(path: string, { machine, clock }: LoadPorts): Promise<string> {
  const text = await machine.readText(path).catch((error: unknown) => ({ fault: readFault(error) }));
  const fault = typeof text === "string" ? faultOfCa(text, clock.wallMs()) : text.fault;
  if (typeof text === "string" && fault === undefined) return text;
  throw new Error(`Cannot use the service account's authority "${path}": ${fault}, want PEM certificates`);
}
