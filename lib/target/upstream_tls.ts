/**
 * TLS towards buildkitd, for sessions and health checks alike: whom to trust, what to present, and whether buildkitd has
 * taken it. The files are read again when they change; connections that are open are left alone. What it knows of the last
 * failure is for the client that waits.
 *
 * @module
 */
import { close } from "../base/conn.ts";
import { codeOf, ExplainedError, TimeoutError, UsageError } from "../base/errors.ts";
import type { Conn, Network } from "../base/network.ts";
import { orAborted } from "../base/or_aborted.ts";
import type { BasePorts } from "../base/ports.ts";
import { PrefixedConn } from "../base/prefixed_conn.ts";
import type { StartTls, TlsClientOptions } from "../base/tls_client.ts";
import type { Settings } from "../config/settings.ts";
import { CachedFile } from "../kube/cached_file.ts";
import { ClientCertificateFiles } from "../kube/client_certificate.ts";
import type { Machine } from "../kube/machine.ts";
import { faultOfCaFile, faultOfCertificateFile, faultOfKeyFile } from "../kube/pem.ts";
import { describeTlsFault, UNKNOWN_ISSUER } from "./tls_errors.ts";

/** The settings that matter. */
export type UpstreamTlsSettings = Pick<
  Settings,
  | "upstreamTlsCa"
  | "upstreamTlsCert"
  | "upstreamTlsKey"
  | "upstreamTlsServerName"
  | "headlessServiceName"
  | "stsNamespace"
>;

/** What it reads files and speaks TLS with. */
export interface UpstreamTlsPorts extends Pick<BasePorts, "clock" | "log"> {
  /** Where the files are. */
  readonly machine: Machine;
  /** Makes the handshake. */
  readonly startTls: StartTls;
}

/** The most that is kept of buildkitd's first bytes, its HTTP/2 SETTINGS. */
const GREETING_BYTES = 1024;

/**
 * TLS as the settings want it; `undefined` when they want none.
 *
 * @throws UsageError with all problems of the files
 */
export async function loadUpstreamTls(
  settings: UpstreamTlsSettings,
  ports: UpstreamTlsPorts,
): Promise<UpstreamTls | undefined> {
  const { upstreamTlsCa, upstreamTlsCert, upstreamTlsKey } = settings;
  if (upstreamTlsCa === undefined) return undefined;
  const { clock, machine, log } = ports;
  const fileOf = (path: string, flag: string, fault: (text: string, wallMs: number) => string | undefined) =>
    new CachedFile({
      path,
      what: `"${flag}" file`,
      fault: (text) => fault(text, clock.wallMs()),
      machine,
      clock,
      log,
    });
  const files = [fileOf(upstreamTlsCa, "--upstream-tls-ca", faultOfCaFile)];
  if (upstreamTlsCert !== undefined && upstreamTlsKey !== undefined) {
    files.push(
      fileOf(upstreamTlsCert, "--upstream-tls-cert", faultOfCertificateFile),
      fileOf(upstreamTlsKey, "--upstream-tls-key", faultOfKeyFile),
    );
  }
  const problems =
    (await Promise.all(files.map((file) => file.read().then(() => [], (error: Error) => [error.message]))))
      .flat();
  const [ca, cert, key] = files;
  const pair = cert === undefined || key === undefined ? undefined : new ClientCertificateFiles(cert, key);
  if (problems.length === 0) {
    await pair?.get().catch(() => {
      problems.push(
        'Cannot use "--upstream-tls-cert" and "--upstream-tls-key" together: found a certificate and the key of another one',
      );
    });
  }
  if (problems.length > 0) throw new UsageError(problems);
  return new UpstreamTls(serverNameOf(settings), ca!, pair, ports.startTls);
}

/** The name that all pods share, unless another is asked for: their headless Service. */
function serverNameOf(
  { upstreamTlsServerName, headlessServiceName, stsNamespace }: UpstreamTlsSettings,
): string {
  return upstreamTlsServerName ?? `${headlessServiceName}.${stsNamespace}.svc`;
}

/** Puts TLS on connections to buildkitd. */
export class UpstreamTls {
  readonly #serverName: string;
  readonly #ca: CachedFile;
  readonly #pair: ClientCertificateFiles | undefined;
  readonly #startTls: StartTls;
  #fault: string | undefined;

  /** Takes files that were read once. */
  constructor(
    serverName: string,
    ca: CachedFile,
    pair: ClientCertificateFiles | undefined,
    startTls: StartTls,
  ) {
    this.#serverName = serverName;
    this.#ca = ca;
    this.#pair = pair;
    this.#startTls = startTls;
  }

  /** Why the last connection has failed in TLS; undefined when it has not. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** A network whose connections speak TLS. Its errors are for the log and for clients. */
  over(network: Network): Network {
    return {
      listen: (address) => network.listen(address),
      connect: (address, signal) => this.connect(() => network.connect(address, signal), signal),
    };
  }

  /**
   * TLS on a connection to buildkitd that `open` opens. It may be any connection.
   *
   * @throws ExplainedError when TLS fails, what `open` throws, or the reason of `signal`
   */
  async connect(open: () => Promise<Conn>, signal: AbortSignal): Promise<Conn> {
    const options = await this.#options();
    const conn = await open().catch((error) => {
      // A session that has ended meanwhile says nothing about buildkitd; a time-out says that TLS was not reached.
      if (!signal.aborted || error instanceof TimeoutError) this.#fault = undefined;
      throw error;
    });
    try {
      const greeted = await this.#greeted(await this.#startTls(conn, options, signal), signal);
      this.#fault = undefined;
      return greeted;
    } catch (error) {
      if (signal.aborted && !(error instanceof TimeoutError)) throw error;
      const cause = await this.#precise(error, open, options, signal);
      this.#fault = cause instanceof TimeoutError
        ? `buildkitd accepts the connection, but does not answer in TLS: ${cause.message}`
        : describeTlsFault(cause, { ...options, presents: options.pair !== undefined });
      throw new ExplainedError(this.#fault, { cause });
    }
  }

  /**
   * `node:tls`, which presents certificates, says the same of an expired certificate as of one by an unknown authority. The
   * runtime's own TLS tells them apart, and does so before anybody asks for a client's certificate.
   */
  async #precise(
    error: unknown,
    open: () => Promise<Conn>,
    options: TlsClientOptions,
    signal: AbortSignal,
  ): Promise<unknown> {
    if (options.pair === undefined || !UNKNOWN_ISSUER.test(codeOf(error) ?? "")) return error;
    try {
      close(await this.#startTls(await open(), { ...options, pair: undefined }, signal));
      return error;
    } catch (other) {
      return signal.aborted ? error : other;
    }
  }

  async #options(): Promise<TlsClientOptions> {
    const ca = await this.#ca.read();
    const credential = await this.#pair?.get();
    return { serverName: this.#serverName, ca, pair: credential?.clientCertificate };
  }

  /**
   * Waits for buildkitd's first bytes. With TLS 1.3 a server looks at the client's certificate after the handshake, so only
   * they show that it was accepted. A gRPC server sends them without being asked.
   */
  async #greeted(conn: Conn, signal: AbortSignal): Promise<Conn> {
    const buffer = new Uint8Array(GREETING_BYTES);
    try {
      const n = await orAborted(conn.read(buffer), signal);
      if (n === null) throw new Error("connection was closed");
      return new PrefixedConn(conn, buffer.subarray(0, n));
    } catch (error) {
      close(conn);
      throw error;
    }
  }
}
