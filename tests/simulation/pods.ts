/**
 * What runs in the simulated pods: a daemon that sends back what it gets, as gRPC to clients that speak HTTP/2. It
 * listens before it serves; once told to stop it refuses newcomers and finishes its sessions within its grace (as moby's
 * buildkitd) or cancels them at once (as EarthBuild's).
 *
 * @module
 */
import { type Clock, sleep } from "../../lib/base/clock.ts";
import type { Address, Listener, Network } from "../../lib/base/network.ts";
import { ByteReader, closeQuietly, writeAll } from "../../lib/miniature/bytes.ts";
import type { PodContext, PodProcess, PodRuntime } from "../../lib/miniature/pod_process.ts";
import { setNameOf } from "../../lib/miniature/pods.ts";
import { PREFACE, serveHttp2 } from "../../lib/miniature/stub_http2.ts";
import type { End } from "./connection.ts";

/** One process of one pod. */
export class Daemon implements PodProcess {
  /** The pod. */
  readonly pod: PodContext;
  readonly serving: Promise<void>;
  readonly exited: Promise<void>;
  /** Its connections. */
  readonly conns = new Set<End>();
  /** It runs, and serves. */
  warm = false;
  /** It was told to go. */
  stopping = false;
  readonly #options: DaemonsOptions;
  readonly #life = new AbortController();
  readonly #exit = Promise.withResolvers<void>();
  #listener: Listener | undefined;
  #cancelGrace = () => {};

  /** Listens at once. */
  constructor(pod: PodContext, options: DaemonsOptions) {
    this.pod = pod;
    this.#options = options;
    this.exited = this.#exit.promise;
    this.serving = new Promise((resolve) => {
      try {
        this.#listener = options.network.listen(pod.address);
      } catch {
        return this.#end();
      }
      const warm = sleep(options.clock, options.warmUpMs(), this.#life.signal);
      warm.then(() => {
        this.warm = true;
        resolve();
      }, () => {});
      void this.#acceptAll(this.#listener, warm);
    });
  }

  /** Whether it runs. */
  get alive(): boolean {
    return !this.#life.signal.aborted;
  }

  stop(graceMs: number): void {
    if (!this.alive) return;
    if (!this.stopping) this.#options.onStop(this);
    this.stopping = true;
    this.#closeListener();
    if (this.#options.cancels || graceMs === 0 || this.conns.size === 0) return this.#end();
    this.#cancelGrace();
    this.#cancelGrace = this.#options.clock.setTimer(graceMs, () => this.#end());
  }

  kill(): void {
    this.#end();
  }

  #end(): void {
    if (!this.alive) return;
    this.warm = false;
    this.#options.onEnd(this);
    this.#cancelGrace();
    this.#closeListener();
    this.#life.abort(new Error("The daemon has ended"));
    for (const conn of this.conns) closeQuietly(conn);
    this.#exit.resolve();
  }

  #closeListener(): void {
    this.#listener?.close();
    this.#listener = undefined;
  }

  async #acceptAll(listener: Listener, warm: Promise<void>): Promise<void> {
    for (;;) {
      let conn: End;
      try {
        conn = await listener.accept() as End;
      } catch {
        return;
      }
      if (!this.alive) return closeQuietly(conn);
      this.conns.add(conn);
      this.#serve(conn, warm).catch(() => {}).finally(() => {
        this.conns.delete(conn);
        closeQuietly(conn);
        if (this.stopping && this.conns.size === 0) this.#end();
      });
    }
  }

  async #serve(conn: End, warm: Promise<void>): Promise<void> {
    await warm;
    const reader = new ByteReader(conn);
    if (await reader.startsWith(PREFACE)) return await serveHttp2(conn, reader);
    for (let bytes = await reader.some(); bytes !== null; bytes = await reader.some()) {
      await writeAll(conn, bytes);
    }
    await conn.closeWrite();
  }
}

/** How daemons are set up. */
export interface DaemonsOptions {
  /** Where they listen. */
  readonly network: Network;
  /** Their time. */
  readonly clock: Clock;
  /** Told to stop, one cancels its sessions. */
  readonly cancels: boolean;
  /** From "listens" to "serves", in ms. */
  warmUpMs(): number;
  /** One was told to go. */
  onStop(daemon: Daemon): void;
  /** One ends now. */
  onEnd(daemon: Daemon): void;
}

/** Runs them. */
export class Daemons implements PodRuntime {
  readonly description = "a simulated daemon";
  /** All that were started, by address: the last one. */
  readonly byAddress = new Map<string, Daemon>();
  readonly #options: DaemonsOptions;

  /** Takes the set-up. */
  constructor(options: DaemonsOptions) {
    this.#options = options;
  }

  /** Whether the pod's daemon serves. */
  serves(name: string): boolean {
    return [...this.byAddress.values()].some(({ warm, stopping, pod }) =>
      warm && !stopping && pod.name === name
    );
  }

  /** The StatefulSet whose pod is, or was last, at this address. */
  setAt({ hostname }: Address): string | undefined {
    const name = this.byAddress.get(hostname)?.pod.name;
    return name === undefined ? undefined : setNameOf(name);
  }

  start(pod: PodContext): PodProcess {
    const daemon = new Daemon(pod, this.#options);
    this.byAddress.set(pod.address.hostname, daemon);
    return daemon;
  }
}
