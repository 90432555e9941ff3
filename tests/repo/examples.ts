/**
 * The files of `docs/examples`.
 *
 * @module
 */
import type { Document } from "./documents.ts";

/** Every YAML file below `docs/examples`, sorted by path. */
export async function exampleFiles(root: URL): Promise<readonly Document[]> {
  const paths: string[] = [];
  for await (const { name: folder, isDirectory } of Deno.readDir(new URL("docs/examples/", root))) {
    if (!isDirectory) continue;
    for await (const { name } of Deno.readDir(new URL(`docs/examples/${folder}/`, root))) {
      paths.push(`docs/examples/${folder}/${name}`);
    }
  }
  return await Promise.all(
    paths.sort().map(async (path) => ({ path, text: await Deno.readTextFile(new URL(path, root)) })),
  );
}
