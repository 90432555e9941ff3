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
import type { CountReader } from "../scaler/count_reader.ts";
import type { KnownRecords } from "./known_records.ts";
import type { OwnRecord } from "./own_record.ts";
import type { SeenRecord } from "./record_expiry.ts";
import type { Standing } from "./standing.ts";
import type { Statement } from "./statement.ts";
import { hasAnswered, mustAnswer, objects, stillThere } from "./votes.ts";

/** What consent is obtained and given with. */
export interface ConsentPorts extends Pick<BasePorts, "clock" | "log"> {
  /** Where promises bind. */
  readonly placement: Placement;
  /** This process. */
  readonly identity: string;
  /** All records. */
  readonly records: Pick<KnownRecords, "all" | "list" | "subscribe">;
  /** This proxy's own record: written when somebody waits for it. */
  readonly record: Pick<OwnRecord, "write" | "publish">;
  /** What it says: the announcement and the answers. */
  readonly statement: Pick<Statement, "answers" | "answer" | "keepAnswersTo" | "announcement">;
  /** Only a proxy that has joined makes promises to others, and one that is alone asks nobody. */
  readonly standing: Pick<Standing, "state" | "mayPromise">;
  /** Says when the resourceVersions have regressed. */
  readonly count: Pick<CountReader, "onRegressed">;
}

/** How long the others have for an answer, in ms. Then the attempt is given up, and made again later. */
const PATIENCE_MS = 10_000;

/** How often the records are read again meanwhile, in ms: a proxy that has ended will not answer. */
const READ_AGAIN_MS = 2_000;

/** Both sides: obtains the consent of the others as a leader, and answers the announcements of other leaders. */
export class Consent {
  readonly #ports: ConsentPorts;
  readonly #changed = new Notifier();
  /** For each leader the generation of its last announcement that this proxy has objected to. */
  readonly #objected = new Map<string, number>();
  readonly #recordExpiryMs: number;
  #generation = 0;
  #asksFromMs = -Infinity;

  /** Nothing is announced or promised at first. */
  constructor(recordExpiryMs: number, ports: ConsentPorts) {
    this.#recordExpiryMs = recordExpiryMs;
    this.#ports = ports;
    ports.records.subscribe(() => this.#answerAnnouncements());
    ports.count.onRegressed(() => this.#waitForAll());
  }

  /** The others' side: promises what leaders have announced, where no session of this proxy blocks it, and answers. */
  #answerAnnouncements(): void {
    const { identity, placement, records, record, statement, standing } = this.#ports;
    this.#changed.notify();
    const others = records.all.filter((record) => record.identity !== identity);
    const known = new Set(others.map(({ identity }) => identity));
    statement.keepAnswersTo(known);
    for (const leader of this.#objected.keys()) if (!known.has(leader)) this.#objected.delete(leader);
    for (const { identity: leader, body } of others) {
      const wanted = body?.announcement ?? null;
      if (wanted === null || statement.answers[leader] === wanted.generation || !standing.mayPromise) {
        continue;
      }
      // The promise binds from before the answer is sent, whatever becomes of it.
      if (placement.promise(wanted)) {
        statement.answer(leader, wanted.generation);
        record.publish(true);
      } else if (this.#objected.get(leader) !== wanted.generation) {
        // A record has no field for an objection. The leader derives it from what the record says is in use
        // (`objects`).
        this.#objected.set(leader, wanted.generation);
        record.publish(true);
      }
    }
  }

  /**
   * The leader's side; see `Peers.consent`. The records are listed after the count was read: a proxy that is not on the
   * list joins later than that, and then binds itself to this version of the count or a newer one (`Membership`).
   */
  async obtain(wanted: ScalePromise, signal: AbortSignal): Promise<boolean> {
    const { clock, log, placement, identity, records, record, statement, standing } = this.#ports;
    if (standing.state === "alone") return placement.promise(wanted);
    if (clock.nowMs() < this.#asksFromMs) return false;
    const others = mustAnswer(await records.list(signal), identity);
    // A promise would be in vain, and this proxy's next client would have to wait until a claim has ended it.
    if (others.some((record) => objects(record, wanted.below))) return false;
    if (!placement.promise(wanted)) return false;
    if (others.length === 0) return true;
    const announcement = { generation: ++this.#generation, ...wanted };
    statement.announcement = announcement;
    try {
      await record.write(signal);
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
          missing = stillThere(missing, await records.list(signal));
          continue;
        }
        await this.#changed.wait(clock, Math.min(untilMs, readMs + READ_AGAIN_MS), signal);
      }
    } finally {
      // The promises of those who have answered still bind. Nobody else needs to answer any more.
      if (statement.announcement === announcement) statement.announcement = null;
      record.publish(true);
    }
  }

  /**
   * The backup may lack the record of a proxy that runs: it is on nobody's list until it has written its record again.
   */
  #waitForAll(): void {
    this.#asksFromMs = this.#ports.clock.nowMs() + this.#recordExpiryMs;
  }

  /** What is known of a proxy by now. */
  #newest({ identity }: SeenRecord): SeenRecord | undefined {
    return this.#ports.records.all.find((record) => record.identity === identity);
  }
}
