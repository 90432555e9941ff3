/**
 * The gate: format, lint, types, documentation, then all tests that need nothing but this checkout. Prints what ran as
 * its last line, `N passed, N failed`, in which each of the first steps counts as one; exits with 1 when something
 * failed. Everything is started through the running Deno, which need not be on PATH.
 *
 * @module
 */
import { sourceFiles } from "./repo/source.ts";

/** What ran. */
export interface Tally {
  /** Tests and steps that passed. */
  readonly passed: number;
  /** Those that failed. */
  readonly failed: number;
}

/** Folders of tests, in the order in which they say the most the soonest. */
const FOLDERS = ["unit", "property", "exhaustive", "repo", "simulation", "integration"];

const ROOT = new URL("../", import.meta.url);

/**
 * The outcome of `deno test` by its output and exit code. A test that was passed over counts as failed; so does, as one, a
 * run that failed otherwise than by a test, or that had none.
 */
export function tallyOf(output: string, success: boolean): Tally {
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\u001b\[[0-9;]*m/g, "");
  const summary = [
    ...plain.matchAll(/^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed(?: \| (\d+) ignored)?/gm),
  ]
    .at(-1);
  const [passed, failed, ignored] = [1, 2, 3].map((group) => Number(summary?.[group] ?? 0)) as [
    number,
    number,
    number,
  ];
  const left = failed + ignored;
  return { passed, failed: left > 0 || (success && passed > 0) ? left : 1 };
}

/** Runs Deno with its output passed on, and kept. */
async function runDeno(
  args: readonly string[],
): Promise<{ readonly success: boolean; readonly output: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const decoder = new TextDecoder();
  let output = "";
  for await (const chunk of child.stdout) {
    output += decoder.decode(chunk, { stream: true });
    await say(chunk);
  }
  return { success: (await child.status).success, output };
}

async function say(what: string | Uint8Array): Promise<void> {
  const bytes = typeof what === "string" ? new TextEncoder().encode(what) : what;
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await Deno.stdout.write(rest));
}

async function main(): Promise<number> {
  const library = (await sourceFiles(ROOT)).filter(({ path }) => path.startsWith("lib/")).map(({ path }) =>
    path
  );
  const steps: readonly (readonly [string, readonly string[]])[] = [
    ["format", ["fmt", "--check", "--quiet"]],
    ["lint", ["lint", "--quiet"]],
    ["types", ["check", "--quiet"]],
    ["documentation", ["doc", "--lint", "--quiet", ...library, "main.ts"]],
  ];
  let passed = 0;
  let failed = 0;
  for (const [name, args] of steps) {
    const { success } = await runDeno(args);
    await say(`${success ? "ok" : "FAILED"}: ${name}\n`);
    if (success) passed += 1;
    else failed += 1;
  }
  const present = [...Deno.readDirSync(new URL("tests/", ROOT))].map(({ name }) => name);
  const folders = FOLDERS.filter((name) => present.includes(name)).map((name) => `tests/${name}/`);
  const { success, output } = await runDeno(["test", "--allow-all", "--no-check", ...folders]);
  const tests = tallyOf(output, success);
  passed += tests.passed;
  failed += tests.failed;
  await say("not run here, since they need Go: deno task chart, deno task e2e\n");
  await say(`${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
