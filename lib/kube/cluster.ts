/**
 * What the Kubernetes client needs to know of a cluster: where its API server is and how to prove who asks. Made by
 * `load_cluster.ts` from a kubeconfig or a service account, by tests and the demo by hand.
 *
 * @module
 */
import type { Http } from "./http.ts";
import type { TokenTimes } from "./token_claims.ts";

/** The source of a pod's own credentials; every other source is a kubeconfig. */
export const SERVICE_ACCOUNT = "service account";

/** For a message about `namespace`: that the credentials are for another one; else empty. Names no file. */
export function homeHint({ namespace: home, source }: Cluster, namespace: string): string {
  if (home === undefined || home === namespace) return "";
  return source === SERVICE_ACCOUNT
    ? `; the namespace of the service account is "${home}"`
    : `; the namespace of the kubeconfig's context is "${home}"`;
}

/** What to do when the API server does not accept the credentials. Names no file. */
export function credentialsHint({ source }: Cluster): string {
  return source === SERVICE_ACCOUNT
    ? "; the service account's token has expired, or the pod or the ServiceAccount was deleted, check that the " +
      "ServiceAccount exists and restart the pod"
    : "; renew them, or check that the kubeconfig's context is the right one";
}

/** A cluster and the identity to use there. */
export interface Cluster {
  /** The API server's base URL; its path, if it has one, comes before every request's. */
  readonly server: URL;
  /** Where this comes from, for messages: {@link SERVICE_ACCOUNT}, or `context "x" of "~/.kube/config"`. */
  readonly source: string;
  /** The namespace of the context or service account, where one is known. Only for messages: it is never a default. */
  readonly namespace: string | undefined;
  /** The uid of the pod that the program runs in, where its service account's token tells it. */
  readonly podUid?: string | undefined;
  /** The lifetime of the service account's token as it now stands in its file; undefined where it tells none. */
  tokenTimes?(): Promise<TokenTimes | undefined>;
  /** The way to the server. */
  readonly http: Http;
  /**
   * The headers that authenticate a request (none when a client certificate does). Re-reads token files, runs or
   * re-runs an exec plugin when its credential has expired.
   *
   * @throws Error that says which file or plugin failed, and what to do
   */
  authenticate(signal: AbortSignal): Promise<Readonly<Record<string, string>>>;
  /**
   * Forgets what `authenticate` has cached and reads files again: the server has answered 401. Never throws: what cannot
   * be read is logged, or fails the next `authenticate`.
   */
  refresh(): Promise<void>;
  /**
   * Reads the authority's certificates, and credentials that stand in a kubeconfig, again: a TLS handshake has failed.
   * Never throws.
   *
   * @returns true when something is new, so that another try makes sense
   */
  renew(): Promise<boolean>;
}
