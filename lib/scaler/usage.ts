/**
 * The one owner of what is in use: which session is held or on which ordinal, and since when an ordinal is idle. It
 * decides nothing. Sessions are known by id, so that ending one twice is harmless. What a client can bring about again
 * and again says whether anything has changed.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import type { Load } from "./capacity.ts";

/** What a session is doing. */
type State =
  /** It waits for a pod; `needs` is false while it may be no client at all (`--wake-on=data`). */
  | { readonly at: "held"; readonly needs: boolean }
  /**
   * It is on an ordinal, dialling included; `used` is false while it may be no client at all. A silent one uses its pod,
   * and is no load on it.
   */
  | { readonly at: "ordinal"; readonly ordinal: number; readonly used: boolean; readonly silent: boolean }
  /** It is on an ordinal and only watches: it counts for nothing. */
  | { readonly at: "watching"; readonly ordinal: number };

/** Counts sessions. */
export class Usage {
  readonly #sessions = new Map<number, State>();
  readonly #lastUsedMs = new Map<number, number>();
  readonly #onOrdinal = new Map<number, number>();
  readonly #load = new Map<number, number>();
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

  /** Sessions on an ordinal, those that only watch excepted. */
  on(ordinal: number): number {
    return this.#onOrdinal.get(ordinal) ?? 0;
  }

  /** The sessions on each ordinal that are neither silent nor only watch. */
  get load(): Load {
    return this.#load;
  }

  /** The ordinal that a session is on, if it is on one. */
  ordinalOf(id: number): number | undefined {
    const state = this.#sessions.get(id);
    return state?.at === "held" ? undefined : state?.ordinal;
  }

  /** The session is known here. */
  has(id: number): boolean {
    return this.#sessions.has(id);
  }

  /** True while the session only watches. */
  watches(id: number): boolean {
    return this.#sessions.get(id)?.at === "watching";
  }

  /** True when the session calls for a pod, or is known to use the one it has. */
  needs(id: number): boolean {
    const state = this.#sessions.get(id);
    return state?.at === "held" ? state.needs : state?.at === "ordinal" && state.used;
  }

  /** When the last session on each ordinal ended, in ms. */
  get lastUsedMs(): ReadonlyMap<number, number> {
    return this.#lastUsedMs;
  }

  /** The session is held: newly so, again, or now with another `needs`. */
  hold(id: number, needs: boolean, nowMs: number): boolean {
    const state = this.#sessions.get(id);
    if (state?.at === "held" && state.needs === needs) return false;
    this.#leave(id, nowMs);
    this.#sessions.set(id, { at: "held", needs });
    this.#held++;
    if (needs) this.#needing++;
    return true;
  }

  /** The session is on `ordinal`, from before its dial. */
  place(id: number, ordinal: number, used: boolean, nowMs: number): void {
    this.#leave(id, nowMs);
    this.#sessions.set(id, { at: "ordinal", ordinal, used, silent: false });
    add(this.#onOrdinal, ordinal, 1);
    add(this.#load, ordinal, 1);
  }

  /** The session is on `ordinal` and only watches. Nothing is kept for it, so its last use does not count either. */
  watch(id: number, ordinal: number): boolean {
    const state = this.#sessions.get(id);
    if (state?.at === "watching" && state.ordinal === ordinal) return false;
    this.#leave(id, undefined);
    this.#sessions.set(id, { at: "watching", ordinal });
    return true;
  }

  /** The session has been silent for so long that it is no load, or is not any more. It uses its pod either way. */
  silent(id: number, silent: boolean): boolean {
    const state = this.#sessions.get(id);
    if (state?.at !== "ordinal" || state.silent === silent) return false;
    this.#sessions.set(id, { ...state, silent });
    add(this.#load, state.ordinal, silent ? -1 : 1);
    return true;
  }

  /** A held session that has gone needed the ordinal until now. */
  needed(ordinal: number, nowMs: number): void {
    this.#lastUsedMs.set(ordinal, nowMs);
  }

  /** The client has sent something: the session calls for a pod, or is known to use the one it has. */
  markUsed(id: number, nowMs: number): boolean {
    const state = this.#sessions.get(id);
    if (state?.at === "held") return this.hold(id, true, nowMs);
    if (state?.at !== "ordinal" || state.used) return false;
    this.#sessions.set(id, { ...state, used: true });
    return true;
  }

  /** The session has ended. */
  end(id: number, nowMs: number): boolean {
    this.#leave(id, nowMs);
    return this.#sessions.delete(id);
  }

  /** Forgets when ordinals from this one on were last used: the count does not keep them any more. */
  forget(fromOrdinal: number): void {
    for (const ordinal of this.#lastUsedMs.keys()) {
      if (ordinal >= fromOrdinal && this.on(ordinal) === 0) this.#lastUsedMs.delete(ordinal);
    }
  }

  /** Without a time, nothing is remembered of what the session used. */
  #leave(id: number, nowMs: number | undefined): void {
    const state = this.#sessions.get(id);
    if (state?.at === "held") {
      this.#held--;
      if (state.needs) this.#needing--;
      if (state.needs && this.#needing === 0 && nowMs !== undefined) this.#lastNeededMs = nowMs;
      invariant(this.#held >= 0 && this.#needing >= 0, "no more held sessions end than began");
    } else if (state?.at === "ordinal") {
      add(this.#onOrdinal, state.ordinal, -1);
      if (!state.silent) add(this.#load, state.ordinal, -1);
      if (state.used && nowMs !== undefined) this.#lastUsedMs.set(state.ordinal, nowMs);
    }
  }
}

/** Counts one more or one less. Ordinals without sessions are not in the map. */
function add(counts: Map<number, number>, ordinal: number, more: 1 | -1): void {
  const count = (counts.get(ordinal) ?? 0) + more;
  invariant(count >= 0, "no more sessions leave an ordinal than came");
  if (count === 0) counts.delete(ordinal);
  else counts.set(ordinal, count);
}
