/**
 * Joined abort signals.
 *
 * @module
 */
import assert from "node:assert/strict";
import { anySignal } from "../../../lib/base/any_signal.ts";

Deno.test("anySignal() aborts with the first of its signals, and with that one's reason", () => {
  const [a, b] = [new AbortController(), new AbortController()];
  using any = anySignal(a.signal, b.signal);
  assert.equal(any.signal.aborted, false);
  b.abort("b");
  a.abort("a");
  assert.equal(any.signal.reason, "b");
});

Deno.test("anySignal() is aborted from the start if one of its signals is", () => {
  using any = anySignal(new AbortController().signal, AbortSignal.abort("before"));
  assert.equal(any.signal.reason, "before");
});

Deno.test("anySignal() listens no more once it is disposed of", () => {
  const a = new AbortController();
  const any = anySignal(a.signal);
  any[Symbol.dispose]();
  a.abort("a");
  assert.equal(any.signal.aborted, false);
});
