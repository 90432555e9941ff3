/**
 * The sessions of a pool that only watch, held and seated ones. They keep no pod, so they end when theirs goes, when this
 * proxy drains, or when there are too many of them. Their clients connect again.
 *
 * @module
 */
import type { Session } from "./pool_session.ts";

/** Sessions of a pool that may watch at a time. Each developer's desktop may keep a dozen. */
const MOST_WATCHERS = 1_000;

/** Keeps the watchers of one pool. */
export class Watchers {
  /** The oldest first. */
  readonly #all = new Set<Session>();
  #held = 0;
  /** Why all of them end, present and future ones. */
  #over: string | undefined;

  /** Those that wait for a pod that somebody else needs. */
  get held(): number {
    return this.#held;
  }

  /** A session only watches, from now on. */
  add(session: Session): void {
    if (!this.#all.has(session)) {
      this.#all.add(session);
      session.isWatcher = true;
      if (session.stage !== "seated") this.#held++;
    }
    const [oldest] = this.#all;
    if (this.#over !== undefined) session.arrival.onEnd(this.#over);
    else if (this.#all.size > MOST_WATCHERS) {
      oldest!.arrival.onEnd(`More than ${MOST_WATCHERS} sessions only watch`);
    }
  }

  /** A watcher that was held has a seat. */
  seated(session: Session): void {
    if (this.#all.has(session)) this.#held--;
  }

  /** A watcher that had a seat is held again. */
  heldAgain(session: Session): void {
    if (this.#all.has(session)) this.#held++;
  }

  /** A session has ended, or does not only watch any more. Harmless if it never did. Call it before its stage changes. */
  remove(session: Session): void {
    if (!this.#all.delete(session)) return;
    session.isWatcher = false;
    if (session.stage !== "seated") this.#held--;
  }

  /** Pods may have gone: ends the watchers that are connected to them. (Those that are not yet are held again.) */
  endLost(): void {
    for (const { id, isConnected, builder, arrival } of this.#all) {
      if (isConnected && !builder!.seats.keeps(id)) arrival.onEnd("Its pod is not needed any more");
    }
  }

  /** Ends all of them, and those that come. */
  endAll(why: string): void {
    this.#over = why;
    for (const { arrival } of this.#all) arrival.onEnd(why);
  }
}
