/**
 * What the Kubernetes client needs to know of a cluster: where its API server is and how to prove who asks. Made by
 * `load_cluster.ts` from a kubeconfig or a service account, by tests and the demo by hand.
 *
 * @module
 */
import type { Http } from "./http.ts";

/** For a message about `namespace`: that the credentials are for another one; else empty. */
export function homeHint({ namespace: home, source }: Cluster, namespace: string): string {
  return home === undefined || home === namespace ? "" : `; the namespace of the ${source} is "${home}"`;
}

/** A cluster and the identity to use there. */
export interface Cluster {
  /** The API server's base URL; its path, if it has one, comes before every request's. */
  readonly server: URL;
  /** Where this comes from, for messages: `service account`, or `context "x" of "~/.kube/config"`. */
  readonly source: string;
  /** The namespace of the context or service account, where one is known. Only for messages: it is never a default. */
  readonly namespace: string | undefined;
  /** The uid of the pod that the program runs in, where its service account's token tells it. */
  readonly podUid?: string | undefined;
  /** The way to the server. */
  readonly http: Http;
  /**
   * The headers that authenticate a request (none when a client certificate does). Re-reads token files, runs or
   * re-runs an exec plugin when its credential has expired.
   *
   * @throws Error that says which file or plugin failed, and what to do
   */
  authenticate(signal: AbortSignal): Promise<Readonly<Record<string, string>>>;
  /** Forgets what `authenticate` has cached: the server has answered 401. */
  refresh(): void;
}
