/**
 * The project that a client's name for this proxy stands for. The name is the `:authority` of its first call, or the
 * server name (SNI) of its TLS. Projects decide on cache affinity only: a client may claim any. Pure; never throws.
 *
 * @module
 */
import { isIpv4 } from "../config/address.ts";

/** Where the proxy runs: completes short names, as the DNS search path of a pod does. */
export interface ProjectScope {
  /** The proxy's namespace. */
  readonly namespace: string;
  /** The DNS domain of the cluster, without a dot at its end. */
  readonly clusterDomain: string;
}

/** The longest name in DNS, in bytes, without the dot at its end. */
const LONGEST_NAME_BYTES = 253;

/** Letters, digits, `-` and `_`, in labels of at most 63 bytes with one dot between two. */
const DNS_NAME = /^[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*$/;

/**
 * The project of a name such as `team-a.ci.svc.cluster.local:8372`. `team-a`, `team-a.ci` and all longer forms of the
 * same Service are one project. `undefined` for an IP address, `localhost`, and anything that is no DNS name.
 */
export function projectOf(name: string, { namespace, clusterDomain }: ProjectScope): string | undefined {
  const host = name.replace(/:[0-9]*$/, "").replace(/\.$/, "");
  if (host.length > LONGEST_NAME_BYTES || !DNS_NAME.test(host) || isIpv4(host)) return undefined;
  const lower = host.toLowerCase();
  if (lower === "localhost") return undefined;
  const short = withoutSuffix(lower, [`.svc.${clusterDomain.toLowerCase()}`, ".svc"]);
  return short.includes(".") ? short : `${short}.${namespace}`;
}

/** The name without the first of the suffixes that it has. */
function withoutSuffix(name: string, suffixes: readonly string[]): string {
  const suffix = suffixes.find((suffix) => name.endsWith(suffix)) ?? "";
  return name.slice(0, name.length - suffix.length);
}
