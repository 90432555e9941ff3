/**
 * What the demo shows: one line an event, with the time since the start, who it is about, and what happened. Wraps long
 * lines under their own column. Writes through a function; knows no terminal but for colours.
 *
 * @module
 */
import { wrap } from "../base/wrap.ts";
import type { Clock } from "../base/clock.ts";

/** Who an event is about. */
export type Actor = "cluster" | "program" | "client";

const ACTORS: Record<Actor, number> = { cluster: 34, program: 35, client: 32 };
const ACTOR_WIDTH = Math.max(...Object.keys(ACTORS).map((actor) => actor.length));
const WIDTH = 96;
/** Before the text of an event: indent, seconds, actor. */
const COLUMN = 2 + 8 + 2 + ACTOR_WIDTH + 2;

/** Writes a timeline. */
export class Timeline {
  readonly #write: (text: string) => void;
  readonly #clock: Clock;
  readonly #colors: boolean;
  readonly #startMs: number;

  /** Begins at 0 s. */
  constructor(write: (text: string) => void, clock: Clock, colors: boolean) {
    this.#write = write;
    this.#clock = clock;
    this.#colors = colors;
    this.#startMs = clock.nowMs();
  }

  /** The time since the start, in ms. */
  get elapsedMs(): number {
    return this.#clock.nowMs() - this.#startMs;
  }

  /** A paragraph. */
  text(text: string): void {
    this.#write(`${wrap(text, WIDTH).join("\n")}\n`);
  }

  /** The title of a part, after an empty line. */
  heading(text: string): void {
    this.#write(`\n${this.#paint(text, 1)}\n`);
  }

  /** One event. */
  event(actor: Actor, text: string): void {
    const time = `${(this.elapsedMs / 1000).toFixed(2).padStart(6)} s`;
    const [first = "", ...rest] = wrap(text, WIDTH - COLUMN);
    const lines = [`  ${time}  ${this.#paint(actor.padEnd(ACTOR_WIDTH), ACTORS[actor])}  ${first}`];
    lines.push(...rest.map((line) => " ".repeat(COLUMN) + line));
    this.#write(`${lines.join("\n")}\n`);
  }

  /** The end of an act: whether all went well. */
  verdict(good: boolean, text: string): void {
    const word = good ? "OK" : "FAILED";
    const lines = wrap(text, WIDTH - word.length - 2).join(`\n${" ".repeat(word.length + 2)}`);
    this.#write(`\n${this.#paint(word, good ? 32 : 31)}  ${lines}\n`);
  }

  #paint(text: string, code: number): string {
    return this.#colors ? `\x1b[${code}m${text}\x1b[0m` : text;
  }
}

/** `1.23 s`, for the text of an event. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
