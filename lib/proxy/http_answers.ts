/**
 * Answers those who speak HTTP/1.1 to the address of the clients: says what this is and how far the builder is, which wakes
 * nothing, and on `POST /wake` wakes it. One request a connection. Bounded in bytes, in time and, but for those that wait
 * for a builder (`--max-held`), in number.
 *
 * @module
 */
import { anySignal } from "../base/any_signal.ts";
import { Http1Connection, type Http1Limits, TOO_LONG } from "../base/http1_connection.ts";
import {
  parseRequestHead,
  type RequestHead,
  responseBytes,
  type ResponseParts,
} from "../base/http1_server.ts";
import { messageOf } from "../base/errors.ts";
import type { HTTP_WISHES, Outcome } from "../base/metrics.ts";
import { type Conn, formatAddress } from "../base/network.ts";
import type { BasePorts } from "../base/ports.ts";
import { asleepText, type Door } from "../target/seats.ts";
import { HoldEnded } from "./goodbye.ts";
import { keepFor, lookJson, lookText, problemText, stepJson, stepText, wantsJson } from "./http_texts.ts";
import type { SessionEnds } from "./wait.ts";
import { reasonOf, type WakePorts, WakeWait } from "./wake_stream.ts";

/** Connections at a time, but for those that wait for a builder. One more closes the oldest of them. */
const MOST_ANSWERS = 64;

/** A request is small, and so is its answer. */
const LIMITS: Http1Limits = {
  headBytes: 8 * 1024,
  idleMs: 10_000,
  headMs: 10_000,
  writeMs: 10_000,
  lingerMs: 2_000,
};

/** The settings that matter. */
export interface AnswerSettings {
  /** Whether HTTP is answered at all. */
  readonly answerHttp?: boolean | undefined;
  /** The longest time for which a builder is kept awake by request, in ms; 0: none is. */
  readonly maxWakeForMs?: number | undefined;
  /** Whether this proxy only observes, and wakes nothing. */
  readonly observe?: boolean | undefined;
}

/** What answers are made of. */
export interface AnswerPorts extends WakePorts, Pick<BasePorts, "log" | "metrics"> {}

/** Where a client has connected. */
export interface AnswerPlace {
  /** The listener's door. */
  readonly door: Door;
  /** The connection is encrypted. */
  readonly isTls: boolean;
  /** The client has shown a certificate: none gets in without. */
  readonly isMutual: boolean;
}

/** A request, and where it came from. */
interface Asked extends AnswerPlace {
  readonly head: RequestHead;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly isJson: boolean;
  readonly client: string;
}

/** Answers them. */
export class HttpAnswers {
  readonly #settings: AnswerSettings;
  readonly #ports: AnswerPorts;
  readonly #ends: SessionEnds;
  /** Those that are being answered, the oldest first, but for those that wait. */
  readonly #answering = new Set<Http1Connection>();

  /** Takes what ends those that wait. */
  constructor(settings: AnswerSettings, ports: AnswerPorts, ends: SessionEnds) {
    this.#settings = settings;
    this.#ports = ports;
    this.#ends = ends;
  }

  /** Answers the request of a connection, and closes it. Never throws. */
  async serve(conn: Conn, place: AnswerPlace): Promise<void> {
    const { clock, log } = this.#ports;
    const connection = new Http1Connection(conn, clock, LIMITS);
    const client = formatAddress(conn.remoteAddr);
    const onCut = () => connection.close();
    const { cut } = this.#ends;
    cut.follow(onCut);
    this.#add(connection);
    try {
      cut.throwIfAborted();
      await this.#answer(connection, place, client);
    } catch (error) {
      // The client has left, does not read, or was told that its wait is in vain.
      log.debug("http_answered", { client, cause: messageOf(error) });
    } finally {
      cut.leave(onCut);
      this.#answering.delete(connection);
      connection.close();
    }
  }

  #add(connection: Http1Connection): void {
    const [oldest] = this.#answering;
    if (oldest !== undefined && this.#answering.size >= MOST_ANSWERS) {
      this.#answering.delete(oldest);
      oldest.close();
    }
    this.#answering.add(connection);
  }

  async #answer(connection: Http1Connection, place: AnswerPlace, client: string): Promise<void> {
    const found = await connection.nextHead();
    if (found === undefined) return;
    const head = found === TOO_LONG ? undefined : parseRequestHead(found);
    const asked = head && askedOf(head, place, client);
    if (asked === undefined) this.#count("other");
    const left = new AbortController();
    const response = found === TOO_LONG
      ? problem(431, "The head of the request is too long")
      : asked === undefined
      ? problem(400, "Cannot read the request: want HTTP/1.1 with a Host, and a path")
      : await this.#responseTo(asked, connection, left);
    const { method = "", isHttp10 = false } = head ?? {};
    this.#ports.log.debug("http_answered", { client, method, path: asked?.path, status: response.status });
    try {
      for await (const bytes of responseBytes({ method, isHttp10 }, response, true)) {
        await connection.write(bytes);
      }
    } finally {
      left.abort(new HoldEnded("client_left", "The client has left"));
    }
    if (!this.#answering.has(connection)) this.#add(connection);
    await connection.linger();
  }

  async #responseTo(
    asked: Asked,
    connection: Http1Connection,
    left: AbortController,
  ): Promise<ResponseParts> {
    const { head: { method }, path, isJson } = asked;
    const allowed = path === "/wake" ? "POST" : LOOKS.has(path) ? "GET, HEAD, OPTIONS" : undefined;
    if (path === "/wake" && method === "POST") {
      this.#count("wake");
      return this.#wake(asked, connection, left);
    }
    // A load balancer asks by OPTIONS, too (`option httpchk` of HAProxy).
    if (allowed !== undefined && allowed.split(", ").includes(method)) {
      this.#count("look");
      return await this.#look(asked);
    }
    this.#count("other");
    if (allowed === undefined) return problem(404, 'There is only "/" and "/wake" here', isJson);
    return problem(405, `Cannot ${method} ${path}: want ${allowed}`, isJson, { allow: allowed });
  }

  #count(what: typeof HTTP_WISHES[number]): void {
    this.#ports.metrics.record("http_requests_total", 1, { what });
  }

  /** Wakes nothing, and is no use of the builder. */
  async #look(
    { head: { method, headers }, path, door, isTls, isMutual, isJson }: Asked,
  ): Promise<ResponseParts> {
    const { clock, seats } = this.#ports;
    const host = headers.get("host");
    const outlook = seats.outlook(door, host ?? undefined);
    using cut = anySignal(this.#ends.cut);
    // A health check reads none of it.
    const reason = method === "GET" && path === "/" ? await reasonOf(outlook, clock, cut.signal) : undefined;
    const { observe = false } = this.#settings;
    const text = isJson
      ? lookJson(outlook, reason)
      : lookText(outlook, reason, { host, isTls, isMutual }, observe);
    return answer(200, text, isJson, method === "OPTIONS" ? { allow: "GET, HEAD, OPTIONS" } : {});
  }

  #wake(asked: Asked, connection: Http1Connection, left: AbortController): ResponseParts {
    const { head: { isHttp10, headers }, door, query, isJson, client } = asked;
    const { maxWakeForMs = 0, observe = false } = this.#settings;
    const { log, seats } = this.#ports;
    const { cut, refuse } = this.#ends;
    if (isHttp10) return problem(505, "Cannot show the steps in HTTP/1.0: want HTTP/1.1", isJson);
    // Pages of browsers send it, also to addresses that only the browser can reach.
    if (headers.has("origin")) return problem(403, "Cannot wake the builder for a web page", isJson);
    const keepForMs = keepFor(query, maxWakeForMs);
    if (typeof keepForMs === "object") return problem(400, keepForMs.problem, isJson);
    const host = headers.get("host") ?? undefined;
    const { builder, state } = seats.outlook(door, host);
    if (observe && state === "unknown") return problem(503, NOT_READ, isJson);
    if (observe && state === "asleep") {
      return problem(503, `Cannot wake the builder: ${asleepText(builder)}`, isJson);
    }
    const wish = { door, host, keepForMs };
    let wait: WakeWait;
    try {
      refuse.throwIfAborted();
      wait = new WakeWait(wish, this.#ports);
    } catch (error) {
      if (!(error instanceof HoldEnded)) throw error;
      // There may be thousands, and the limit has a record of its own.
      const level = error.outcome === "limited" ? "debug" : "info";
      log[level]("wake_ended", { client, outcome: error.outcome, reason: error.message });
      return problem(503, error.message, isJson);
    }
    this.#answering.delete(connection);
    let isOver = false;
    const end: EndWake = (outcome, reason) => {
      if (isOver) return;
      isOver = true;
      wait.end();
      log.info("wake_ended", { client, outcome, ...wait.facts, keepForMs, reason });
    };
    // Also if the client has left before the first step, of which the steps would not know.
    left.signal.addEventListener("abort", () => end(cut.aborted ? "drain_timeout" : "client_left"), {
      once: true,
    });
    connection.left().then(() => left.abort(new HoldEnded("client_left", "The client has left")));
    return stream(this.#lines(wait, asked, keepForMs, left.signal, end), isJson);
  }

  /** The steps as lines. */
  async *#lines(
    wait: WakeWait,
    { isJson }: Asked,
    keepForMs: number,
    left: AbortSignal,
    end: EndWake,
  ): AsyncGenerator<Uint8Array, void> {
    try {
      for await (const step of wait.steps(left, this.#ends)) {
        if (step.state === "ready") end("completed");
        yield encoder.encode(isJson ? stepJson(step) : stepText(step, keepForMs));
      }
    } catch (error) {
      end(error instanceof HoldEnded ? error.outcome : "failed", messageOf(error));
      throw error; // the response breaks off
    }
  }
}

/** Ends the wait of a request. The first outcome counts. */
type EndWake = (outcome: Outcome, reason?: string) => void;

/** Whether anything is to be woken is not known. */
const NOT_READ =
  "Cannot wake the builder: this proxy only observes (--observe), and has not read the StatefulSet yet";

const encoder = new TextEncoder();

/** Where whoever looks is answered; the latter for health checks that are set to one of these. */
const LOOKS: ReadonlySet<string> = new Set(["/", "/healthz", "/livez", "/readyz"]);

/** What a request asks for; undefined if it is none. */
function askedOf(head: RequestHead, place: AnswerPlace, client: string): Asked | undefined {
  const { target, headers, method } = head;
  const isJson = wantsJson(headers.get("accept"));
  if (target === "*" && method === "OPTIONS") {
    return { ...place, head, path: "/", query: new URLSearchParams(), isJson, client };
  }
  const url = URL.parse(target.startsWith("/") ? `http://localhost${target}` : target);
  if (url === null || !/^https?:$/.test(url.protocol)) return undefined;
  return { ...place, head, path: url.pathname, query: url.searchParams, isJson, client };
}

const COMMON = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

function answer(
  status: number,
  text: string,
  isJson: boolean,
  more: Readonly<Record<string, string>> = {},
): Response {
  const bytes = encoder.encode(text);
  return new Response(bytes, {
    status,
    headers: {
      ...COMMON,
      "content-type": isJson ? "application/json" : "text/plain; charset=utf-8",
      "content-length": `${bytes.byteLength}`,
      ...more,
    },
  });
}

function problem(
  status: number,
  text: string,
  isJson = false,
  more: Readonly<Record<string, string>> = {},
): Response {
  return answer(status, problemText(text, isJson), isJson, more);
}

function stream(lines: AsyncIterable<Uint8Array>, isJson: boolean): ResponseParts {
  const type = isJson ? "application/x-ndjson" : "text/plain; charset=utf-8";
  return {
    status: 200,
    headers: new Headers({ ...COMMON, "content-type": type }),
    body: ReadableStream.from(lines),
  };
}
