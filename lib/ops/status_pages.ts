/**
 * What the admin port answers about the status: the page, its script and style sheet, its live stream, and the facts for
 * programs. Nothing of another host is loaded, no other page may read or frame it, and only its own script runs.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { page, partsOf } from "./page/page.ts";
import { SCRIPT } from "./page/script.ts";
import { STYLE } from "./page/style.ts";
import { WINDOWS } from "./page/timeline.ts";
import type { Status } from "./status.ts";
import { MOST_STREAMS, StatusStreams, turnOf } from "./status_streams.ts";

/** An answer, but for the header fields that all answers of the admin port have. */
export interface Answer {
  /** The HTTP status; 200. */
  readonly status?: number;
  /** Its content type. */
  readonly type: string;
  /** The text, or a stream of unknown length. */
  readonly body: string | ReadableStream<Uint8Array>;
  /** More header fields. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** The content type of plain text. */
export const TEXT_TYPE = "text/plain; charset=utf-8";

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The window of a page that names none: it shows a cold start and an idle timeout. */
const WINDOW = "10m";

/** Answers requests about the status. */
export class StatusPages {
  readonly #status: Pick<Status, "facts" | "subscribe">;
  readonly #clock: Clock;
  readonly #streams: StatusStreams;

  /** Asks `status` when somebody asks. */
  constructor(status: Pick<Status, "facts" | "subscribe">, clock: Clock) {
    this.#status = status;
    this.#clock = clock;
    this.#streams = new StatusStreams(status, clock);
  }

  /** The answer; undefined if the path is none of the status. */
  async answer(
    { method, signal }: Pick<Request, "method" | "signal">,
    url: URL,
  ): Promise<Answer | undefined> {
    switch (url.pathname) {
      case "/":
      case "/status":
        return await this.#page(windowOf(url));
      case "/status.json":
        return {
          type: "application/json; charset=utf-8",
          body: JSON.stringify(await this.#status.facts(), undefined, 2),
        };
      case "/status.css":
        return { type: "text/css; charset=utf-8", body: STYLE };
      case "/status.js":
        return { type: "text/javascript; charset=utf-8", body: SCRIPT };
      case "/status.live":
        return method === "HEAD" ? { type: EVENTS_TYPE, body: "" } : this.#live(windowOf(url), signal);
      default:
        return undefined;
    }
  }

  async #page(window: string): Promise<Answer> {
    const facts = await this.#status.facts();
    const parts = await partsOf(facts, window, turnOf(this.#clock));
    return {
      type: "text/html; charset=utf-8",
      body: page(facts, window, parts),
      headers: { "content-security-policy": POLICY },
    };
  }

  #live(window: string, signal: AbortSignal): Answer {
    const body = this.#streams.open(window, signal);
    if (body !== undefined) return { type: EVENTS_TYPE, body };
    const text = `${MOST_STREAMS} live status pages are open already: close one, or reload this page by hand`;
    return { status: 503, type: TEXT_TYPE, body: text, headers: { "retry-after": "10" } };
  }
}

const EVENTS_TYPE = "text/event-stream; charset=utf-8";

function windowOf({ searchParams }: URL): string {
  const window = searchParams.get("window") ?? WINDOW;
  return WINDOWS.has(window) ? window : WINDOW;
}
