/**
 * The parts that a source of credentials yields, and the {@link Cluster} made of them.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Cluster } from "./cluster.ts";
import { type Connection, makeHttp } from "./connection.ts";
import type { Credentials } from "./credentials.ts";
import type { Machine } from "./machine.ts";
import type { KeyPair } from "./pem.ts";

/** What loading credentials works with. */
export interface LoadPorts {
  /** Environment, files, child processes. */
  readonly machine: Machine;
  /** For the age of files and the expiry of credentials. */
  readonly clock: Clock;
  /** For what should be known and is no error. */
  readonly log: Log;
}

/** A cluster and who asks, before anything is opened. */
export interface ClusterParts {
  /** See {@link Cluster}. */
  readonly server: URL;
  /** See {@link Cluster}. */
  readonly source: string;
  /** See {@link Cluster}. */
  readonly namespace: string | undefined;
  /** See {@link Cluster}. */
  readonly podUid?: string | undefined;
  /** How to connect. */
  readonly connection: Connection;
  /** Who asks. */
  readonly credentials: Credentials;
}

/** A {@link Cluster} of these parts. Warns when any certificate is taken. */
export function makeCluster(
  { server, source, namespace, podUid, connection, credentials }: ClusterParts,
  log: Log,
): Cluster {
  if (connection.insecure) {
    log.warn("server certificate is not verified", {
      server: server.origin,
      source,
      cause: '"insecure-skip-tls-verify" is set: whoever is on the way can read and change everything',
    });
  }
  const http = makeHttp(connection);
  let presented: KeyPair | undefined;
  return {
    server,
    source,
    namespace,
    podUid,
    http,
    async authenticate(signal) {
      const { headers, clientCertificate } = await credentials.get(signal);
      if (clientCertificate?.cert !== presented?.cert || clientCertificate?.key !== presented?.key) {
        presented = clientCertificate;
        http.useClientCertificate(clientCertificate);
      }
      return headers;
    },
    refresh: () => credentials.refresh(),
  };
}
