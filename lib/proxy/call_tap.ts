/**
 * Listens to a client until it is known whether it only watches. A watcher wants to be told of builds, and does nothing
 * else but look around and deliver traces. It may become another client at any time, so it is listened to for as long as
 * it is one, but not beyond the limits of `client_calls.ts`: after that it counts as a client that builds. Costs nothing
 * after that. Pure; keeps none of the bytes but those of a header block that is not whole.
 *
 * @module
 */
import { ClientCalls } from "./client_calls.ts";
import { type FirstCall, isLookUp, isTraceExport, isWatcher } from "./first_call.ts";

/** Listens to one client. */
export class CallTap {
  /** Gone when there is nothing more to learn. */
  #calls: ClientCalls | undefined = new ClientCalls();
  #first: FirstCall | "none" | undefined;
  #hasWatched = false;
  #changes = 0;

  /** The first call; `none` if it will never be known; undefined if it is not known yet. */
  get first(): FirstCall | "none" | undefined {
    return this.#first;
  }

  /** The client wants to be told of builds, and has done nothing else that needs a builder. */
  get watches(): boolean {
    return this.#hasWatched && !this.done;
  }

  /** Nothing will change any more: further bytes need not be taken. */
  get done(): boolean {
    return this.#calls === undefined;
  }

  /** How often `first`, `watches` or `done` has changed. */
  get changes(): number {
    return this.#changes;
  }

  /** Takes the client's next bytes, from its very first on. Returns whether `first`, `watches` or `done` has changed. */
  take(bytes: Uint8Array): boolean {
    if (this.#calls === undefined) return false;
    const { first, watches } = this;
    const calls = this.#calls.take(bytes);
    this.#first ??= calls[0];
    this.#hasWatched ||= calls.some(isWatcher);
    if (this.#calls.over) this.#first ??= "none";
    if (this.#calls.over || !calls.every(mayWatch)) {
      this.#calls = undefined;
    }
    const hasChanged = this.done || this.first !== first || this.watches !== watches;
    if (hasChanged) this.#changes++;
    return hasChanged;
  }
}

/** Whether a watcher makes such calls. */
function mayWatch(call: FirstCall): boolean {
  return isWatcher(call) || isLookUp(call) || isTraceExport(call);
}
