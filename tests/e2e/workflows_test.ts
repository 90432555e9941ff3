/**
 * The workflows, which cannot run here, in the eyes of actionlint.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { programPath } from "./surroundings.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

async function lint(args: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
  const { code, stdout, stderr } = await new Deno.Command(programPath("actionlint"), {
    args: ["-no-color", ...args],
    cwd: ROOT,
  }).output();
  return { code, output: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

Deno.test("actionlint has nothing to say about the workflows", async () => {
  const workflows = [...Deno.readDirSync(`${ROOT}.github/workflows`)].map(({ name }) =>
    `.github/workflows/${name}`
  );
  assert.ok(workflows.length >= 2);
  assert.deepEqual(await lint(workflows), { code: 0, output: "" });
});

Deno.test("actionlint finds a fault that is put into a workflow", async () => {
  const broken = await Deno.makeTempFile({ suffix: ".yml" });
  const text = await Deno.readTextFile(`${ROOT}.github/workflows/release.yml`);
  await Deno.writeTextFile(broken, text.replace("needs: [gate, notes]", "needs: [gate, note]"));
  const { code, output } = await lint([broken]);
  await Deno.remove(broken);
  assert.equal(code, 1);
  assert.match(output, /needs job "note" which does not exist/);
});
