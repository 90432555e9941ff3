/**
 * The certificate that the proxy shows to clients, its key, and the authorities of client certificates: read from files
 * at start, and again when another program has replaced them. A new handshake uses the newest; connections stay.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import { UsageError } from "../base/errors.ts";
import { CauseLog } from "../base/log.ts";
import type { BasePorts } from "../base/ports.ts";
import { type Machine, readFault } from "../kube/machine.ts";
import {
  faultOfCa,
  faultOfCaFile,
  faultOfCertificateFile,
  faultOfClientCertificate,
  faultOfKeyFile,
  isMismatch,
  isSwapped,
  type KeyPair,
  notAfterMs,
} from "../kube/pem.ts";

/** What handshakes are made with. */
export interface ServerCredentials {
  /** The certificate, then those of intermediate authorities, and its key. */
  readonly pair: KeyPair;
  /** Authorities of client certificates; without them clients need none. */
  readonly clientCa: string | undefined;
}

/** The settings that name the files. */
export interface CredentialFiles {
  /** The certificate. */
  readonly tlsCert: string | undefined;
  /** Its key. */
  readonly tlsKey: string | undefined;
  /** Authorities of client certificates. */
  readonly tlsClientCa: string | undefined;
}

/** What {@link ReloadedCredentials} reads files through. */
export type CredentialPorts = Pick<BasePorts, "clock" | "log" | "metrics"> & {
  /** Where the files are. */
  readonly machine: Pick<Machine, "readText">;
};

/** How long a replaced file may stay unseen, in ms. */
export const RELOAD_PERIOD_MS = 10_000;

/** What the files hold, or all that is wrong with them. */
type Loaded = { readonly credentials: ServerCredentials } | { readonly problems: readonly string[] };

/** The newest credentials that can be used. */
export class ReloadedCredentials {
  readonly #files: CredentialFiles;
  readonly #ports: CredentialPorts;
  readonly #faults: CauseLog;
  #current: ServerCredentials;
  /** What the log was told of certificates that have expired. */
  #warned: readonly string[] = [];

  private constructor(files: CredentialFiles, ports: CredentialPorts, current: ServerCredentials) {
    this.#files = files;
    this.#ports = ports;
    this.#faults = new CauseLog(ports.log, "tls_files_invalid");
    this.#current = current;
    this.#tellExpiry();
  }

  /**
   * Reads the files.
   *
   * @throws UsageError with all that is wrong with them
   */
  static async load(files: CredentialFiles, ports: CredentialPorts): Promise<ReloadedCredentials> {
    const loaded = await read(files, ports.machine);
    if ("problems" in loaded) throw new UsageError(loaded.problems);
    return new ReloadedCredentials(files, ports, loaded.credentials);
  }

  /** What the next handshake is made with. */
  get current(): ServerCredentials {
    return this.#current;
  }

  /** Reads the files again and again. Ends with the reason of `signal`. */
  async watch(signal: AbortSignal): Promise<never> {
    for (;;) {
      await sleep(this.#ports.clock, RELOAD_PERIOD_MS, signal);
      await this.reload();
    }
  }

  /** Reads the files once. Files that cannot be used change nothing. */
  async reload(): Promise<void> {
    const loaded = await read(this.#files, this.#ports.machine);
    if ("problems" in loaded) return this.#faults.failed(loaded.problems.join("; "));
    this.#faults.succeeded();
    const { pair, clientCa } = loaded.credentials;
    const last = this.#current;
    if (pair.cert !== last.pair.cert || pair.key !== last.pair.key || clientCa !== last.clientCa) {
      this.#current = loaded.credentials;
      this.#ports.log.info("tls_files_reloaded", { expires: expiryOf(pair.cert) });
    }
    this.#tellExpiry();
  }

  #tellExpiry(): void {
    const ms = notAfterMs(this.#current.pair.cert);
    if (ms !== undefined) this.#ports.metrics.record("certificate_expiry_seconds", ms / 1000, {});
    this.#warnOfExpiry();
  }

  /** Once for each certificate, at the start or when it happens. */
  #warnOfExpiry(): void {
    const { clock, log } = this.#ports;
    const { pair, clientCa } = this.#current;
    const wallMs = clock.wallMs();
    const causes = [
      [this.#files.tlsCert, faultOfClientCertificate(pair.cert, wallMs)],
      [this.#files.tlsClientCa, clientCa === undefined ? undefined : faultOfCa(clientCa, wallMs)],
    ];
    const expired = causes.filter(([, cause]) => cause !== undefined);
    const warnings = expired.map(([file, cause]) => `${file}: ${cause}`);
    for (const [i, [file, cause]] of expired.entries()) {
      if (!this.#warned.includes(warnings[i]!)) log.warn("tls_certificate_expired", { file, cause });
    }
    this.#warned = warnings;
  }
}

/** In time that never passes no certificate has expired: that is a warning, and no fault of the file's form. */
const BEFORE_ALL_MS = -Infinity;

async function read(
  { tlsCert = "", tlsKey = "", tlsClientCa }: CredentialFiles,
  machine: CredentialPorts["machine"],
): Promise<Loaded> {
  const problems: string[] = [];
  const texts = new Map<string, string>();
  const readOne = async (flag: string, path: string, faultOf: (text: string) => string | undefined) => {
    try {
      const text = await machine.readText(path);
      texts.set(flag, text);
      const fault = faultOf(text);
      if (fault === undefined) return text;
      problems.push(`Cannot use the "${flag}" file "${path}": ${fault}`);
    } catch (error) {
      problems.push(`Cannot use the "${flag}" file "${path}": ${readFault(error)}`);
    }
    return "";
  };
  const cert = await readOne("--tls-cert", tlsCert, (text) => faultOfCertificateFile(text, BEFORE_ALL_MS));
  const key = await readOne("--tls-key", tlsKey, faultOfKeyFile);
  if (isSwapped({ cert: texts.get("--tls-cert") ?? "", key: texts.get("--tls-key") ?? "" })) {
    problems.splice(
      0,
      Infinity,
      `Cannot use "--tls-cert" and "--tls-key": found a private key in "${tlsCert}" and a certificate in "${tlsKey}", ` +
        `want them the other way round`,
    );
  }
  const clientCa = tlsClientCa === undefined
    ? undefined
    : await readOne("--tls-client-ca", tlsClientCa, (text) => faultOfCaFile(text, BEFORE_ALL_MS));
  if (cert !== "" && key !== "" && isMismatch({ cert, key })) {
    problems.push(
      `Cannot use "${tlsKey}" (--tls-key): it is not the key of the certificate "${tlsCert}" (--tls-cert)`,
    );
  }
  return problems.length > 0 ? { problems } : { credentials: { pair: { cert, key }, clientCa } };
}

function expiryOf(cert: string): string | undefined {
  const ms = notAfterMs(cert);
  return ms === undefined ? undefined : new Date(ms).toISOString();
}
