/**
 * Connects to a pod: by its address, or by its DNS name (`--upstream dns`). One attempt; the session decides when to try
 * again.
 *
 * @module
 */
import { type Clock, deadline } from "../base/clock.ts";
import type { Abortable } from "../base/ending.ts";
import { codeOf, messageOf, TimeoutError } from "../base/errors.ts";
import { type Conn, formatAddress, type Network } from "../base/network.ts";
import { formatDurationMs } from "../config/duration.ts";
import type { Backend } from "../scaler/backends.ts";
import { DialError } from "./seats.ts";

/** Connects to pods. */
export interface Dialler {
  /** Every dial goes through the API server, which should not be asked too often. */
  readonly isForwarding: boolean;
  /**
   * Connects to a pod.
   *
   * @throws DialError, or the reason of `signal`
   */
  dial(backend: Backend, signal: Abortable): Promise<Conn>;
}

/** The settings that matter. */
export interface DialSettings {
  /** By address (`slices`) or by name (`dns`). */
  readonly upstream: "slices" | "dns";
  /** The daemon's port. */
  readonly targetPort: number;
  /** From the start of a connect to its end, in ms. */
  readonly connectTimeoutMs: number;
  /** The headless service that gives pods their names. */
  readonly headlessServiceName: string;
  /** The pods' namespace. */
  readonly stsNamespace: string;
  /** The cluster's DNS domain. */
  readonly clusterDomain: string;
}

/**
 * Connects to a pod, trying its addresses in turn.
 *
 * @throws DialError, or the reason of `signal`
 */
export async function dial(
  network: Network,
  clock: Clock,
  backend: Backend,
  settings: DialSettings,
  signal: Abortable,
): Promise<Conn> {
  const { upstream, targetPort, connectTimeoutMs } = settings;
  const hostnames = upstream === "dns" ? [nameOf(backend, settings)] : backend.addresses;
  const failed: string[] = [];
  const bare: string[] = [];
  let isRefused = hostnames.length > 0;
  let isLocal = hostnames.length > 0;
  for (const hostname of hostnames) {
    using limit = deadline(
      clock,
      connectTimeoutMs,
      signal,
      () => new TimeoutError(`no answer within ${formatDurationMs(connectTimeoutMs)}`),
    );
    try {
      return await network.connect({ hostname, port: targetPort }, limit.signal);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      isLocal &&= ["EMFILE", "ENFILE", "EADDRNOTAVAIL"].includes(codeOf(error) ?? "");
      isRefused &&= codeOf(error) === "ECONNREFUSED" || error instanceof Deno.errors.ConnectionRefused;
      const address = formatAddress({ hostname, port: targetPort });
      bare.push(`${address}: ${messageOf(error)}`);
      failed.push(`${address}: ${messageOf(error)}${cure(error, upstream)}`);
    }
  }
  throw new DialError(
    `Cannot connect to ready pod "${backend.pod}": ${failed.join("; ") || "it has no address"}`,
    isLocal,
    { isRefused, reason: bare.join("; ") || "the pod has no address" },
  );
}

/** What DNS knows the pod by. */
function nameOf({ pod }: Backend, settings: DialSettings): string {
  const { headlessServiceName, stsNamespace, clusterDomain } = settings;
  return `${pod}.${headlessServiceName}.${stsNamespace}.svc.${clusterDomain}`;
}

function cure(error: unknown, upstream: "slices" | "dns"): string {
  const noRoute = error instanceof TimeoutError ||
    ["EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT", "EADDRNOTAVAIL"].includes(codeOf(error) ?? "");
  if (noRoute) {
    return "; pods are reached by their cluster addresses: run the proxy inside the cluster, use --upstream auto or " +
      "port-forward, or give this machine a route to the pod network, and see that no NetworkPolicy forbids it";
  }
  if (upstream === "dns" && /lookup|resolve/i.test(messageOf(error))) {
    return "; pod names resolve only inside the cluster: check --headless-service-name and --cluster-domain, or use " +
      "--upstream slices";
  }
  return "";
}
