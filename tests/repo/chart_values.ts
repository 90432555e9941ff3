/**
 * Reads the chart's values with the comments that describe them: a comment that begins with `# --` stands directly
 * above its key and may go on over further lines. A described map is one value, with all that stands in it by default;
 * a map without a description only groups values. Fails on a value that nothing describes.
 *
 * @module
 */
import { load } from "js-yaml";

/** One value of the chart. */
export interface ChartValueEntry {
  /** Keys from the top. */
  readonly path: readonly string[];
  /** Its default. */
  readonly default: unknown;
  /** What it is for, on one line, in Markdown. */
  readonly description: string;
}

/** A key with its indentation. */
const KEY = /^( *)([A-Za-z][A-Za-z0-9]*):(?: |$)/;
const COMMENT = /^ *#(.*)$/;

/** The values in the order of the file. @throws Error for a value without a description */
export function chartValues(yaml: string): readonly ChartValueEntry[] {
  const descriptions = describedKeys(yaml);
  const entries: ChartValueEntry[] = [];
  const walk = (node: unknown, path: readonly string[]) => {
    const description = descriptions.get(path.join("."));
    if (description !== undefined) return void entries.push({ path, default: node, description });
    if (!isGroup(node)) {
      throw new Error(`Nothing describes the value "${path.join(".")}": want a comment "# -- …"`);
    }
    for (const [key, child] of Object.entries(node)) walk(child, [...path, key]);
  };
  walk(load(yaml), []);
  return entries;
}

function isGroup(node: unknown): node is Record<string, unknown> {
  return typeof node === "object" && node !== null && !Array.isArray(node) && Object.keys(node).length > 0;
}

/** Dotted paths to descriptions. */
function describedKeys(yaml: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  let path: { readonly indent: number; readonly key: string }[] = [];
  let description: string | undefined;
  for (const line of yaml.split("\n")) {
    const comment = COMMENT.exec(line)?.[1]?.trim();
    if (comment !== undefined) {
      if (comment.startsWith("-- ")) description = comment.slice(3);
      else if (description !== undefined) description = `${description} ${comment}`;
      continue;
    }
    const [, spaces, key] = KEY.exec(line) ?? [];
    if (spaces !== undefined && key !== undefined) {
      path = [...path.filter(({ indent }) => indent < spaces.length), { indent: spaces.length, key }];
      if (description !== undefined) found.set(path.map((part) => part.key).join("."), description);
    }
    description = undefined;
  }
  return found;
}
