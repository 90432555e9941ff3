/**
 * Those who want to hear of an event, in the order in which they came. One that waits in a loop uses `notifier.ts`.
 *
 * @module
 */

/** Tells listeners. */
export class Listeners {
  readonly #listeners = new Set<() => void>();

  /** Calls `listener` at every event. It must be quick and must not throw. */
  add(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** The event has happened. */
  tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
