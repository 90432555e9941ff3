/**
 * The one owner of what is in use: which session is held or on which ordinal, and since when an ordinal is idle. It
 * decides nothing. Sessions are known by id, so that ending one twice is harmless.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";

/** What a session is doing. */
type State =
  /** It waits for a pod; `needs` is false while it may be no client at all (`--wake-on=data`). */
  | { readonly at: "held"; readonly needs: boolean }
  /** It is on an ordinal, dialling included; `used` is false while it may be no client at all. */
  | { readonly at: "ordinal"; readonly ordinal: number; readonly used: boolean };

/** Counts sessions. */
export class Usage {
  readonly #sessions = new Map<number, State>();
  readonly #lastUsedMs = new Map<number, number>();
  readonly #onOrdinal = new Map<number, number>();
  #held = 0;
  #needing = 0;
  #lastNeededMs = -Infinity;

  /** Sessions that are held. */
  get held(): number {
    return this.#held;
  }

  /** Held sessions that call for a pod. */
  get needing(): number {
    return this.#needing;
  }

  /** When the last held session that called for a pod ceased to, in ms; -Infinity if there was none. */
  get lastNeededMs(): number {
    return this.#lastNeededMs;
  }

  /** All sessions. */
  get open(): number {
    return this.#sessions.size;
  }

  /** The highest ordinal with a session, or -1. */
  get highest(): number {
    return Math.max(-1, ...this.#onOrdinal.keys());
  }

  /** Ordinals with sessions, lowest first. */
  get busyOrdinals(): readonly number[] {
    return [...this.#onOrdinal.keys()].sort((a, b) => a - b);
  }

  /** Sessions on an ordinal. */
  on(ordinal: number): number {
    return this.#onOrdinal.get(ordinal) ?? 0;
  }

  /** The ordinal that a session is on, if it is on one. */
  ordinalOf(id: number): number | undefined {
    const state = this.#sessions.get(id);
    return state?.at === "ordinal" ? state.ordinal : undefined;
  }

  /** True when the session calls for a pod, or is known to use the one it has. */
  needs(id: number): boolean {
    const state = this.#sessions.get(id);
    return state?.at === "held" ? state.needs : state?.used ?? false;
  }

  /** When the last session on each ordinal ended, in ms. */
  get lastUsedMs(): ReadonlyMap<number, number> {
    return this.#lastUsedMs;
  }

  /** The session is held: newly so, again, or now with another `needs`. */
  hold(id: number, needs: boolean, nowMs: number): void {
    this.#leave(id, nowMs);
    this.#sessions.set(id, { at: "held", needs });
    this.#held++;
    if (needs) this.#needing++;
  }

  /** The session is on `ordinal`, from before its dial. */
  place(id: number, ordinal: number, used: boolean, nowMs: number): void {
    this.#leave(id, nowMs);
    this.#sessions.set(id, { at: "ordinal", ordinal, used });
    this.#onOrdinal.set(ordinal, this.on(ordinal) + 1);
  }

  /** The client has sent something: the session calls for a pod, or is known to use the one it has. */
  markUsed(id: number, nowMs: number): void {
    const state = this.#sessions.get(id);
    if (state?.at === "held" && !state.needs) this.hold(id, true, nowMs);
    if (state?.at === "ordinal" && !state.used) this.#sessions.set(id, { ...state, used: true });
  }

  /** The session has ended. */
  end(id: number, nowMs: number): void {
    this.#leave(id, nowMs);
    this.#sessions.delete(id);
  }

  /** Forgets when ordinals from this one on were last used: the count does not keep them any more. */
  forget(fromOrdinal: number): void {
    for (const ordinal of this.#lastUsedMs.keys()) {
      if (ordinal >= fromOrdinal && this.on(ordinal) === 0) this.#lastUsedMs.delete(ordinal);
    }
  }

  #leave(id: number, nowMs: number): void {
    const state = this.#sessions.get(id);
    if (state?.at === "held") {
      this.#held--;
      if (state.needs) this.#needing--;
      if (state.needs && this.#needing === 0) this.#lastNeededMs = nowMs;
      invariant(this.#held >= 0 && this.#needing >= 0, "no more held sessions end than began");
    } else if (state?.at === "ordinal") {
      const left = this.on(state.ordinal) - 1;
      invariant(left >= 0, "no more sessions leave an ordinal than came");
      if (left === 0) this.#onOrdinal.delete(state.ordinal);
      else this.#onOrdinal.set(state.ordinal, left);
      if (state.used) this.#lastUsedMs.set(state.ordinal, nowMs);
    }
  }
}
