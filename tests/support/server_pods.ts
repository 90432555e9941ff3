/**
 * Pods whose server is a function of the test. They listen, serve and end as buildkitd does: once told to stop they
 * refuse newcomers and finish their sessions. Every session is kept count of, and how it ended.
 *
 * @module
 */
import type { Conn, Listener, Network } from "../../lib/base/network.ts";
import { closeQuietly, writeAll } from "../../lib/miniature/bytes.ts";
import type { PodContext, PodProcess, PodRuntime } from "../../lib/miniature/pod_process.ts";

/** Serves one connection; it is closed when this returns or throws. */
export type Serve = (conn: Conn, pod: PodContext, session: PodSession) => Promise<void>;

/** Sends back what it gets. */
export const echo: Serve = async (conn) => {
  const buffer = new Uint8Array(64 * 1024);
  for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
    await writeAll(conn, buffer.subarray(0, n));
  }
  await conn.closeWrite();
};

/** One session of a pod. */
export interface PodSession {
  readonly pod: PodContext;
  /** `open`, ended by itself, or cut because the process was killed or by {@link PodSession.cut}. */
  state: "open" | "closed" | "cut";
  /** Its pod was told to go while it ran: what a scale-down must never do. */
  interrupted: boolean;
  /** Breaks its connection. */
  cut(): void;
}

/** Runs a server of the test's in each pod. */
export class ServerPods implements PodRuntime {
  readonly description = "a server of the test";
  /** Every session that began and was not forgotten, oldest first. */
  sessions: PodSession[] = [];
  /** Every process that was started, oldest first. */
  readonly started: PodContext[] = [];
  /** Whether processes open their port. While false, connections are refused. */
  listens = true;
  /** What they serve. */
  serve: Serve;
  readonly #network: Network;
  readonly #onChange: () => void;
  readonly #processes = new Set<ServerProcess>();

  constructor(network: Network, serve: Serve, onChange: () => void) {
    this.#network = network;
    this.serve = serve;
    this.#onChange = onChange;
  }

  /** Sessions that are open now. */
  get open(): number {
    return this.sessions.filter(({ state }) => state === "open").length;
  }

  /** Keeps only the sessions that are open, so that a long run does not grow. */
  forget(): void {
    this.sessions = this.sessions.filter(({ state }) => state === "open");
  }

  start(pod: PodContext): PodProcess {
    this.started.push(pod);
    const process = new ServerProcess(pod, this.#network, this, this.#onChange);
    this.#processes.add(process);
    process.exited.finally(() => this.#processes.delete(process));
    return process;
  }

  /** Opens the ports that were not opened because of `listens`. */
  listen(): void {
    this.listens = true;
    for (const process of this.#processes) process.listen();
  }
}

class ServerProcess implements PodProcess {
  readonly serving = Promise.resolve();
  readonly exited: Promise<void>;
  readonly #pod: PodContext;
  readonly #network: Network;
  readonly #pods: ServerPods;
  readonly #onChange: () => void;
  readonly #exit = Promise.withResolvers<void>();
  readonly #conns = new Map<Conn, PodSession>();
  #listener: Listener | undefined;
  #ended = false;
  #stopping = false;
  #grace: ReturnType<typeof setTimeout> | undefined;

  constructor(pod: PodContext, network: Network, pods: ServerPods, onChange: () => void) {
    this.#pod = pod;
    this.#network = network;
    this.#pods = pods;
    this.#onChange = onChange;
    this.exited = this.#exit.promise;
    if (pods.listens) this.listen();
  }

  listen(): void {
    if (this.#listener !== undefined || this.#ended || this.#stopping) return;
    this.#listener = this.#network.listen(this.#pod.address);
    void this.#acceptAll(this.#listener);
  }

  stop(graceMs: number): void {
    if (this.#ended) return;
    if (graceMs === 0) return this.kill();
    this.#stopping = true;
    for (const session of this.#conns.values()) session.interrupted = true;
    this.#closeListener();
    if (this.#conns.size === 0) return this.kill();
    this.#grace ??= setTimeout(() => this.kill(), graceMs);
  }

  kill(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#grace);
    this.#closeListener();
    for (const session of this.#conns.values()) session.cut();
    this.#exit.resolve();
  }

  #closeListener(): void {
    this.#listener?.close();
    this.#listener = undefined;
  }

  async #acceptAll(listener: Listener): Promise<void> {
    for (;;) {
      let conn: Conn;
      try {
        conn = await listener.accept();
      } catch {
        return;
      }
      if (this.#ended) return closeQuietly(conn);
      const session: PodSession = {
        pod: this.#pod,
        state: "open",
        interrupted: false,
        cut() {
          if (this.state !== "open") return;
          this.state = "cut";
          closeQuietly(conn);
        },
      };
      this.#conns.set(conn, session);
      this.#pods.sessions.push(session);
      this.#onChange();
      this.#pods.serve(conn, this.#pod, session).catch(() => {}).finally(() => {
        this.#conns.delete(conn);
        if (session.state === "open") session.state = "closed";
        closeQuietly(conn);
        if (this.#stopping && this.#conns.size === 0) this.kill();
        this.#onChange();
      });
    }
  }
}
