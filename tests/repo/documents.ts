/**
 * The documents as the rules look at them, and the rules as functions from one document to its violations: links lead
 * somewhere, and what a document names (files, flags, variables, metrics, events) exists under that name.
 *
 * @module
 */
import { METRICS } from "../../lib/base/metrics.ts";
import { settingRows } from "../../lib/config/settings.ts";
import { PROCESS_METRICS } from "../../lib/ops/prometheus.ts";

/** One Markdown document. */
export interface Document {
  /** Relative to the root, with slashes. */
  readonly path: string;
  /** Its content. */
  readonly text: string;
}

/** The documents in the root, the chart's README and everything under `docs`, sorted by path. */
export async function documents(root: URL): Promise<readonly Document[]> {
  const paths = ["helm/buildkitd-stack/README.md"];
  for (const folder of ["", "docs/", "docs/examples/"]) {
    for await (const { name } of Deno.readDir(new URL(`./${folder}`, root))) {
      if (name.endsWith(".md")) paths.push(`${folder}${name}`);
    }
  }
  return await Promise.all(
    paths.sort().map(async (path) => ({ path, text: await Deno.readTextFile(new URL(path, root)) })),
  );
}

/** A block of code between fences, which may be indented as part of a list. */
const FENCED = /^( *)```(\w*)\n([\s\S]*?)^\1```$/gm;

/** The blocks of code between fences that are marked as `language`, or all, without their indentation. */
export function fenced(text: string, language?: string): string[] {
  return [...text.matchAll(FENCED)]
    .filter(([, , marked]) => language === undefined || marked === language)
    .map(([, indent, , content]) => content!.replaceAll(new RegExp(`^${indent}`, "gm"), ""));
}

/** The anchors that GitHub makes of a document's headings. */
export function anchorsOf(text: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  const prose = text.replace(FENCED, "");
  for (const [, title] of prose.matchAll(/^#{1,6} (.+)$/gm)) {
    const slug = title!.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replace(/\s/g, "-");
    let anchor = slug;
    for (let n = 1; anchors.has(anchor); n++) anchor = `${slug}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** Links to files of the repository, or to headings, that are not there. */
export function linkViolations(
  { path, text }: Document,
  all: readonly Document[],
  exists: (path: string) => boolean,
): string[] {
  return [...text.matchAll(/\]\(([^()\s]+)\)/g)].map(([, target]) => target!)
    .filter((target) => !/^[a-z]+:/.test(target))
    .flatMap((target) => {
      const url = new URL(target, `file:///${path}`);
      const file = url.pathname.slice(1);
      if (!exists(file)) return [`${path} links to ${target}, which does not exist`];
      const found = all.find((each) => each.path === file);
      const anchor = url.hash.slice(1);
      if (anchor === "" || found === undefined || anchorsOf(found.text).has(anchor)) return [];
      return [`${path} links to ${target}, which has no such heading`];
    });
}

/** Files and folders that are named in code but are not there. */
export function pathViolations({ path, text }: Document, exists: (path: string) => boolean): string[] {
  return codeIn(text).flatMap((code) => code.match(/(?<![\w./-])(?:lib|tests|docs)\/[\w./-]*\w/g) ?? [])
    .filter((named) => !exists(named)).map((named) => `${path} names ${named}, which does not exist`);
}

/** Flags of other programs, flags that are no settings, and a mistake that a document shows. */
const OTHER_FLAGS = [
  ...["--type", "--replicas", "--watch", "--cascade", "--all-namespaces", "--previous", "--overwrite"], // kubectl
  ...["--set", "--values", "--install", "--reuse-values", "--reset-then-reuse-values", "--reset-values"], // helm
  ...["--force-conflicts", "--logs"],
  ...["--driver", "--append", "--bootstrap", "--platform", "--target", "--push", "--load", "--output"], // buildx
  ...["--export-cache", "--import-cache"], // buildctl
  ...["--tlscert", "--tlskey", "--tlscacert"], // buildkitd
  ...["--http", "--fail-with-body", "--cacert", "--cert", "--key"], // curl; the first is the start of "--http1.1"
  ...["--entrypoints", "--tcp-services-configmap"], // ingress controllers
  ...["--allow", "--registry"], // tilt
  ...["--minify", "--no-fallback", "--compiled", "--allow-all"], // deno, and tasks of this repository
  ...["--write", "--gate"],
  ...["--file", "--sample", "--id"],
  ...["--help", "--version", "--stub", "--laptop"],
  "--idle-timout",
];

/** Names that are no variables of ours: of the end-to-end suite, and the mistake that is shown. */
const OTHER_VARIABLES = ["AUTOSCALER_BIN", "AUTOSCALER_READYNESS"];

/** What a command line begins with whose flags are ours. */
const OURS = /^(?:deno task start|buildkitd-autoscaler|(?:\.\/)?dist\/buildkitd-autoscaler)\b/;

/** Flags and variables that are named in code but do not exist. */
export function settingViolations({ path, text }: Document): string[] {
  const flags = new Set<string>([...settingRows().map(([, { flag }]) => flag), ...OTHER_FLAGS]);
  const variables = new Set<string>([
    ...settingRows().map(([, { variable }]) => variable),
    ...OTHER_VARIABLES,
  ]);
  const ours = [...inlineCode(text), ...commandsOf(text).filter((command) => OURS.test(command))];
  return [
    ...ours.flatMap((code) => code.match(/(?<![\w-])--[a-z][a-z-]*[a-z]/g) ?? [])
      .filter((flag) => !flags.has(flag)),
    ...codeIn(text).flatMap((code) => code.match(/\bAUTOSCALER_[A-Z_]*[A-Z]\b/g) ?? [])
      .filter((name) => !variables.has(name)),
  ].map((name) => `${path} names ${name}, which does not exist`);
}

/**
 * The command lines of blocks for a shell, and those after `$` in blocks that show output: continued lines joined,
 * without comments, assignments before them and `sudo`.
 */
export function commandsOf(text: string): string[] {
  const shown = fenced(text, "text").flatMap((block) => block.match(/^\$ .*(?:\\\n.*)*/gm) ?? []);
  return [...fenced(text, "sh"), ...shown.map((line) => line.slice(2))]
    .flatMap((block) => block.replace(/\\\n\s*/g, " ").split("\n"))
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim().replace(/^(?:sudo |[A-Z_]+=\S* )+/, ""))
    .filter((line) => line !== "");
}

/** Metrics that are named but do not exist. */
export function metricViolations({ path, text }: Document): string[] {
  const known = new Set([...Object.keys(METRICS), ...Object.keys(PROCESS_METRICS)]);
  return [...text.matchAll(/\bbuildkitd_autoscaler_\w+/g)].map(([name]) => name)
    .filter((name) => !known.has(name) && !known.has(name.replace(/_(?:bucket|sum|count)$/, "")))
    .map((name) => `${path} names the metric ${name}, which does not exist`);
}

/**
 * Messages of the program in the document that no source has any more. A message is code of several words that is no
 * command. It is looked up in parts, because the code puts names and numbers in.
 */
export function messageViolations({ path, text }: Document, sources: string): string[] {
  // What stands in several strings or lines, in one.
  const code = sources.replace(/["'`] \+\s+["'`]/g, "").replace(/\s+/g, " ");
  const messages = inlineCode(text).map((message) => message.replace(/\s+/g, " "))
    .filter((message) => / .* /.test(message) && !/^(?:kubectl|curl|helm|deno) /.test(message));
  if (messages.length === 0) return [`${path} has no messages`];
  return messages.flatMap((message) => partsOf(message).filter((part) => !isIn(part, code)))
    .map((part) => `${path} shows the message "${part}", which no source has`);
}

/** The first or the last word may be a value. */
function isIn(part: string, code: string): boolean {
  return [part, part.replace(/^\S+ /, ""), part.replace(/ \S+$/, "")].some((each) => code.includes(each));
}

/** Runs of words, without quoted values, numbers and marks. */
function partsOf(message: string): string[] {
  return message.replace(/\([^()]*\)|\[[^\]]*\]/g, "|").replace(/"[^"]*"/g, "|").split(/[|:;,…]|\d+/)
    .map((part) => part.trim()).filter((part) => part.split(" ").length >= 4);
}

/** Everything between backticks, blocks included. */
function codeIn(text: string): string[] {
  return [...fenced(text), ...inlineCode(text)];
}

/** What stands between single backticks. */
export function inlineCode(text: string): string[] {
  return [...text.replace(FENCED, "").matchAll(/`([^`]+)`/g)].map(([, content]) => content!);
}
