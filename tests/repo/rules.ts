/**
 * The rules of the repository as functions from one file to its violations, so that each can be shown to find one.
 *
 * @module
 */
import ts from "typescript";
import { codeOnly, importsOf, type SourceFile } from "./source.ts";

/** The layers, lowest first: a file imports only from its own or a lower one. */
export const LAYERS = [
  "base",
  "config",
  "kube",
  "scaler",
  "ha",
  "target",
  "route",
  "entrance",
  "proxy",
  "ops",
  "check",
] as const;

/** Files that may touch the outside, each with its reason. Everything else takes it through a port. */
export const OUTSIDE: ReadonlyMap<string, string> = new Map([
  ["main.ts", "arguments, environment, standard streams, exit code"],
  ["lib/signals.ts", "signals, and the exit when the program does not end after the second"],
  ["lib/base/clock.ts", "the machine's clocks and timers"],
  ["lib/base/random.ts", "the machine's random source"],
  ["lib/kube/fetch_http.ts", "HTTP by fetch"],
  ["lib/kube/tls_http.ts", "HTTP over node:tls, for what fetch cannot do"],
  ["lib/kube/api_stream.ts", "connections to the API server that become streams"],
  ["lib/kube/node_tls.ts", "TLS under such a stream, for what the runtime's own cannot do"],
  ["lib/kube/valve.ts", "the socket under node:tls"],
  ["lib/kube/machine.ts", "files, environment and child processes that credentials come from"],
  ["lib/entrance/tls_server.ts", "the runtime's TLS, on connections that were accepted already"],
  ["lib/entrance/tls_conn.ts", "the type of a TLS connection of the runtime"],
  ["lib/proxy/deno_network.ts", "TCP sockets"],
  ["lib/proxy/deno_tls.ts", "TLS on them, by the runtime and by node:tls"],
  ["lib/proxy/older_tls.ts", "the same by older runtimes"],
  ["lib/ops/descriptors.ts", "how many files may be opened"],
  ["lib/ops/process_facts.ts", "the process's memory and CPU time"],
]);

/** What reaches outside. `Deno.errors` are only classes. */
const OUTSIDE_GLOBALS =
  /\bDeno\.(?!errors\b)\w+|\bnew Date\(\)|\bDate\.now\b|\bMath\.random\b|(?<![.\w])(?:fetch|setTimeout|setInterval|setImmediate|queueMicrotask|crypto|performance|process|prompt|alert|confirm|localStorage|WebSocket|Worker|EventSource)\s*[.(]|\bnew (?:WebSocket|Worker|EventSource|BroadcastChannel)\b|\bAbortSignal\.timeout\b|(?<!\.)\brandom(?:UUID|Bytes|Int|FillSync)\b/g;

/** Modules of Node that reach outside. */
const OUTSIDE_MODULES =
  /^node:(?:fs|net|tls|http|https|http2|dns|dgram|child_process|process|os|timers|worker_threads|perf_hooks)\b/;

/** Imports that go up in the layers, or to where nothing of `lib` may go. */
export function layerViolations(file: SourceFile): string[] {
  const from = layerOf(file.path);
  if (from === undefined) return [];
  return importsOf(file.text).flatMap((specifier) => {
    if (!specifier.startsWith(".")) return [];
    const target = new URL(specifier, `file:///${file.path}`).pathname.slice(1);
    const to = layerOf(target);
    if (to === undefined) {
      return target === "deno.json"
        ? []
        : [`${file.path} imports ${target}, which is no part of the program`];
    }
    return to <= from ? [] : [`${file.path} imports ${target} of a higher layer`];
  });
}

/** A function of more lines than this needs scrolling. */
const LONGEST_FUNCTION_LINES = 70;

/** Functions of the program that are too long to be seen as a whole. */
export function longFunctionViolations({ path, text }: SourceFile): string[] {
  if (path !== "main.ts" && !path.startsWith("lib/")) return [];
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const lineOf = (at: number) => source.getLineAndCharacterOfPosition(at).line;
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && "body" in node && node.body !== undefined) {
      const lines = lineOf(node.end) - lineOf(node.getStart()) + 1;
      const name = node.name?.getText() ?? "a function";
      if (lines > LONGEST_FUNCTION_LINES) {
        found.push(`${path}: ${name} has ${lines} lines, want at most ${LONGEST_FUNCTION_LINES}`);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** Circles of imports, at least one of each knot, types included: whoever reads one file of it has to read them all. */
export function importCycles(files: readonly SourceFile[]): string[] {
  const imports = new Map(files.map(({ path, text }) => [
    path,
    importsOf(text).filter((specifier) => specifier.startsWith("."))
      .map((specifier) => new URL(specifier, `file:///${path}`).pathname.slice(1)),
  ]));
  const done = new Set<string>();
  const cycles: string[] = [];
  const walk = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) cycles.push([...way.slice(way.indexOf(path)), path].join(" -> "));
    else if (!done.has(path)) {
      for (const target of imports.get(path) ?? []) walk(target, [...way, path]);
      done.add(path);
    }
  };
  for (const path of imports.keys()) walk(path, []);
  return cycles;
}

/** Where sessions may look for pods: nothing that they use knows of counts, promises or other proxies. */
const FOR_SESSIONS = ["lib/target/seats.ts", "lib/target/http2_frames.ts"];

/** Sessions that know more of the cluster than their seats. */
export function seatViolations({ path, text }: SourceFile): string[] {
  if (!path.startsWith("lib/proxy/")) return [];
  return importsOf(text).filter((specifier) => specifier.startsWith("."))
    .map((specifier) => new URL(specifier, `file:///${path}`).pathname.slice(1))
    .filter((target) => /^lib\/(?:kube|scaler|ha|target)\//.test(target) && !FOR_SESSIONS.includes(target))
    .map((target) => `${path} imports ${target}: sessions know lib/target/seats.ts only`);
}

/** Files that choose a builder and know more of the cluster than its targets tell them. */
export function routeViolations({ path, text }: SourceFile): string[] {
  if (!path.startsWith("lib/route/")) return [];
  return importsOf(text).filter((specifier) => specifier.startsWith("."))
    .map((specifier) => new URL(specifier, `file:///${path}`).pathname.slice(1))
    .filter((target) => /^lib\/(?:kube|ha)\//.test(target))
    .map((target) => `${path} imports ${target}: routes know targets, and neither the API nor other proxies`);
}

/** A file's place in the layers; the miniature cluster is above the app, the demo above that, and `main.ts` above all. */
function layerOf(path: string): number | undefined {
  if (path === "main.ts") return 103;
  const folder = /^lib\/(?:([^/]+)\/)?/.exec(path);
  if (folder === null) return undefined;
  if (folder[1] === undefined || folder[1] === "app") return 100;
  if (folder[1] === "miniature") return 101;
  if (folder[1] === "demo") return 102;
  const layer = LAYERS.findIndex((name) => name === folder[1]);
  if (layer < 0) {
    throw new Error(`Cannot place ${path}: found no layer "${folder[1]}", want ${LAYERS.join(", ")}`);
  }
  return layer;
}

/** Uses of the outside world in files that are not meant to touch it. The demo and its miniature cluster are free to. */
export function outsideViolations(file: SourceFile): string[] {
  if (/^(?:tests|\.ci|lib\/demo|lib\/miniature)\//.test(file.path) || OUTSIDE.has(file.path)) return [];
  return outsideUses(file).map((use) => `${file.path} uses ${use}: take it through a port`);
}

/** What of the outside world a file uses. */
export function outsideUses(file: SourceFile): string[] {
  const globals = [...codeOnly(file.text).matchAll(OUTSIDE_GLOBALS)].map(([use]) =>
    use.replace(/[\s.(]+$/, "")
  );
  return [...globals, ...importsOf(file.text).filter((specifier) => OUTSIDE_MODULES.test(specifier))];
}

/** A file without a module comment at its start. */
export function moduleCommentViolations({ path, text }: SourceFile): string[] {
  const comment = /^\/\*\*([\s\S]*?)\*\//.exec(text)?.[1] ?? "";
  const words = comment.replace(/@module|[*\s]+/g, " ").trim();
  return comment.includes("@module") && words.length >= 10
    ? []
    : [`${path} does not start with a module comment`];
}

/** Imports from where the build cannot or should not fetch. */
export function importViolations({ path, text }: SourceFile): string[] {
  return importsOf(text).filter((specifier) => /^(?:jsr|npm|https?):/.test(specifier))
    .map((specifier) => `${path} imports "${specifier}": name it in deno.json, from npm`);
}

/** What does not work in every Deno that the program is compiled with, or not reliably in any; tests hang on it as well. */
export function runtimeViolations({ path, text }: SourceFile): string[] {
  return /\bAbortSignal\.any\b/.test(codeOnly(text)) ? [`${path} uses AbortSignal.any: use anySignal()`] : [];
}

/** Output that bypasses the log. */
export function consoleViolations({ path, text }: SourceFile): string[] {
  if (path.startsWith("tests/")) return [];
  return /\bconsole\s*[.[]/.test(codeOnly(text)) ? [`${path} uses console: use the log`] : [];
}

/** Tests that do not run, or keep others from running. */
export function skippedTestViolations({ path, text }: SourceFile): string[] {
  if (!path.startsWith("tests/")) return [];
  const found = /\b(?:test|it|describe|step)\.(?:only|ignore|skip)\b|\b(?:only|ignore)\s*:/.exec(
    codeOnly(text),
  );
  return found === null ? [] : [`${path} has a test with "${found[0]}"`];
}

/** Names in `imports` of deno.json that do not pin one version. */
export function pinViolations(imports: Readonly<Record<string, string>>): string[] {
  return Object.entries(imports)
    .filter(([, target]) => !/^npm:(?:@[\w.-]+\/)?[\w.-]+@\d+\.\d+\.\d+$/.test(target))
    .map(([name, target]) => `deno.json maps "${name}" to "${target}": want npm: and one exact version`);
}
