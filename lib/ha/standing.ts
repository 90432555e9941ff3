/**
 * Where this proxy stands among the others, and so whether it may place sessions. `membership.ts` changes it.
 *
 * - `joining`: its record is not written yet, or was lost: it places nothing.
 * - `joined`: the others do not scale down without its consent, until it lapses: some time before its record can
 *   expire for them.
 * - `cut_off`: it has lapsed and cannot join again, since the API is out of reach: by `--when-cut-off=serve` it goes on
 *   placing, by `hold` it does not. It tries to join all the while.
 * - `alone`: it has no right to Leases, and no other proxy was found: nobody has to be asked.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import { Listeners } from "../base/listeners.ts";
import type { Gate } from "../scaler/placement.ts";

/** See the module's comment. */
export const MEMBER_STATES = ["joining", "joined", "cut_off", "alone"] as const;
/** One of {@link MEMBER_STATES}. */
export type MemberState = typeof MEMBER_STATES[number];

/** The settings that matter. */
export interface StandingSettings {
  /** How long the others wait for a change of the record, in ms. */
  readonly recordExpiryMs: number;
  /** What to do with new sessions while cut off for longer than that. */
  readonly whenCutOff: "serve" | "hold";
  /** It writes no count and consents to nothing. */
  readonly observe?: boolean | undefined;
}

/** A write of this proxy's record that has succeeded. */
export interface Renewal {
  /** When it was sent, monotonic ms. */
  readonly nowMs: number;
  /** The same by the clock that runs through a suspend. */
  readonly bootMs: number;
  /** How long the record is good for without another one, in ms. */
  readonly goodForMs: number;
}

/** A proxy lapses this part of the expiry before its record can expire for the others: for the drift of clocks. */
const MARGIN_PART = 1 / 10;

/** Whether a proxy places sessions, by where it stands. */
export function placesAs(
  state: MemberState,
  lapsed: boolean,
  whenCutOff: StandingSettings["whenCutOff"],
): boolean {
  if (state === "cut_off") return whenCutOff === "serve";
  return state === "alone" || (state === "joined" && !lapsed);
}

/** Whether a proxy leads: only one that has joined does by the election, and one that is alone does without. */
export function leadsAs({ state, places }: Pick<Standing, "state" | "places">, holdsLease: boolean): boolean {
  return state === "alone" || (state === "joined" && places && holdsLease);
}

/** One proxy's standing. It is the real {@link Gate} of the placement. */
export class Standing implements Gate {
  readonly #clock: Clock;
  readonly #settings: StandingSettings;
  readonly #changed = new Listeners();
  readonly #onLapse = new Listeners();
  #state: MemberState = "joining";
  #renewal: Renewal | undefined;

  /** Closed: nothing is placed before the proxy has joined. */
  constructor(clock: Clock, settings: StandingSettings) {
    this.#clock = clock;
    this.#settings = settings;
  }

  /** The state. */
  get state(): MemberState {
    return this.#state;
  }

  /** Changes the state. */
  set state(state: MemberState) {
    if (state === this.#state) return;
    this.#state = state;
    this.#changed.tell();
  }

  /** Calls `listener` when the state has changed. */
  subscribe(listener: () => void): void {
    this.#changed.add(listener);
  }

  /** Calls `listener` when a session is to be placed, and the record of this proxy, which has joined, has lapsed. */
  onLapse(listener: () => void): void {
    this.#onLapse.add(listener);
  }

  /** The last renewal of the record; undefined if there is no record. */
  get renewal(): Renewal | undefined {
    return this.#renewal;
  }

  /** The record was renewed, or is gone. */
  set renewal(renewal: Renewal | undefined) {
    this.#renewal = renewal;
  }

  /** Time since the last renewal was sent, in ms, a suspend included; Infinity without a record. */
  get ageMs(): number {
    return this.#clock.nowMs() - this.renewedMs;
  }

  /** When the last renewal was sent, monotonic ms, earlier by a suspend since then; -Infinity without a record. */
  get renewedMs(): number {
    if (this.#renewal === undefined) return -Infinity;
    // The boot clock is only good to the second.
    const suspendedMs = this.#clock.bootMs() - this.#renewal.bootMs - 1_000;
    return Math.min(this.#renewal.nowMs, this.#clock.nowMs() - suspendedMs);
  }

  /** True when the others may scale down without asking this proxy, or may do so soon. */
  get lapsed(): boolean {
    const { recordExpiryMs } = this.#settings;
    return this.ageMs >= (this.#renewal?.goodForMs ?? recordExpiryMs) - recordExpiryMs * MARGIN_PART;
  }

  /** True when there is a record and it has lapsed. A proxy without a record is not late: it has to join first. */
  get recordLapsed(): boolean {
    return this.lapsed && this.#renewal !== undefined;
  }

  /** It writes no count and consents to nothing. */
  get observes(): boolean {
    return this.#settings.observe ?? false;
  }

  /**
   * Whether this proxy may promise the others anything: they rely on its promises only while its record is valid. One that
   * observes never does, so nobody lowers the count beside it.
   */
  get mayPromise(): boolean {
    return !this.observes && this.#state === "joined" && !this.lapsed;
  }

  /** Whether this proxy places sessions, as it stands. Looks at the clocks anew each time. */
  get places(): boolean {
    return placesAs(this.#state, this.lapsed, this.#settings.whenCutOff);
  }

  /**
   * See {@link Gate}. Reading it may change the state: after the process stood still, the first session that wants a
   * pod may notice the lapse before any timer does.
   */
  get open(): boolean {
    // Read for every builder whenever a session is routed: the clocks are looked at once where they can be.
    const { lapsed } = this;
    if (this.#state !== "joined" || !lapsed || this.#renewal === undefined) {
      return placesAs(this.#state, lapsed, this.#settings.whenCutOff);
    }
    this.#onLapse.tell();
    return this.places;
  }
}
