/**
 * The documents that are made from the code. `deno task generate` (this file as a program) writes them; a test
 * compares them.
 *
 * @module
 */
import { replaceBetween, SETTINGS_MARKERS, settingsTable } from "../../lib/config/settings_table.ts";
import { metricsDocument } from "../../lib/ops/metrics_table.ts";

/** The repository's root. */
export const ROOT = new URL("../../", import.meta.url);

/** Each document's path to its right content, formatted as `deno fmt` does. */
export async function generatedDocuments(): Promise<ReadonlyMap<string, string>> {
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  return new Map([
    ["README.md", await format(replaceBetween(readme, SETTINGS_MARKERS, settingsTable()))],
    ["docs/metrics.md", await format(metricsDocument())],
  ]);
}

async function format(markdown: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", "md", "-"],
    cwd: ROOT,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(markdown));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error("Cannot format a generated document");
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  for (const [path, content] of await generatedDocuments()) {
    await Deno.writeTextFile(new URL(path, ROOT), content);
  }
}
