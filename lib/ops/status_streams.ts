/**
 * Live status pages: server-sent events with the parts of the page that have changed. A limited number at a time, each of
 * which gets the newest state when it takes it, so that a slow reader costs no memory. While nobody looks, nothing is done.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 * @module
 */
import { type Clock, sleep } from "../base/clock.ts";
import { Notifier } from "../base/notifier.ts";
import { type Parts, partsOf } from "./page/page.ts";
import type { Status } from "./status.ts";
import type { StatusFacts } from "./status_facts.ts";

/** Live pages at a time. The admin port has 64 connections: the others are left to probes and scrapes. */
export const MOST_STREAMS = 16;

/** Changes are shown after this long at the earliest, in ms. */
const PAUSE_MS = 1_000;

/** Without a change, a stream is looked at this often, in ms: times move on, and clients that have vanished are noticed. */
const BEAT_MS = 5_000;

const encoder = new TextEncoder();

/** Lets everything else have its turn. */
export function turnOf(clock: Clock): () => Promise<void> {
  return () => new Promise((resolve) => void clock.setTimer(0, resolve));
}

interface Moment {
  readonly atMs: number;
  readonly facts: Promise<StatusFacts>;
  readonly parts: Map<string, Promise<Parts>>;
}

/** Serves live pages. */
export class StatusStreams {
  readonly #status: Pick<Status, "facts" | "subscribe">;
  readonly #clock: Clock;
  readonly #open = new Set<Notifier>();
  /** What all streams of the same moment show, and by window how. */
  #moment: Moment | undefined;

  /** Nobody looks yet. */
  constructor(status: Pick<Status, "facts" | "subscribe">, clock: Clock) {
    this.#status = status;
    this.#clock = clock;
    status.subscribe(() => {
      for (const changed of this.#open) changed.notify();
    });
  }

  /** Those that are open. */
  get size(): number {
    return this.#open.size;
  }

  /** The body of one more stream, which ends with the signal; undefined when there are too many. */
  open(window: string, signal: AbortSignal): ReadableStream<Uint8Array> | undefined {
    if (this.#open.size >= MOST_STREAMS || signal.aborted) return undefined;
    const changed = new Notifier();
    this.#open.add(changed);
    const over = new AbortController();
    const end = () => {
      this.#open.delete(changed);
      over.abort(new Error("The stream has ended"));
    };
    signal.addEventListener("abort", end, { once: true });
    const messages = this.#messages(window, changed, over.signal);
    return new ReadableStream({
      async pull(controller) {
        try {
          controller.enqueue(encoder.encode((await messages.next()).value));
        } catch {
          end();
          controller.close();
        }
      },
      cancel: end,
    }, { highWaterMark: 0 });
  }

  async *#messages(
    window: string,
    changed: Notifier,
    signal: AbortSignal,
  ): AsyncGenerator<string, never> {
    let before: Parts = new Map();
    // How long a browser waits before it connects again.
    yield "retry: 3000\n\n";
    for (;;) {
      const atMs = this.#clock.nowMs();
      const parts = await this.#parts(window);
      signal.throwIfAborted();
      const news = [...parts].filter(([id, markup]) => before.get(id) !== markup);
      before = parts;
      // JSON has no line feed, so the message is one line. A comment keeps the connection busy.
      yield news.length === 0
        ? ":\n\n"
        : `event: parts\ndata: ${JSON.stringify(Object.fromEntries(news))}\n\n`;
      await changed.wait(this.#clock, atMs + BEAT_MS, signal);
      await sleep(this.#clock, Math.max(0, atMs + PAUSE_MS - this.#clock.nowMs()), signal);
    }
  }

  #parts(window: string): Promise<Parts> {
    const atMs = this.#clock.nowMs();
    if (this.#moment === undefined || atMs - this.#moment.atMs >= PAUSE_MS / 2) {
      this.#moment = { atMs, facts: this.#status.facts(), parts: new Map() };
    }
    const { facts, parts } = this.#moment;
    const known = parts.get(window);
    if (known !== undefined) return known;
    const drawn = facts.then((facts) => partsOf(facts, window, turnOf(this.#clock)));
    parts.set(window, drawn);
    return drawn;
  }
}
