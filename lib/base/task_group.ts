/**
 * Long-running loops that live and die together: the first failure ends the rest, and `join` waits for all of them.
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

  /** Starts a task. It should end soon after its signal is aborted; what it throws after that is the end, no failure. */
  run(name: string, task: (signal: AbortSignal) => Promise<void>): void {
    const running = (async () => {
      try {
        await task(this.signal);
      } catch (error) {
        if (this.signal.aborted) return;
        // What is meant for the user says all that there is to say.
        const isForUser = error instanceof FatalError;
        this.#failure = { error: isForUser ? error : new Error(`Task "${name}" failed`, { cause: error }) };
        this.#controller.abort(error);
      }
    })();
    this.#tasks.add(running);
    running.finally(() => this.#tasks.delete(running));
  }

  /** Tells all tasks to end. */
  stop(): void {
    this.#controller.abort(new DOMException("The task group was stopped", "AbortError"));
  }

  /**
   * Waits until no task is left.
   *
   * @throws what the first task that failed threw, as the cause
   */
  async join(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
