/**
 * Waiting for a promise or an abort.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Ending } from "../../../lib/base/ending.ts";
import { orAborted } from "../../../lib/base/or_aborted.ts";

for (const kind of ["AbortSignal", "Ending"] as const) {
  /** Something to abort, and what is waited with. */
  const abortable = () => {
    if (kind === "Ending") {
      const ending = new Ending();
      return { signal: ending, abort: (reason: Error) => ending.abort(reason) };
    }
    const controller = new AbortController();
    return { signal: controller.signal, abort: (reason: Error) => controller.abort(reason) };
  };

  Deno.test(`orAborted() settles as the promise does, and leaves nothing on the ${kind}`, async () => {
    const { signal } = abortable();
    assert.equal(await orAborted(Promise.resolve(1), signal), 1);
    await assert.rejects(orAborted(Promise.reject(new Error("no")), signal), /no/);
    if (signal instanceof Ending) assert.ok(signal.isFree);
  });

  Deno.test(`orAborted() throws the reason of the ${kind}, before and during the wait`, async () => {
    const { signal, abort } = abortable();
    const failing = Promise.withResolvers<void>();
    const waiting = orAborted(failing.promise, signal);
    abort(new Error("over"));
    await assert.rejects(waiting, /over/);
    // Neither of these is an uncaught rejection.
    failing.reject(new Error("late"));
    await assert.rejects(orAborted(Promise.reject(new Error("too late")), signal), /over/);
  });
}
