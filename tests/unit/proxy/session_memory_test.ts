/**
 * Tests of what a session keeps in memory while it is relayed.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

Deno.test("runSession() keeps nothing of its wait while it is relayed", async () => {
  const script = fileURLToPath(new URL("../../support/wait_of_relayed.ts", import.meta.url));
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--v8-flags=--expose-gc", script],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  assert.equal(new TextDecoder().decode(stdout).trim(), "gone");
});
