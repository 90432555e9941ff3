/**
 * The gate counts what `deno test` reports.
 *
 * @module
 */
import assert from "node:assert/strict";
import { tallyOf } from "../run.ts";

Deno.test("tallyOf() reads the last summary, colours and steps or not", () => {
  assert.deepEqual(tallyOf("ok | 12 passed | 0 failed (1s)\n", true), { passed: 12, failed: 0 });
  assert.deepEqual(tallyOf("FAILED | 3 passed (4 steps) | 2 failed (1s)\n", false), { passed: 3, failed: 2 });
  const colored = "\u001b[31mFAILED\u001b[0m | 3 passed | 1 failed \u001b[90m(1s)\u001b[0m\n";
  assert.deepEqual(tallyOf(colored, false), { passed: 3, failed: 1 });
});

Deno.test("tallyOf() counts a run that broke as a failure", () => {
  assert.deepEqual(tallyOf("", false), { passed: 0, failed: 1 });
  assert.deepEqual(tallyOf("FAILED | 5 passed | 0 failed (1s)\n", false), { passed: 5, failed: 1 });
});

Deno.test("tallyOf() counts tests that were passed over as failed, and a run without tests as a failure", () => {
  assert.deepEqual(tallyOf("ok | 5 passed | 0 failed | 2 ignored (1s)\n", true), { passed: 5, failed: 2 });
  assert.deepEqual(tallyOf("ok | 0 passed | 0 failed (1s)\n", true), { passed: 0, failed: 1 });
  assert.deepEqual(tallyOf("", true), { passed: 0, failed: 1 });
});
