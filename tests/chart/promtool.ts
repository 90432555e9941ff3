/**
 * Prometheus' promtool, from Debian's package `prometheus`. Fails with what it has printed, or says what to install.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { dump } from "js-yaml";

/** Runs promtool in a folder of its own with these files, which are written as YAML. */
export async function promtool(files: Readonly<Record<string, unknown>>, ...args: string[]): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "alerts-" });
  try {
    for (const [name, content] of Object.entries(files)) {
      await Deno.writeTextFile(join(folder, name), dump(content, { noRefs: true }));
    }
    const run = new Deno.Command("promtool", { args, cwd: folder }).output();
    const { success, stdout, stderr } = await run.catch((error) => {
      throw new Error(`Cannot run "promtool": install it (Debian package "prometheus")`, { cause: error });
    });
    const text = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
    assert.ok(success, text);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
