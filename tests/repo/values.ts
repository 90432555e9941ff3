/**
 * The chart's values as documents name them: whether each name that is shown exists.
 *
 * @module
 */
import * as yaml from "js-yaml";
import { commandsOf, type Document, fenced, inlineCode } from "./documents.ts";

/** Values by name, nested. */
export type Values = Readonly<Record<string, unknown>>;

/** The parts of the chart that have values of their own; other values are seldom shown. */
const PARTS = /^(?:autoscaler|buildkitd|networkPolicy|pools|projects)$/;

/** Commands that install charts of others, whose values are not ours. */
const FOREIGN_CHART = / (?:gitlab\/|oci:\/\/ghcr\.io\/actions\/)/;

/** Host names look alike. */
const HOST = /\.svc\b/;

/** Names of values in text, commands (`--set`) and examples of values files that the chart does not have. */
export function valueViolations({ path, text }: Document, values: Values): string[] {
  const inline = inlineCode(text).filter((code) =>
    /^(?:autoscaler|buildkitd|networkPolicy)(?:\.\w+)+(?::.*)?$/.test(code) && !HOST.test(code)
  )
    .map((code) => code.replace(/:.*$/, ""));
  const set = commandsOf(text)
    .filter((command) => command.startsWith("helm ") && !FOREIGN_CHART.test(command))
    .flatMap((command) => [...command.matchAll(/--set(?:-string)? (\S+)/g)])
    .flatMap(([, pairs]) => pairs!.split(",")).map((pair) => pair.split("=")[0]!);
  const shown = fenced(text, "yaml").flatMap((block) => valuesFile(block)).flatMap((file) =>
    leaves(file, values)
  );
  return [...inline, ...set, ...shown].filter((name) => !exists(name, values))
    .map((name) => `${path} names the chart's value ${name}, which does not exist`);
}

/** A block that is an example of a values file: all its names are those of parts of the chart. */
export function valuesFile(block: string): Values[] {
  const content = yaml.loadAll(block);
  return content.filter((each): each is Values =>
    typeof each === "object" && each !== null && !Array.isArray(each) &&
    Object.keys(each).every((key) => PARTS.test(key))
  );
}

/** Paths of a file's values, down to where the chart has no names of its own. */
function leaves(file: Values, values: Values, before = ""): string[] {
  return Object.entries(file).flatMap(([key, value]) => {
    const path = before + key;
    const known = values[key];
    return isNested(known) && isNested(value) ? leaves(value, known, `${path}.`) : [path];
  });
}

function isNested(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    Object.keys(value).length > 0;
}

/** Below an empty map anything may be named: labels, annotations, selectors. */
function exists(path: string, values: Values): boolean {
  let at: unknown = values;
  for (const key of path.split(".")) {
    if (typeof at !== "object" || at === null || Array.isArray(at)) return false;
    if (Object.keys(at).length === 0) return true;
    if (!(key in at)) return false;
    at = (at as Values)[key];
  }
  return true;
}
