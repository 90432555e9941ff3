/**
 * What is asked of the builders of one pool without a session: that one wakes, and that it stays awake for some time. A
 * request waits for the builder that a build would go to. As long as requests wait for a builder, it is called for as by
 * one held session, however many they are. What keeps a builder awake counts as one silent session on its lowest pod: so no
 * proxy scales it down before its time, whichever leads.
 *
 * @module
 */
import type { CancelTimer } from "../base/clock.ts";
import type { Outlook, Waking } from "../target/seats.ts";
import type { HeldLimit } from "./held_limit.ts";
import { isUsable, plan } from "./plan.ts";
import type { PoolPolicy, PoolPorts, RoutedBuilder } from "./pool_parts.ts";
import { cordonedText } from "./pool_texts.ts";
import { rankBy } from "./rank.ts";

/** From so many requests on, a look takes long enough to let further changes come first, for so many ms. */
const MANY = 100;
const PAUSE_MS = 50;

/** A request that waits, or has what it waited for. */
interface Request {
  readonly project: string | undefined;
  readonly keepForMs: number;
  readonly onChange: () => void;
  builder: RoutedBuilder;
  isServed: boolean;
}

/** What keeps a builder awake. */
interface Kept {
  readonly id: number;
  readonly untilMs: number;
  readonly cancel: CancelTimer;
}

/** The requests of one pool. */
export class Wakes {
  readonly #policy: PoolPolicy;
  readonly #builders: readonly RoutedBuilder[];
  readonly #ports: Pick<PoolPorts, "clock" | "log">;
  readonly #limit: HeldLimit;
  readonly #onHeld: () => void;
  readonly #waiting = new Set<Request>();
  /** The builders that are called for, each with the id under which it is. */
  readonly #calls = new Map<RoutedBuilder, number>();
  readonly #kept = new Map<RoutedBuilder, Kept>();
  #lastId = 0;
  #looks = false;
  /** This proxy drains: it keeps nothing awake any more. */
  #isOver = false;

  /** Its builders in their declared order, at least one. `limit` bounds who waits. Calls `onHeld` when `held` has changed. */
  constructor(
    policy: PoolPolicy,
    builders: readonly RoutedBuilder[],
    ports: Pick<PoolPorts, "clock" | "log">,
    limit: HeldLimit,
    onHeld: () => void,
  ) {
    this.#policy = policy;
    this.#builders = builders;
    this.#ports = ports;
    this.#limit = limit;
    this.#onHeld = onHeld;
    for (const builder of builders) builder.subscribe(() => this.#changed());
  }

  /** Requests that wait. */
  get held(): number {
    return this.#waiting.size;
  }

  /** As `Seats.outlook`. */
  outlook(project: string | undefined): Outlook {
    return this.#outlookOf(this.#builderOf(project), project);
  }

  /** As `Seats.wake`. */
  wake(project: string | undefined, keepForMs: number, onChange: () => void): Waking {
    const request: Request = {
      project,
      keepForMs,
      onChange,
      builder: this.#builderOf(project),
      isServed: false,
    };
    this.#waiting.add(request);
    this.#lookAt(request);
    this.#call();
    this.#onHeld();
    const outlook = () => this.#outlookOf(request.builder, project);
    return {
      refusal: request.isServed ? undefined : this.#refusal(request),
      get outlook() {
        return outlook();
      },
      get isServed() {
        return request.isServed;
      },
      end: () => {
        if (!this.#waiting.delete(request)) return;
        this.#call();
        this.#onHeld();
      },
    };
  }

  /** Why one more request cannot wait. All that call for a builder are one call for it, beside its sessions. */
  #refusal({ builder }: Request): string | undefined {
    const same = [...this.#waiting].filter((request) => request.builder === builder);
    return this.#limit.refusal(builder.seats.calling + same.length - 1, builder.name);
  }

  /** Keeps no builder awake any more, now and in the future. */
  letSleep(): void {
    this.#isOver = true;
    for (const builder of this.#kept.keys()) this.#release(builder);
  }

  #outlookOf(builder: RoutedBuilder, project: string | undefined): Outlook {
    const kept = this.#kept.get(builder);
    return {
      builder: builder.name,
      // One builder is everybody's.
      project: this.#builders.length > 1 ? project : undefined,
      state: builder.facts.state,
      keptForMs: kept === undefined ? 0 : Math.max(0, kept.untilMs - this.#ports.clock.nowMs()),
      explain: (signal) =>
        builder.isCordoned ? Promise.resolve(cordonedText(builder.name)) : builder.seats.explainWait(signal),
    };
  }

  /** Where a build of the project would go now. */
  #builderOf(project: string | undefined): RoutedBuilder {
    const { placement, overflow } = this.#policy;
    const ranked = rankBy(this.#builders, project, ({ name }) => name);
    if (ranked.length === 1) return ranked[0]!;
    const waiting = { id: 0, tag: 0, project, patient: project !== undefined };
    const builders = this.#builders.map(({ facts }) => facts);
    const name = plan([waiting], builders, { placement, overflow, turn: 0 }).get(0)?.builder;
    // All that can be used are full: a build would queue.
    return ranked.find((builder) => builder.name === name) ?? ranked.find(({ facts }) => isUsable(facts)) ??
      ranked[0]!;
  }

  #changed(): void {
    if (this.#looks || this.#waiting.size + this.#kept.size === 0) return;
    this.#looks = true;
    const look = () => {
      this.#looks = false;
      const before = this.#waiting.size;
      this.#look();
      if (this.#waiting.size !== before) this.#onHeld();
    };
    if (this.#waiting.size < MANY) void Promise.resolve().then(look);
    else this.#ports.clock.setTimer(PAUSE_MS, look);
  }

  #look(): void {
    for (const request of this.#waiting) this.#lookAt(request);
    // A lower pod may be there by now: then the others may go.
    for (const [builder, { id }] of this.#kept) builder.seats.keepAwake(id);
    this.#call();
  }

  #lookAt(request: Request): void {
    const builder = request.builder = this.#builderOf(request.project);
    request.isServed = builder.facts.state === "ready" && this.#use(builder, request.keepForMs);
    if (request.isServed) this.#waiting.delete(request);
    request.onChange();
  }

  /** Calls for those builders that requests wait for. Nobody wakes one that takes no sessions: it would never be idle. */
  #call(): void {
    const wanted = new Set([...this.#waiting].map(({ builder }) => builder));
    for (const builder of wanted) {
      if (builder.isCordoned || this.#calls.has(builder)) continue;
      const id = this.#newId();
      this.#calls.set(builder, id);
      builder.seats.callFor(id);
    }
    for (const [builder, id] of this.#calls) {
      if (wanted.has(builder)) continue;
      this.#calls.delete(builder);
      builder.seats.end(id);
    }
  }

  /** Uses a builder that is ready, now or for some time. False if it cannot be used. */
  #use(builder: RoutedBuilder, keepForMs: number): boolean {
    const { clock, log } = this.#ports;
    const before = this.#kept.get(builder);
    const id = before?.id ?? this.#newId();
    if (before === undefined && !builder.seats.keepAwake(id)) return false;
    const forMs = this.#isOver ? 0 : keepForMs;
    const untilMs = clock.nowMs() + forMs;
    if (before !== undefined && before.untilMs >= untilMs) return true;
    before?.cancel();
    if (forMs === 0) builder.seats.end(id);
    else {
      const cancel = clock.setTimer(forMs, () => this.#release(builder));
      this.#kept.set(builder, { id, untilMs, cancel });
      log.info("builder_kept_awake", { builder: builder.name, forMs });
    }
    return true;
  }

  /** Whatever kept the builder awake has used it until now. */
  #release(builder: RoutedBuilder): void {
    const kept = this.#kept.get(builder);
    if (kept === undefined) return;
    kept.cancel();
    this.#kept.delete(builder);
    builder.seats.end(kept.id);
  }

  /** Negative: those of sessions are positive. */
  #newId(): number {
    return --this.#lastId;
  }
}
