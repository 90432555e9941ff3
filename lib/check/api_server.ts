/**
 * Findings about the API server itself. Pure.
 *
 * @module
 */
import { failed, type Finding, ok, type Read, unchecked, warning } from "./finding.ts";

/** The oldest version that the program is tested for: `1.30`. */
const OLDEST_MINOR = 30;

/** What is known of the API server. */
export interface ApiServerFacts {
  /** Its address, without a path. */
  readonly origin: string;
  /** Such as `v1.36.0`. */
  readonly version: Read<string>;
  /** The caller's name. */
  readonly user: Read<string>;
  /** Why no request succeeds, if none does. */
  readonly fault: string | undefined;
}

/** Whether it can be reached, which version it has, and as whom it takes the caller. */
export function apiServerFinding({ origin, version, user, fault }: ApiServerFacts): Finding {
  const check = "API server";
  // Everybody may ask for both: without an answer to either, something else than the API server answers, or it is broken.
  const unread = version.is === "unread" && user.is === "unread" ? version.why : undefined;
  const cause = fault ?? unread;
  if (cause !== undefined) {
    return failed(check, cause, `an answer of ${origin}`, "kubectl version # with the same kubeconfig");
  }
  const as = user.is === "found" && user.value !== "" ? `, you are ${user.value}` : "";
  if (version.is !== "found") {
    const why = version.is === "unread" ? version.why : "it tells none";
    return unchecked(check, `${origin} answers, its version cannot be read: ${why}${as}`);
  }
  const found = `${version.value} at ${origin}${as}`;
  const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(version.value) ?? [];
  if (Number(major) === 1 && Number(minor) < OLDEST_MINOR) {
    return warning(check, found, `Kubernetes 1.${OLDEST_MINOR} or newer`, "upgrade the cluster");
  }
  return ok(check, found);
}
