/**
 * The chart's templates as the rules look at them: which values they read. By convention they name a value by its whole
 * path, `.Values.autoscaler.image.tag` or `$.Values…`, or the map that holds it.
 *
 * @module
 */
import type { ChartValueEntry } from "./chart_values.ts";

/** Every file below the chart's `templates`, by its path there. */
export async function chartTemplates(chart: URL): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const walk = async (folder: string) => {
    for await (const { name, isDirectory } of Deno.readDir(new URL(`templates/${folder}`, chart))) {
      if (isDirectory) await walk(`${folder}${name}/`);
      else found.set(folder + name, await Deno.readTextFile(new URL(`templates/${folder}${name}`, chart)));
    }
  };
  await walk("");
  return found;
}

/** Dotted paths of values that a template reads. */
export function usedValues(template: string): ReadonlySet<string> {
  const code = template.replace(/\{\{-?\s*\/\*[\s\S]*?\*\/\s*-?\}\}/g, "");
  return new Set(
    [...code.matchAll(/\.Values((?:\.[A-Za-z][A-Za-z0-9]*)+)/g)].map(([, path]) => path!.slice(1)),
  );
}

/** Declared values that no template reads, and values that are read but not declared. */
export function valueViolations(entries: readonly ChartValueEntry[], used: ReadonlySet<string>): string[] {
  const declared = entries.map(({ path }) => path.join("."));
  const within = (inner: string, outer: string) => inner === outer || inner.startsWith(`${outer}.`);
  const unused = declared.filter((path) =>
    ![...used].some((read) => within(path, read) || within(read, path))
  );
  const unknown = [...used].filter((read) => {
    const entry = entries.find(({ path }) => within(read, path.join(".")));
    if (entry === undefined) return !declared.some((path) => within(path, read));
    // Below a described map: its default has to hold the key, or the template would read what nobody set.
    const rest = read.split(".").slice(entry.path.length);
    return rest.length > 0 && !(rest[0]! in Object(entry.default));
  });
  return [
    ...unused.map((path) => `No template reads the value "${path}"`),
    ...unknown.map((path) => `A template reads "${path}", which is not declared`),
  ];
}
