/**
 * An abort that thousands follow. An `AbortSignal` searches the list of its listeners for each that comes or goes: with
 * 9,000 sessions that was more than half of the CPU time of each new one. This does not know why it is aborted.
 *
 * @module
 */

/** Either kind of abort. */
export type Abortable = AbortSignal | Ending;

/** Calls `follower` once when it is aborted; does nothing if it was already. */
export function follow(abortable: Abortable, follower: () => void): void {
  if (abortable.aborted) return;
  if (abortable instanceof Ending) abortable.follow(follower);
  else abortable.addEventListener("abort", follower, { once: true });
}

/** Undoes `follow`. Harmless when called twice. */
export function leave(abortable: Abortable, follower: () => void): void {
  if (abortable instanceof Ending) abortable.leave(follower);
  else abortable.removeEventListener("abort", follower);
}

/** An abort whose followers come and go in constant time. */
export class Ending {
  /** Made with the first one: most endings of a session have none. */
  #followers: Set<() => void> | undefined;
  #aborted: { readonly reason: unknown } | undefined;

  /** Whether it was aborted. */
  get aborted(): boolean {
    return this.#aborted !== undefined;
  }

  /** Why it was aborted, if it was. */
  get reason(): unknown {
    return this.#aborted?.reason;
  }

  /** Whether nobody follows it. */
  get isFree(): boolean {
    return this.#followers === undefined || this.#followers.size === 0;
  }

  /** Throws if it was aborted. @throws the reason */
  throwIfAborted(): void {
    if (this.#aborted !== undefined) throw this.#aborted.reason;
  }

  /**
   * Calls all followers, in the order in which they came, and forgets them. Harmless when called twice.
   *
   * @throws the first error of a follower, after all of them were called
   */
  abort(reason: unknown): void {
    if (this.#aborted !== undefined) return;
    this.#aborted = { reason };
    const errors: unknown[] = [];
    for (const follower of [...this.#followers ?? []]) {
      if (!this.#followers!.delete(follower)) continue; // an earlier one has made it leave
      try {
        follower();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  /** Calls `follower` once when it is aborted: now, if it was already. It should be quick. */
  follow(follower: () => void): void {
    if (this.#aborted !== undefined) return follower();
    this.#followers ??= new Set();
    this.#followers.add(follower);
  }

  /** Undoes `follow`. Harmless when called twice. */
  leave(follower: () => void): void {
    this.#followers?.delete(follower);
  }
}
