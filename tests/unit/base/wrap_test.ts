/**
 * Breaking text into lines.
 *
 * @module
 */
import assert from "node:assert/strict";
import { wrap } from "../../../lib/base/wrap.ts";

Deno.test("wrap() breaks at spaces and never within a word", () => {
  assert.deepEqual(wrap("aa bb cc", 5), ["aa bb", "cc"]);
  assert.deepEqual(wrap("aaaaaaaa b", 5), ["aaaaaaaa", "b"]);
});
