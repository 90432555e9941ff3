/**
 * Compiles the program to one file that needs nothing else, in `dist/`:
 *
 *     deno task compile [--commit=SHA] [--no-fallback] [--help] [TARGET...]
 *
 * Without a target it is for this machine. The sources are bundled first, with the commit put into the copy of
 * `deno.json` that the program reads its version from: to one file for what every command needs, and one for each part
 * that is loaded on demand. These are compiled with the permissions and flags of the `start` task. What was compiled
 * for this machine has to run and to tell its version and commit; what is for another one has to be a program for that
 * one with this bundle in it. Otherwise nothing is left in `dist/`.
 *
 * `deno compile` downloads a base runtime for the target. Where that cannot be had, an older Deno compiles, and this
 * is said; with `--no-fallback` it is an error. Exit codes: 0 done, 1 failed, 2 wrong usage.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { exists, run } from "./commands.ts";
import { ensureOlderDeno, OLDER_DENO, OLDER_TARGETS } from "./older_deno.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const PROGRAM = "buildkitd-autoscaler";

/** A machine that Deno can compile for. */
interface Target {
  /** As Deno calls it. */
  readonly triple: string;
  /** The first bytes of its programs, and for ELF the machine's number. */
  readonly starts: (bytes: Uint8Array) => boolean;
}

/** By the name in the file's name. */
export const TARGETS: Readonly<Record<string, Target>> = {
  "linux-amd64": { triple: "x86_64-unknown-linux-gnu", starts: elf(0x3e) },
  "linux-arm64": { triple: "aarch64-unknown-linux-gnu", starts: elf(0xb7) },
  "darwin-amd64": { triple: "x86_64-apple-darwin", starts: machO(0x01000007) },
  "darwin-arm64": { triple: "aarch64-apple-darwin", starts: machO(0x0100000c) },
  "windows-amd64": {
    triple: "x86_64-pc-windows-msvc",
    starts: (bytes) => bytes[0] === 0x4d && bytes[1] === 0x5a,
  },
};

function elf(machine: number): Target["starts"] {
  return (bytes) => new DataView(bytes.buffer).getUint32(0) === 0x7f454c46 && bytes[18] === machine;
}

function machO(machine: number): Target["starts"] {
  return (bytes) => {
    const view = new DataView(bytes.buffer);
    return view.getUint32(0, true) === 0xfeedfacf && view.getUint32(4, true) === machine;
  };
}

/** A mistake of the caller's. */
class UsageError extends Error {}

/** The sources as few files, in a folder of its own. */
interface Bundle {
  /** `main.js`, and what that imports. */
  readonly folder: string;
  /** The names of these files. */
  readonly files: readonly string[];
  readonly version: string;
  readonly commit: string;
  /** Permissions and flags to compile with. */
  readonly flags: readonly string[];
}

/** Permissions and flags of the `start` task's command. */
export function flagsOf(command: string): readonly string[] {
  return command.split(" ").filter((word) => word.startsWith("--"));
}

/** What the bundler has in the place of a module of Node that it could not resolve for a package in CommonJS. */
const NO_REQUIRE = /Dynamic require of/;

async function bundle(folder: string, commit: string): Promise<Bundle> {
  const config = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json")));
  const source = join(folder, "source");
  await copy("lib", source);
  for (const name of ["main.ts", "deno.lock"]) await copy(name, source);
  await Deno.writeTextFile(join(source, "deno.json"), JSON.stringify({ ...config, commit }));
  const out = join(folder, "app");
  const bundling = ["bundle", "--quiet", "--minify", "--code-splitting", "--outdir", out, "main.ts"];
  await run(Deno.execPath(), bundling, { cwd: source });
  const files: string[] = [];
  for await (const { name } of Deno.readDir(out)) {
    const file = join(out, name);
    files.push(name);
    rejectBadBundle(await Deno.readTextFile(file));
    // The file's time goes into the program: with a fixed one the same sources always give the same program.
    await Deno.utime(file, 0, 0);
  }
  return { folder: out, files, version: config.version, commit, flags: flagsOf(config.tasks.start.command) };
}

/**
 * One arrow, or any other character beyond Latin-1, and V8 keeps the whole file with two bytes a character, for as long
 * as the program runs. The bundler escapes what is beyond ASCII in strings, but not in tagged templates. And Deno gives
 * packages in CommonJS a `require` for modules of Node, but finds the place for it by a pattern that some minified names
 * may not fit.
 */
export function rejectBadBundle(text: string): void {
  if (NO_REQUIRE.test(text)) {
    throw new Error(
      "Found a package in the bundle that could not load modules of Node: its require() throws",
    );
  }
  const found = /.{0,30}[^\0-\x7f].{0,30}/.exec(text)?.[0];
  if (found !== undefined) {
    throw new Error(
      `Found a character beyond ASCII in the bundle, at "${found}": move it out of the tagged template, or, in a dependency, escape it`,
    );
  }
}

async function copy(name: string, to: string): Promise<void> {
  const path = join(ROOT, name);
  await Deno.mkdir(dirname(join(to, name)), { recursive: true });
  if ((await Deno.stat(path)).isFile) return await Deno.copyFile(path, join(to, name));
  for await (const entry of Deno.readDir(path)) await copy(join(name, entry.name), to);
}

/** Compiles `main.js` with this Deno, or else with the older one; gives the version of the base runtime. */
export async function compile(
  bundle: Pick<Bundle, "folder" | "flags">,
  triple: string,
  output: string,
  fallback: boolean,
): Promise<string> {
  const args = [
    ...["compile", "--quiet", "--no-config", "--no-lock", "--no-check", "--no-code-cache", ...bundle.flags],
    // By default a program may import code from a few public places.
    "--deny-import",
    ...["--target", triple, "--output", output, "main.js"],
  ];
  const cwd = bundle.folder;
  try {
    await run(Deno.execPath(), args, { cwd });
    return Deno.version.deno;
  } catch (error) {
    if (await hasBaseRuntime(triple)) throw error;
    const problem = `Cannot download the base runtime of Deno ${Deno.version.deno} for ${triple}`;
    if (!fallback || !OLDER_TARGETS.includes(triple)) {
      throw new Error(`${problem}: ${(error as Error).message}`, { cause: error });
    }
    const older = await ensureOlderDeno().catch((cause) => {
      throw new Error(`${problem}, nor an older Deno: ${cause.message}`, { cause });
    });
    complain(
      `${problem}: this program runs on Deno ${OLDER_DENO}. It cannot serve TLS to clients (--tls-listen-addr), which ` +
        `needs Deno 2.9 or later: do not release it`,
    );
    await run(older.deno, args, { cwd, env: { DENO_DIR: older.denoDir } });
    return OLDER_DENO;
  }
}

/** Whether Deno has downloaded the base runtime that it wanted. */
async function hasBaseRuntime(triple: string): Promise<boolean> {
  const { denoDir } = JSON.parse(await run(Deno.execPath(), ["info", "--json"]));
  return await exists(join(denoDir, "dl", "release", `v${Deno.version.deno}`, `denort-${triple}.zip`));
}

const NO_SUCH_FILE = "/there/is/no/such/kubeconfig";

/**
 * Looks at what was compiled, since a compiler that ends with 0 may have made something else, and gives what to say of
 * it: run if it is for this machine.
 *
 * @throws Error unless it is the program for `target` with this version and commit
 */
export async function check(
  path: string,
  target: Target,
  { version, commit }: Pick<Bundle, "version" | "commit">,
  runtime: string,
): Promise<string> {
  const cannot = `Cannot use what was compiled for ${target.triple}`;
  if (target.triple === Deno.build.target) {
    const found = (await run(path, ["version"])).trim();
    const wanted = `${PROGRAM} ${version} (commit ${commit}, deno ${runtime}, ${target.triple})`;
    if (found !== wanted) throw new Error(`${cannot}: it says "${found}", want "${wanted}"`);
    // A start loads nearly all there is before it looks for credentials.
    const { code, stderr } = await new Deno.Command(path, { args: ["--kubeconfig", NO_SUCH_FILE] }).output();
    const said = new TextDecoder().decode(stderr);
    if (code !== 2 || !said.includes(NO_SUCH_FILE)) {
      throw new Error(`${cannot}: want it to start and miss "${NO_SUCH_FILE}", but it says "${said.trim()}"`);
    }
    return found;
  }
  const bytes = await Deno.readFile(path);
  if (!target.starts(bytes)) throw new Error(`${cannot}: found a program for another machine`);
  if (!new TextDecoder("latin1").decode(bytes).includes(`"${commit}"`)) {
    throw new Error(`${cannot}: found no bundle of the commit ${commit} in it`);
  }
  return `for ${target.triple}, with deno ${runtime}; not run, since this is ${Deno.build.target}`;
}

/**
 * Every file of the bundle is in the program: one that is loaded on demand would be missed only then.
 *
 * @throws Error that names one that is not
 */
export async function rejectMissingFiles(
  path: string,
  { folder, files }: Pick<Bundle, "folder" | "files">,
): Promise<void> {
  // As text, which is searched a hundred times as fast as bytes. The files have none beyond ASCII.
  const program = new TextDecoder("latin1").decode(await Deno.readFile(path));
  for (const name of files) {
    if (program.includes(await Deno.readTextFile(join(folder, name)))) continue;
    throw new Error(`Cannot use what was compiled: found no "${name}" of the bundle in it`);
  }
}

/** The checkout's commit, marked if files differ from it. */
async function commitOfCheckout(): Promise<string> {
  try {
    const commit = await run("git", ["rev-parse", "--short=12", "HEAD"], { cwd: ROOT });
    const changed = await run("git", ["status", "--porcelain", "--untracked-files=no"], { cwd: ROOT });
    return commit.trim() + (changed === "" ? "" : "-dirty");
  } catch (error) {
    throw new UsageError(`Cannot tell the commit: name it with --commit=SHA (${(error as Error).message})`);
  }
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

function complain(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}

function fileName(name: string): string {
  return `${PROGRAM}-${name}${name.startsWith("windows-") ? ".exe" : ""}`;
}

/** What `--help` prints. */
export const USAGE = `Usage: deno task compile [--commit=SHA] [--no-fallback] [TARGET...]

Compiles the program to one file that needs nothing else, in dist/: for this
machine, or for each TARGET: ${Object.keys(TARGETS).slice(0, 3).join(", ")},
${Object.keys(TARGETS).slice(3).join(", ")}.

  --commit=SHA   what "version" tells, instead of the commit of the checkout
  --no-fallback  fail where the base runtime of this Deno cannot be downloaded,
                 instead of taking that of Deno ${OLDER_DENO}, which cannot serve
                 TLS to clients (--tls-listen-addr)
  -h, --help     show this

Exit codes: 0 done, 1 failed, 2 wrong usage.`;

async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = readArguments(args);
  if (values.help) return say(USAGE);
  const own = Object.keys(TARGETS).find((name) => TARGETS[name]!.triple === Deno.build.target);
  const wanted = positionals.length > 0
    ? positionals.map((name) => [name, fileName(name)] as const)
    : [[own ?? Deno.build.target, Deno.build.os === "windows" ? `${PROGRAM}.exe` : PROGRAM] as const];
  const unknown = wanted.map(([name]) => name).filter((name) => TARGETS[name] === undefined);
  if (unknown.length > 0) {
    throw new UsageError(`Cannot compile for "${unknown[0]}": want ${Object.keys(TARGETS).join(", ")}`);
  }
  const commit = values.commit ?? await commitOfCheckout();
  const folder = await Deno.makeTempDir({ prefix: `${PROGRAM}-compile-` });
  try {
    const bundled = await bundle(folder, commit);
    await Deno.mkdir(join(ROOT, "dist"), { recursive: true });
    for (const [name, file] of wanted) {
      const target = TARGETS[name]!;
      const made = join(folder, file);
      const runtime = await compile(bundled, target.triple, made, !values["no-fallback"]);
      await rejectMissingFiles(made, bundled);
      const verdict = await check(made, target, bundled, runtime);
      // Beside its place first: a program that runs from there may not be written to, but may be replaced.
      const beside = join(ROOT, "dist", `.${file}`);
      await Deno.copyFile(made, beside);
      await Deno.rename(beside, join(ROOT, "dist", file));
      say(`dist/${file}: ${verdict}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function readArguments(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        "commit": { type: "string" },
        "no-fallback": { type: "boolean", default: false },
        "help": { type: "boolean", short: "h", default: false },
      },
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\nSee "deno task compile --help"`);
  }
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    complain((error as Error).message);
    Deno.exit(error instanceof UsageError ? 2 : 1);
  }
}
