/**
 * The agreement between proxies before a scale-down: a leader announces what it wants, every proxy that has nothing
 * there promises to place nothing there, and only then is the count lowered. Silence is no consent. Safety rests on the
 * promises and on the version that the write is conditioned on alone, not on who leads.
 *
 * @module
 */
import { Notifier } from "../base/notifier.ts";
import type { BasePorts } from "../base/ports.ts";
import type { ScalePromise } from "../scaler/agreement.ts";
import type { Placement } from "../scaler/placement.ts";
import type { Announcement } from "./record.ts";
import type { SeenRecord } from "./records.ts";
import { hasAnswered, mustAnswer, objects, stillThere } from "./votes.ts";

/** What the agreement is reached with. */
export interface ConsentPorts extends Pick<BasePorts, "clock" | "log"> {
  /** Where promises bind. */
  readonly placement: Placement;
  /** This process. */
  readonly identity: string;
  /** The records as last seen. */
  seen(): readonly SeenRecord[];
  /** Lists the records consistently, and returns them as judged on that very list. */
  list(signal: AbortSignal): Promise<readonly SeenRecord[]>;
  /** Writes this proxy's own record now. */
  write(signal: AbortSignal): Promise<void>;
  /** This proxy's own record should be written soon: somebody waits for it. */
  publish(): void;
  /** May this proxy make promises to others: has it joined, and not lapsed? */
  answers(): boolean;
}

/** How long the others have for an answer, in ms. Then the attempt is given up, and made again later. */
const PATIENCE_MS = 10_000;

/** How often the records are read again meanwhile, in ms: a proxy that has ended will not answer. */
const READ_AGAIN_MS = 2_000;

/** Both sides of the agreement. */
export class Consent {
  readonly #ports: ConsentPorts;
  readonly #changed = new Notifier();
  readonly #answered = new Map<string, number>();
  /** For each leader the generation of its last announcement that this proxy has objected to. */
  readonly #objected = new Map<string, number>();
  #announcement: Announcement | null = null;
  #generation = 0;

  /** Nothing is announced or promised at first. */
  constructor(ports: ConsentPorts) {
    this.#ports = ports;
  }

  /** For this proxy's record: what it wants. */
  get announcement(): Announcement | null {
    return this.#announcement;
  }

  /** For this proxy's record: whom it has answered. */
  get answers(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#answered);
  }

  /** Records have changed: answers what others have announced, where nothing speaks against it. */
  look(): void {
    const { identity, placement, publish, answers } = this.#ports;
    this.#changed.notify();
    const others = this.#ports.seen().filter((record) => record.identity !== identity);
    for (const heard of [this.#answered, this.#objected]) {
      for (const leader of heard.keys()) {
        if (!others.some((record) => record.identity === leader)) heard.delete(leader);
      }
    }
    for (const { identity: leader, body } of others) {
      const wanted = body?.announcement ?? null;
      if (wanted === null || this.#answered.get(leader) === wanted.generation || !answers()) continue;
      // The promise binds from before the answer is sent, whatever becomes of it.
      if (placement.promise(wanted)) {
        this.#answered.set(leader, wanted.generation);
        publish();
      } else if (this.#objected.get(leader) !== wanted.generation) {
        // The leader sees by what is in use that this is no silence.
        this.#objected.set(leader, wanted.generation);
        publish();
      }
    }
  }

  /** The leader's side; see `Peers.consent`. */
  async obtain(wanted: ScalePromise, signal: AbortSignal): Promise<boolean> {
    const { clock, log, placement, identity, list, write } = this.#ports;
    const others = mustAnswer(await list(signal), identity);
    if (!placement.promise(wanted)) return false;
    if (others.length === 0) return true;
    const announcement = { generation: ++this.#generation, ...wanted };
    this.#announcement = announcement;
    try {
      await write(signal);
      const untilMs = clock.nowMs() + PATIENCE_MS;
      for (let readMs = clock.nowMs(), missing = others;;) {
        const { generation } = announcement;
        missing = missing.filter((record) => !hasAnswered(this.#newest(record), identity, generation));
        if (missing.length === 0) return true;
        if (missing.some((record) => objects(this.#newest(record), wanted.below))) return false;
        if (clock.nowMs() >= untilMs) {
          log.debug("consent_missing", { silent: missing.map(({ identity }) => identity) });
          return false;
        }
        if (clock.nowMs() - readMs >= READ_AGAIN_MS) {
          readMs = clock.nowMs();
          missing = stillThere(missing, await list(signal));
          continue;
        }
        await this.#changed.wait(clock, Math.min(untilMs, readMs + READ_AGAIN_MS), signal);
      }
    } finally {
      // What was announced binds those who answered all the same; nobody else need answer any more.
      if (this.#announcement === announcement) this.#announcement = null;
      this.#ports.publish();
    }
  }

  /** What is known of a proxy by now. */
  #newest({ identity }: SeenRecord): SeenRecord | undefined {
    return this.#ports.seen().find((record) => record.identity === identity);
  }
}
