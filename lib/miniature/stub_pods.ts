/**
 * Pods that are a small server inside this program. It sends back what it gets, byte for byte; to a client that speaks
 * HTTP/2 it is a gRPC server that answers every call with the pod's name and what it was sent, and a health check with
 * SERVING. It behaves as buildkitd does: it listens before it serves, and once told to stop it refuses newcomers and
 * finishes its sessions.
 *
 * @module
 */
import { type Clock, sleep } from "../base/clock.ts";
import type { Conn, Listener, Network } from "../base/network.ts";
import { ByteReader, closeQuietly, writeAll } from "./bytes.ts";
import { PREFACE, serveHttp2 } from "./stub_http2.ts";
import type { PodContext, PodProcess, PodRuntime } from "./pod_process.ts";

/** How stub pods are set up. */
export interface StubPodsOptions {
  /** Where they listen. */
  readonly network: Network;
  /** Measures warm-up and grace. */
  readonly clock: Clock;
  /** From "listens" to "serves", in ms, for each process. */
  readonly warmUpMs: (pod: PodContext) => number;
  /** Told of each session when it begins and when it has ended. */
  readonly onSession?: (pod: PodContext, what: "opened" | "closed" | "cut") => void;
}

/** Runs a stub server a pod. */
export class StubPods implements PodRuntime {
  /** As {@link PodRuntime.description}. */
  readonly description = "a stub server inside this program";
  readonly #options: StubPodsOptions;

  /** Takes its set-up. */
  constructor(options: StubPodsOptions) {
    this.#options = options;
  }

  /** As {@link PodRuntime.start}. */
  start(pod: PodContext): PodProcess {
    return new StubProcess(pod, this.#options);
  }
}

class StubProcess implements PodProcess {
  readonly serving: Promise<void>;
  readonly exited: Promise<void>;
  readonly #pod: PodContext;
  readonly #options: StubPodsOptions;
  readonly #conns = new Set<Conn>();
  readonly #life = new AbortController();
  readonly #exit = Promise.withResolvers<void>();
  #listener: Listener | undefined;
  #stopping = false;
  #cancelGrace = () => {};

  constructor(pod: PodContext, options: StubPodsOptions) {
    this.#pod = pod;
    this.#options = options;
    this.exited = this.#exit.promise;
    this.serving = new Promise((resolve) => {
      try {
        this.#listener = options.network.listen(pod.address);
      } catch {
        this.#end(); // the address is taken, by the process of the pod before
        return;
      }
      const warm = sleep(options.clock, options.warmUpMs(pod), this.#life.signal);
      warm.then(resolve, () => {});
      this.#acceptAll(this.#listener, warm);
    });
  }

  stop(graceMs: number): void {
    if (this.#life.signal.aborted) return;
    if (graceMs === 0) return this.kill();
    this.#cancelGrace();
    this.#stopping = true;
    this.#closeListener();
    if (this.#conns.size === 0) return this.#end();
    this.#cancelGrace = this.#options.clock.setTimer(graceMs, () => this.kill());
  }

  kill(): void {
    this.#end();
  }

  #end(): void {
    if (this.#life.signal.aborted) return;
    this.#cancelGrace();
    this.#closeListener();
    this.#life.abort(new Error("The process has ended"));
    for (const conn of this.#conns) closeQuietly(conn);
    this.#exit.resolve();
  }

  #closeListener(): void {
    this.#listener?.close();
    this.#listener = undefined;
  }

  async #acceptAll(listener: Listener, warm: Promise<void>): Promise<void> {
    while (true) {
      let conn: Conn;
      try {
        conn = await listener.accept();
      } catch {
        return;
      }
      if (this.#life.signal.aborted) return closeQuietly(conn);
      conn.setNoDelay(true);
      this.#conns.add(conn);
      this.#options.onSession?.(this.#pod, "opened");
      this.#serve(conn, warm).catch(() => {}).finally(() => {
        this.#conns.delete(conn);
        closeQuietly(conn);
        this.#options.onSession?.(this.#pod, this.#life.signal.aborted ? "cut" : "closed");
        if (this.#stopping && this.#conns.size === 0) this.#end();
      });
    }
  }

  async #serve(conn: Conn, warm: Promise<void>): Promise<void> {
    await warm;
    const reader = new ByteReader(conn);
    const start = await reader.startsWith(PREFACE);
    if (start) return await serveHttp2(conn, reader, this.#pod.name);
    for (let bytes = await reader.some(); bytes !== null; bytes = await reader.some()) {
      await writeAll(conn, bytes);
    }
    await conn.closeWrite();
  }
}
