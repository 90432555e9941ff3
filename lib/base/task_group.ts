/**
 * Long-running loops that end together: the first failure ends all others, and `join` waits for all of them.
 *
 * @module
 */

import { FatalError } from "./errors.ts";

/** A set of tasks under one signal. */
export class TaskGroup {
  readonly #controller = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  /** Aborted when the group stops or a task fails. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Starts a task, which must end soon after its signal is aborted. An error after that is not a failure. */
  run(name: string, task: (signal: AbortSignal) => Promise<void>): void {
    const running = (async () => {
      try {
        await task(this.signal);
      } catch (error) {
        if (this.signal.aborted) return;
        // The message of a FatalError is for users and complete.
        const isForUser = error instanceof FatalError;
        this.#failure = { error: isForUser ? error : new Error(`Task "${name}" failed`, { cause: error }) };
        this.#controller.abort(error);
      }
    })();
    this.#tasks.add(running);
    running.finally(() => this.#tasks.delete(running));
  }

  /** Stops all tasks. */
  stop(): void {
    this.#controller.abort(new DOMException("The task group was stopped", "AbortError"));
  }

  /**
   * Waits until all tasks have ended.
   *
   * @throws the error of the first task that failed, or an Error with that as its cause
   */
  async join(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
