/** A test that the table of mutations fits the program. @module */
import assert from "node:assert/strict";
import { brokenText } from "./broken_copy.ts";
import { MUTATIONS } from "./mutation_table.ts";

Deno.test("MUTATIONS: what each of them changes is there", async () => {
  for (const [name, { file, change, and }] of Object.entries(MUTATIONS)) {
    const text = await Deno.readTextFile(new URL(`../../lib/${file}`, import.meta.url));
    assert.notEqual(brokenText(text, change, file), text, name);
    assert.ok(and === undefined || and in MUTATIONS, `${name} comes with "${and}"`);
  }
});
