/**
 * A listener whose connections are ready to be sessions: those of a load balancer have said who their client is, and the
 * TLS handshake is done. All of that happens beside the accept loop, bounded in time and number. What does not get that
 * far never becomes a session: it wakes no backend and counts nowhere as a client.
 *
 * @module
 */
import { close } from "../base/conn.ts";
import { messageOf, TimeoutError } from "../base/errors.ts";
import { CauseLog } from "../base/log.ts";
import type { EntranceFault } from "../base/metrics.ts";
import { type Address, type Conn, formatAddress, type Listener } from "../base/network.ts";
import type { BasePorts } from "../base/ports.ts";
import { PrefixedConn } from "../base/prefixed_conn.ts";
import { type IpNetwork, isWithin } from "../config/ip_networks.ts";
import { type Arrivals, ClientLeft, CrowdedOut } from "./arrivals.ts";
import { readFirstBytes } from "./first_bytes.ts";
import { LONGEST_HEADER_BYTES, parseProxyHeader } from "./proxy_header.ts";

/** What a connection has to pass. */
export interface EntranceSteps {
  /** Connections from these networks begin with a header of the PROXY protocol. */
  readonly proxiesFrom: readonly IpNetwork[];
  /** Whether a load balancer that has no client may ask something, where there is no TLS. Otherwise it is closed. */
  readonly servesProbes?: boolean | undefined;
  /** Makes the TLS handshake, where there is one. Closes the connection if it fails. */
  readonly secure?: ((tcp: Conn, signal: AbortSignal) => Promise<Conn>) | undefined;
}

/** What an entrance tells. */
export type EntrancePorts = Pick<BasePorts, "log" | "metrics"> & {
  /** Bounds what is under way, at all entrances together. */
  readonly arrivals: Arrivals;
};

/** The first bytes are no header of the PROXY protocol. */
class BadHeader extends Error {
  /** Always `BadHeader`. */
  override readonly name = "BadHeader";
}

/** A connection of a load balancer without a client. */
class ProbeConn extends PrefixedConn {
  readonly isProbe = true;
}

/** What an accept has come to. */
type Outcome = { readonly conn: Conn } | { readonly error: unknown };

/** {@link Listener} over another one. */
export class Entrance implements Listener {
  readonly #listener: Listener;
  readonly #steps: EntranceSteps;
  readonly #ports: EntrancePorts;
  readonly #crowd: CauseLog;
  readonly #over = new AbortController();
  /** What nobody has taken yet. */
  readonly #outcomes: Outcome[] = [];
  #changed = Promise.withResolvers<void>();
  #accepting = false;

  /** Takes over `listener`. */
  constructor(listener: Listener, steps: EntranceSteps, ports: EntrancePorts) {
    this.#listener = listener;
    this.#steps = steps;
    this.#ports = ports;
    this.#crowd = new CauseLog(ports.log, "connections_crowded_out");
  }

  /** See {@link Listener}. */
  get addr(): Address {
    return this.#listener.addr;
  }

  /** See {@link Listener}. */
  async accept(): Promise<Conn> {
    for (;;) {
      const next = this.#outcomes.shift();
      if (next !== undefined) {
        if ("conn" in next) return next.conn;
        throw next.error;
      }
      if (!this.#accepting) this.#acceptNext();
      await this.#changed.promise;
      this.#changed = Promise.withResolvers();
    }
  }

  /** See {@link Listener}. Ends what is under way. */
  close(): void {
    this.#listener.close();
    this.#over.abort(new Deno.errors.BadResource("The listener is closed"));
    for (const outcome of this.#outcomes) if ("conn" in outcome) close(outcome.conn);
  }

  #acceptNext(): void {
    this.#accepting = true;
    this.#listener.accept().then(
      (tcp) => {
        this.#accepting = false;
        this.#enter(tcp);
        this.#changed.resolve();
      },
      (error) => {
        this.#accepting = false;
        this.#settle({ error });
      },
    );
  }

  #settle(outcome: Outcome): void {
    if (this.#over.signal.aborted && "conn" in outcome) return close(outcome.conn);
    this.#outcomes.push(outcome);
    this.#changed.resolve();
  }

  async #enter(tcp: Conn): Promise<void> {
    let from = tcp.remoteAddr;
    try {
      const client = await this.#clientOf(tcp);
      from = client?.remoteAddr ?? from;
      const conn = client && await this.#secured(client);
      this.#crowd.succeeded();
      if (conn !== undefined) return this.#settle({ conn });
      this.#ports.log.debug("connection_without_client", { from: formatAddress(from) });
    } catch (error) {
      if (!this.#over.signal.aborted) this.#failed(from, error);
    }
    close(tcp);
  }

  /** The connection with the address of its client; nothing if it is one without a client that is not served. */
  async #clientOf(tcp: Conn): Promise<Conn | undefined> {
    const { hostname } = tcp.remoteAddr;
    const { proxiesFrom, servesProbes, secure } = this.#steps;
    if (!proxiesFrom.some((network) => isWithin(hostname, network))) return tcp;
    const { arrivals } = this.#ports;
    const conn = await arrivals.admit(hostname, this.#over.signal, (signal) => readHeader(tcp, signal));
    const isServed = conn.isProbe !== true || servesProbes === true && secure === undefined;
    return isServed ? conn : undefined;
  }

  /** The connection as a session may have it. Behind a load balancer, too, clients count by their own addresses. */
  async #secured(client: Conn): Promise<Conn> {
    const { secure } = this.#steps;
    if (secure === undefined) return client;
    const { hostname } = client.remoteAddr;
    return await this.#ports.arrivals.admit(hostname, this.#over.signal, (signal) => secure(client, signal));
  }

  #failed(from: Address, error: unknown): void {
    const { log, metrics } = this.#ports;
    const fault = faultOf(error);
    metrics.record("entrance_failures_total", 1, { cause: fault });
    const fields = { from: formatAddress(from), cause: messageOf(error) };
    if (fault === "crowded_out") return this.#crowd.failed(error, fields);
    const level = fault === "left" ? "debug" : "info";
    log[level]("connection_rejected", fields);
  }
}

function faultOf(error: unknown): EntranceFault {
  if (error instanceof ClientLeft) return "left";
  if (error instanceof TimeoutError) return "timed_out";
  if (error instanceof CrowdedOut) return "crowded_out";
  return error instanceof BadHeader ? "proxy_header" : "tls";
}

/** Reads the header of a connection. */
async function readHeader(tcp: Conn, signal: AbortSignal): Promise<Conn> {
  const conn = await readFirstBytes(tcp, LONGEST_HEADER_BYTES, signal, (bytes) => {
    const header = parseProxyHeader(bytes);
    switch (header.kind) {
      case "more":
        return undefined;
      case "bad":
        throw new BadHeader(`The PROXY header cannot be used: ${header.why}`);
      case "local":
        return new ProbeConn(tcp, bytes.slice(header.headerBytes));
      case "client":
        return new PrefixedConn(tcp, bytes.slice(header.headerBytes), header.client);
    }
  });
  if (conn === undefined) throw new BadHeader("The PROXY header is not whole: the connection has ended");
  return conn;
}
