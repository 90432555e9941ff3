/**
 * What the Kubernetes client needs to know about a cluster: where its API server is, and how to authenticate.
 * `load_cluster.ts` makes it from a kubeconfig or a service account; tests and the demo make their own.
 *
 * @module
 */
import type { Http } from "./http.ts";
import type { TokenTimes } from "./token_claims.ts";

/** {@link Cluster.source} of a pod's service account. Every other source is a kubeconfig. */
export const SERVICE_ACCOUNT = "service account";

/**
 * The end of an error message about `namespace` if the credentials belong to another namespace, else empty. Names no
 * file.
 */
export function namespaceHint({ namespace: home, source }: Cluster, namespace: string): string {
  if (home === undefined || home === namespace || namespace === "") return "";
  return source === SERVICE_ACCOUNT
    ? `; the namespace of the service account is "${home}"`
    : `; the namespace of the kubeconfig's context is "${home}"`;
}

/** For a message that something is missing: the command that looks for it everywhere; empty in a pod, which has none. */
export function lookHint({ source }: Cluster, plural: string): string {
  return source === SERVICE_ACCOUNT
    ? ""
    : `; "kubectl get ${plural} --all-namespaces" shows where there is one`;
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
  /** The base URL of the API server. Its path, if any, is the prefix of all request paths. */
  readonly server: URL;
  /**
   * Where the configuration comes from, for messages: {@link SERVICE_ACCOUNT}, or `context "x" of "~/.kube/config"`.
   */
  readonly source: string;
  /** The namespace of the context or service account, if known. Only for messages, never a default. */
  readonly namespace: string | undefined;
  /** The uid of the pod that the program runs in, if the service account's token contains it. */
  readonly podUid?: string | undefined;
  /** The lifetime of the token that is now in the service account's file, if it has one. */
  tokenTimes?(): Promise<TokenTimes | undefined>;
  /** Sends requests to the server. */
  readonly http: Http;
  /**
   * The headers that authenticate a request; none with a client certificate. Reads token files again, and runs an exec
   * plugin when its credential has expired.
   *
   * @throws Error that names the file or plugin that failed, and the remedy
   */
  authenticate(signal: AbortSignal): Promise<Readonly<Record<string, string>>>;
  /**
   * Called after a 401: drops cached credentials and reads files again. Never throws: a file that cannot be read is
   * logged, or fails the next `authenticate`.
   */
  refresh(): Promise<void>;
  /**
   * Called after a failed TLS handshake: reads the certificate authority and the credentials of a kubeconfig again.
   * Never throws.
   *
   * @returns true if something has changed, so that a retry makes sense
   */
  renew(): Promise<boolean>;
}
