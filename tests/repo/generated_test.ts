/**
 * What is made from code is up to date in the repository.
 *
 * @module
 */
import assert from "node:assert/strict";
import { replaceBetween } from "../../lib/config/settings_table.ts";
import { generatedFiles, ROOT } from "./generated.ts";

Deno.test("repo: generated files are fresh (deno task generate)", async () => {
  for (const [path, content] of await generatedFiles()) {
    assert.equal(await Deno.readTextFile(new URL(path, ROOT)), content, `${path} is stale`);
  }
});

Deno.test("replaceBetween() changes what stands between the markers only", () => {
  assert.equal(replaceBetween("a\n<s>\nold\n<e>\nb", ["<s>", "<e>"], "new"), "a\n<s>\n\nnew\n\n<e>\nb");
  assert.throws(() => replaceBetween("a", ["<s>", "<e>"], "new"), /Cannot find "<s>"/);
});
