/**
 * The parts that a kubeconfig or service account yields, and the {@link Cluster} made of them. Details of files and
 * plugins in errors are only for the log: clients and the admin port get one general sentence.
 *
 * @module
 */
import { PrivateError } from "../base/errors.ts";
import { CauseLog, type Log } from "../base/log.ts";
import type { BasePorts } from "../base/ports.ts";
import type { Cluster } from "./cluster.ts";
import { type ClientHttp, type Connection, needsTls } from "./connection.ts";
import type { Credentials } from "./credentials.ts";
import { environmentProxy } from "./environment_proxy.ts";
import type { Machine } from "./machine.ts";
import { makeHttp } from "./make_http.ts";
import type { KeyPair } from "./pem.ts";
import type { TokenTimes } from "./token_claims.ts";

/** What credentials are loaded with. */
export interface LoadPorts extends Pick<BasePorts, "clock" | "log"> {
  /** Environment, files, child processes. */
  readonly machine: Machine;
}

/** Server and credentials, before a connection is opened. */
export interface ClusterParts {
  /** See {@link Cluster}. */
  readonly server: URL;
  /** See {@link Cluster}. */
  readonly source: string;
  /** See {@link Cluster}. */
  readonly namespace: string | undefined;
  /** See {@link Cluster}. */
  readonly podUid?: string | undefined;
  /** See {@link Cluster}. */
  tokenTimes?(): Promise<TokenTimes | undefined>;
  /** How to connect. */
  readonly connection: Connection;
  /** How to authenticate. */
  readonly credentials: Credentials;
  /**
   * Reads files again that may have been replaced.
   *
   * @throws Error that names the file
   */
  renew?(): Promise<Renewed>;
}

/** What {@link ClusterParts.renew} has found. */
export interface Renewed {
  /** See {@link Connection}. */
  readonly ca: string | undefined;
  /** The new credentials, if the kubeconfig has changed. */
  readonly credentials?: Credentials;
}

/** What clients are told when no request can be authenticated. */
const NO_CREDENTIALS =
  "The proxy cannot use the Kubernetes API: its credentials could not be read (its log has the reason)";

/**
 * A {@link Cluster} of these parts. Logs a warning if certificates are not verified.
 *
 * @throws UsageError when the environment names a proxy that cannot be used
 */
export function makeCluster(parts: ClusterParts, { log, machine }: LoadPorts): Cluster {
  const { server, source, namespace, podUid, tokenTimes, connection } = parts;
  if (connection.insecure) {
    log.warn("api_server_certificate_unverified", {
      server: server.origin,
      source,
      cause: '"insecure-skip-tls-verify" is set: anyone on the network path can read and change the traffic',
    });
  }
  const isSettled = connection.proxy !== undefined || needsTls(connection);
  const { noProxy, ...environment } = isSettled ? {} : environmentProxy(server, machine.env);
  if (noProxy !== undefined) machine.setEnv("NO_PROXY", noProxy);
  const http = makeHttp({ ...connection, ...environment });
  const identity = new Identity(parts, http, log);
  return {
    server,
    source,
    namespace,
    podUid,
    ...(tokenTimes && { tokenTimes }),
    http,
    authenticate: (signal) => identity.authenticate(signal),
    refresh: () => identity.refresh(),
    renew: () => identity.renew(),
  };
}

/** The current credentials and certificate authority. */
class Identity {
  readonly #parts: ClusterParts;
  readonly #http: ClientHttp;
  readonly #log: Log;
  readonly #unreadable: CauseLog;
  #credentials: Credentials;
  #ca: string | undefined;
  #presented: KeyPair | undefined;
  #renewing: Promise<boolean> | undefined;

  constructor(parts: ClusterParts, http: ClientHttp, log: Log) {
    this.#parts = parts;
    this.#http = http;
    this.#log = log;
    this.#unreadable = new CauseLog(log, "credential_file_unreadable");
    this.#credentials = parts.credentials;
    this.#ca = parts.connection.ca;
  }

  async authenticate(signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
    try {
      const { headers, clientCertificate } = await this.#credentials.get(signal);
      if (
        clientCertificate?.cert !== this.#presented?.cert || clientCertificate?.key !== this.#presented?.key
      ) {
        this.#presented = clientCertificate;
        this.#http.useClientCertificate(clientCertificate);
      }
      return headers;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const message = error instanceof Error ? error.message : String(error);
      throw new PrivateError(message, NO_CREDENTIALS, { cause: error });
    }
  }

  async refresh(): Promise<void> {
    this.#credentials.refresh();
    await this.renew();
  }

  /** Calls during a read share its result. */
  renew(): Promise<boolean> {
    return this.#renewing ??= this.#renew().finally(() => this.#renewing = undefined);
  }

  async #renew(): Promise<boolean> {
    let renewed: Renewed | undefined;
    try {
      renewed = await this.#parts.renew?.();
    } catch (error) {
      this.#unreadable.failed(error);
    }
    if (renewed === undefined) return false;
    this.#unreadable.succeeded();
    const { ca, credentials } = renewed;
    const isOtherCa = ca !== this.#ca;
    if (isOtherCa) {
      this.#ca = ca;
      this.#http.trust(ca);
    }
    if (credentials !== undefined) this.#credentials = credentials;
    if (!isOtherCa && credentials === undefined) return false;
    this.#log.info("credentials_reloaded", {
      source: this.#parts.source,
      changed: [...(isOtherCa ? ["authority"] : []), ...(credentials === undefined ? [] : ["kubeconfig"])],
    });
    return true;
  }
}
