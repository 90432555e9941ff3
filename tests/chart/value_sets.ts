/**
 * The sets of values that the chart's tests render, one file each in `values/`, by name.
 *
 * @module
 */
import { load } from "js-yaml";

const FOLDER = new URL("values/", import.meta.url);

/** Name, without its extension, to values. */
export const VALUE_SETS: ReadonlyMap<string, unknown> = new Map(
  [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort()
    .map((name) => [name.replace(/\.yaml$/, ""), load(Deno.readTextFileSync(new URL(name, FOLDER)))]),
);
