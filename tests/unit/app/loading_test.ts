/** Tests of loading several things at the start. @module */
import assert from "node:assert/strict";
import { loadAll } from "../../../lib/app/loading.ts";
import { UsageError } from "../../../lib/base/errors.ts";

const bad = (...problems: string[]) => Promise.reject(new UsageError(problems));

Deno.test("loadAll() gives what all have loaded, in their order", async () => {
  assert.deepEqual(await loadAll(Promise.resolve(1), undefined, Promise.resolve("x")), [1, undefined, "x"]);
});

Deno.test("loadAll() reports the problems of all together", async () => {
  await assert.rejects(loadAll(bad("a", "b"), Promise.resolve(1), bad("c")), { problems: ["a", "b", "c"] });
});

Deno.test("loadAll() passes on what is no problem of the user's", async () => {
  const bug = new TypeError("bug");
  await assert.rejects(loadAll(bad("a"), Promise.reject(bug)), bug);
});
