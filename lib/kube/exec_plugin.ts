/**
 * Credentials from an `exec` plugin of a kubeconfig: a program that prints an `ExecCredential`
 * (https://kubernetes.io/docs/reference/config-api/client-authentication.v1/; EKS, GKE and AKS use one). Runs it when a
 * credential is needed, caches the credential until shortly before it expires, and never logs the plugin's output.
 *
 * @module
 */
import { deadline } from "../base/clock.ts";
import { messageOf, TimeoutError } from "../base/errors.ts";
import type { BasePorts } from "../base/ports.ts";
import { bearer, type Credential, type Credentials, isToken } from "./credentials.ts";
import { asFields, type Fields } from "./fields.ts";
import { isMissing, type Machine } from "./machine.ts";
import { faultOfClientCertificate, faultOfKey, isMismatch, notAfterMs } from "./pem.ts";

/** How long a plugin may run, in ms. It may call a slow cloud API. */
export const PLUGIN_TIMEOUT_MS = 60_000;
/** A credential is replaced this long before it expires, in ms, or after 9/10 of its lifetime if that is later. */
export const EXPIRY_MARGIN_MS = 60_000;

const MAX_OUTPUT_BYTES = 1024 * 1024;
const MAX_QUOTED_CHARS = 600;

/** A plugin, as the kubeconfig describes it. */
export interface ExecSpec {
  /** A path, or a name that is looked up in `PATH`. */
  readonly command: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** Its own environment variables. */
  readonly env: Readonly<Record<string, string>>;
  /** `client.authentication.k8s.io/v1` or `/v1beta1`. */
  readonly apiVersion: string;
  /** The kubeconfig's hint for users who have not installed it. */
  readonly installHint: string | undefined;
  /** Whether it needs a user at a terminal. */
  readonly needsTerminal: boolean;
  /** What the plugin is told about the cluster, if it asks for that. */
  readonly cluster: Fields | undefined;
}

/** What an {@link ExecPlugin} works with. */
export interface ExecPorts extends Pick<BasePorts, "clock"> {
  /** Runs it. */
  readonly machine: Machine;
}

interface CachedCredential {
  readonly credential: Credential;
  readonly renewAtWallMs: number;
}

interface Run {
  readonly outcome: Promise<Credential>;
  readonly controller: AbortController;
  waiting: number;
}

/** {@link Credentials} from a plugin. */
export class ExecPlugin implements Credentials {
  readonly #spec: ExecSpec;
  readonly #ports: ExecPorts;
  #cached: CachedCredential | undefined;
  #run: Run | undefined;

  /** Runs nothing yet. */
  constructor(spec: ExecSpec, ports: ExecPorts) {
    this.#spec = spec;
    this.#ports = ports;
  }

  /**
   * See {@link Credentials}. Concurrent calls share one run of the plugin, which is killed when all of them are
   * aborted.
   */
  async get(signal: AbortSignal): Promise<Credential> {
    signal.throwIfAborted();
    if (this.#cached !== undefined && this.#ports.clock.wallMs() < this.#cached.renewAtWallMs) {
      return this.#cached.credential;
    }
    const run = this.#run ??= this.#start();
    const left = Promise.withResolvers<never>();
    const onAbort = () => left.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    run.waiting++;
    try {
      return await Promise.race([run.outcome, left.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      run.waiting--;
      if (run.waiting === 0 && this.#run === run) {
        this.#run = undefined;
        run.controller.abort(new DOMException("The plugin's result is no longer needed", "AbortError"));
        await run.outcome.catch(() => {}); // it was killed: wait for its end
      }
    }
  }

  /** See {@link Credentials}. A run in progress is new enough. */
  refresh(): void {
    this.#cached = undefined;
  }

  #start(): Run {
    const controller = new AbortController();
    const outcome = this.#obtain(controller.signal).then((cached) => {
      this.#cached = cached;
      return cached.credential;
    }).finally(() => {
      if (this.#run === run) this.#run = undefined;
    });
    outcome.catch(() => {}); // all callers may have been aborted
    const run: Run = { outcome, controller, waiting: 0 };
    return run;
  }

  async #obtain(signal: AbortSignal): Promise<CachedCredential> {
    const { command, args, env, apiVersion, installHint, needsTerminal, cluster } = this.#spec;
    const { machine, clock } = this.#ports;
    if (needsTerminal && !machine.hasTerminal()) {
      throw this.#failure(
        'it wants to ask questions ("interactiveMode" is "Always") and there is no terminal',
      );
    }
    const spec = { interactive: needsTerminal, ...(cluster === undefined ? {} : { cluster }) };
    const info = JSON.stringify({ apiVersion, kind: "ExecCredential", spec });
    using limit = deadline(
      clock,
      PLUGIN_TIMEOUT_MS,
      signal,
      () => new TimeoutError("The plugin timed out"),
    );
    let outcome;
    try {
      outcome = await machine.run({
        program: command,
        args,
        env: { ...env, KUBERNETES_EXEC_INFO: info },
        interactive: needsTerminal,
        maxOutputBytes: MAX_OUTPUT_BYTES,
      }, limit.signal);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof TimeoutError) {
        throw this.#failure(`it ran for over ${PLUGIN_TIMEOUT_MS / 1000} s`, error);
      }
      const hint = installHint === undefined ? "" : ` (${installHint.trim()})`;
      throw isMissing(error)
        ? this.#failure(
          `there is no such program, install it or set "command" of the user's "exec"${hint}`,
          error,
        )
        : this.#failure(`it cannot be run: ${messageOf(error)}`, error);
    }
    if (outcome.tooLong) throw this.#failure(`it printed over ${MAX_OUTPUT_BYTES} bytes`);
    if (outcome.code !== 0) {
      const said = outcome.stderrTail.trim().slice(-MAX_QUOTED_CHARS);
      throw this.#failure(`it ended with exit code ${outcome.code}${said === "" ? "" : `, saying: ${said}`}`);
    }
    return this.#read(outcome.stdout);
  }

  #read(stdout: string): CachedCredential {
    let answer: Fields | undefined;
    try {
      answer = asFields(JSON.parse(stdout));
    } catch { // reported below, without the output, which may be a secret
    }
    if (answer === undefined) {
      throw this.#failure(
        `it printed ${stdout.length} characters that are not a JSON object, want an ExecCredential`,
      );
    }
    const { apiVersion, kind } = answer;
    if (kind !== "ExecCredential") {
      throw this.#failure(`it printed kind ${shown(kind)}, want "ExecCredential"`);
    }
    if (apiVersion !== this.#spec.apiVersion) {
      throw this.#failure(
        `it printed apiVersion ${shown(apiVersion)}, want ${
          shown(this.#spec.apiVersion)
        } as in the kubeconfig`,
      );
    }
    const status = asFields(answer.status);
    if (status === undefined) throw this.#failure('it printed no "status"');
    const credential = this.#credential(status);
    return { credential, renewAtWallMs: this.#renewAt(status, credential) };
  }

  #credential(status: Fields): Credential {
    const { token, clientCertificateData: cert, clientKeyData: key } = status;
    const hasToken = typeof token === "string" && token !== "";
    if (hasToken && !isToken(token)) {
      throw this.#failure("it printed a token with blanks or control characters");
    }
    const headers = hasToken ? bearer(token).headers : {};
    if (!cert && !key) {
      if (!hasToken) throw this.#failure("it printed neither a token nor a client certificate");
      return { headers };
    }
    if (typeof cert !== "string" || typeof key !== "string" || cert === "" || key === "") {
      throw this.#failure('it printed only one of "clientCertificateData" and "clientKeyData", want both');
    }
    const certFault = faultOfClientCertificate(cert, this.#ports.clock.wallMs());
    if (certFault !== undefined) {
      throw this.#failure(`"clientCertificateData": ${certFault}, want a PEM certificate`);
    }
    const keyFault = faultOfKey(key);
    if (keyFault !== undefined) throw this.#failure(`"clientKeyData": ${keyFault}, want a PEM private key`);
    if (isMismatch({ cert, key })) {
      throw this.#failure("it printed a certificate and a key that do not match");
    }
    return { headers, clientCertificate: { cert, key } };
  }

  #renewAt(status: Fields, { clientCertificate }: Credential): number {
    const nowMs = this.#ports.clock.wallMs();
    const { expirationTimestamp: text } = status;
    const statedMs = typeof text === "string" && text !== "" ? Date.parse(text) : Infinity;
    if (Number.isNaN(statedMs)) {
      throw this.#failure('it printed an "expirationTimestamp" that is not a time, want RFC 3339');
    }
    const expiryMs = Math.min(
      statedMs,
      (clientCertificate && notAfterMs(clientCertificate.cert)) ?? Infinity,
    );
    const lifeMs = Math.max(0, expiryMs - nowMs);
    return expiryMs - Math.min(EXPIRY_MARGIN_MS, lifeMs / 10);
  }

  #failure(what: string, cause?: unknown): Error {
    return new Error(`Cannot get a credential from the exec plugin "${this.#spec.command}": ${what}`, {
      cause,
    });
  }
}

/** A short text in quotes; of other values only the type. */
function shown(value: unknown): string {
  return typeof value === "string" && value.length <= 80 ? JSON.stringify(value) : `of type ${typeof value}`;
}
