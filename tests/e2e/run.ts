/**
 * Runs the end-to-end suite: builds the real programs, makes a place where they can do no harm, runs the tests there.
 *
 *     deno run -A tests/e2e/run.ts [--compiled] [FILE_OR_FLAG_OF_DENO_TEST...]
 *
 * With `--compiled` the tests start the compiled program instead of the sources.
 *
 * Each file has a place of its own: a network, mount and process namespace. Nothing that runs there reaches the machine's
 * network, and when its first process ends, in whatever way, the kernel ends all others and drops their mounts. Its `lo`
 * carries 10.99.0.0/16, since EndpointSlices refuse loopback addresses. (`ip netns exec` is not used: it hides the cgroup
 * mounts, which runc needs.) `/run` is empty, for a service account's files and the state of runc. The tests mostly wait, so two
 * files run beside each other, and what a file prints is shown when it has ended.
 *
 * Needs root. Prints what ran as its last line, `N passed, N failed`, and exits with 1 when something failed or no test ran.
 *
 * @module
 */

import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../.ci/commands.ts";
import { concat } from "../../lib/base/bytes.ts";
import { type Tally, tallyOf } from "../run.ts";
import { removeCgroups } from "./cgroups.ts";
import { ensureBaseImages } from "./image/base_images.ts";
import { ensureBuilt, FAMILY_NAMES, type FamilyName, NODE_FAMILIES } from "./tools.ts";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "..", "..");

/** How many files run at a time. */
const LANES = 2;

function say(line: string): void {
  sayBytes(new TextEncoder().encode(`${line}\n`));
}

function sayBytes(bytes: Uint8Array): void {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(Deno.stdout.writeSync(rest));
}

/** The path of a program of the machine, or an error that says what to install. */
async function find(program: string, debianPackage: string): Promise<string> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    const path = join(folder, program);
    try {
      if ((await Deno.stat(path)).isFile) return path;
    } catch {
      // Not in this folder.
    }
  }
  throw new Error(`Cannot find "${program}" on PATH: install it (Debian package "${debianPackage}")`);
}

/** The path of the library that the Debian package "faketime" has for this machine. */
async function findLibrary(name: string): Promise<string> {
  for await (const { name: triplet } of Deno.readDir("/usr/lib")) {
    const path = join("/usr/lib", triplet, "faketime", name);
    if (await Deno.stat(path).then(({ isFile }) => isFile, () => false)) return path;
  }
  throw new Error(`Cannot find "${name}" below /usr/lib: install it (Debian package "faketime")`);
}

async function isStatic(path: string): Promise<boolean> {
  const bytes = await Deno.readFile(path);
  return !new TextDecoder("latin1").decode(bytes).includes("/ld-linux");
}

async function testFiles(): Promise<string[]> {
  const files = (await Array.fromAsync(Deno.readDir(HERE))).map((entry) => entry.name);
  return files.filter((name) => name.endsWith("_test.ts")).sort().map((name) => join(HERE, name));
}

/** Compiles the checkout's program, and gives its path. */
async function compileProgram(): Promise<string> {
  say((await run(Deno.execPath(), ["run", "--allow-all", join(ROOT, ".ci", "compile.ts")])).trim());
  return join(ROOT, "dist", "buildkitd-autoscaler");
}

/** Test files that build the Dockerfile. */
const NEED_BASE_IMAGES = ["image_test.ts", "readme_test.ts", "release_workflow_test.ts"];

async function main(): Promise<number> {
  if (Deno.uid() !== 0) throw new Error("Cannot make namespaces: the end-to-end suite needs root");
  await find("unshare", "util-linux");
  await find("ip", "iproute2");
  await find("runc", "runc");
  await find("git", "git");
  await find("jq", "jq");
  const busybox = await find("busybox", "busybox-static");
  if (!await isStatic(busybox)) {
    throw new Error(
      `Cannot build images from "${busybox}": found a dynamic program, want that of "busybox-static"`,
    );
  }
  await find("faketime", "faketime");
  const programs: Record<string, string> = {
    busybox,
    libfaketime: await findLibrary("libfaketime.so.1"),
    "qemu-aarch64-static": await find("qemu-aarch64-static", "qemu-user-static"),
    prometheus: await find("prometheus", "prometheus"),
  };
  const ofNodes: readonly FamilyName[] = NODE_FAMILIES;
  for (const family of FAMILY_NAMES.filter((name) => !ofNodes.includes(name))) {
    const bin = await ensureBuilt(family, say);
    for (const { name } of Deno.readDirSync(bin)) programs[name] = join(bin, name);
  }
  const compiled = await compileProgram();
  programs["buildkitd-autoscaler"] = compiled;

  const forTests = Deno.args.filter((arg) => arg !== "--compiled");
  const program = forTests.length < Deno.args.length ? { AUTOSCALER_BIN: compiled } : {};
  const flags = forTests.filter((arg) => !arg.endsWith(".ts"));
  const named = forTests.filter((arg) => arg.endsWith(".ts")).map((arg) => resolve(arg));
  const files = named.length > 0 ? named : await testFiles();
  if (files.some((file) => NEED_BASE_IMAGES.includes(basename(file)))) await ensureBaseImages(busybox, say);
  // Inside there is no network: what the sources import must be in the cache before.
  const cached = await new Deno.Command(Deno.execPath(), {
    args: ["cache", "--frozen", join(ROOT, "main.ts"), ...await testFiles()],
  }).output();
  if (!cached.success) throw new Error(new TextDecoder().decode(cached.stderr));

  const stop = new AbortController();
  const signals: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) Deno.addSignalListener(signal, () => stop.abort());
  const total = { passed: 0, failed: 0 };
  const left = files.values();
  const lane = async () => {
    for (const file of left) {
      const { passed, failed } = await runFile(file, flags, programs, program, files.length > 1, stop.signal);
      total.passed += passed;
      total.failed += failed;
      if (stop.signal.aborted) return;
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  say(`${total.passed} passed, ${total.failed} failed`);
  return total.passed > 0 && total.failed === 0 && !stop.signal.aborted ? 0 : 1;
}

/** Runs one file in a place of its own. What it prints is shown at once, or as a whole when it has ended. */
async function runFile(
  file: string,
  flags: readonly string[],
  programs: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>>,
  atItsEnd: boolean,
  signal: AbortSignal,
): Promise<Tally> {
  // Short: buildkitd refuses paths of sockets above 104 characters.
  const folder = await Deno.makeTempDir({ prefix: "autoscaler-e2e-" });
  const script =
    `mount -t tmpfs tmpfs /run && ip link set lo up && ip addr add 10.99.0.1/16 dev lo && "$@" 2>&1; exit $?`;
  try {
    const child = new Deno.Command("unshare", {
      args: [
        ...["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"],
        ...[
          "sh",
          "-c",
          script,
          "sh",
          Deno.execPath(),
          "test",
          "-A",
          "--no-check",
          "--cached-only",
          ...flags,
          file,
        ],
      ],
      cwd: ROOT,
      env: { ...env, E2E_SURROUNDINGS: JSON.stringify({ folder, programs }) },
      stdout: "piped",
    }).spawn();
    const kill = () => child.kill("SIGKILL");
    if (signal.aborted) kill();
    else signal.addEventListener("abort", kill);
    const chunks: Uint8Array[] = [];
    for await (const chunk of child.stdout) {
      chunks.push(chunk);
      if (!atItsEnd) sayBytes(chunk);
    }
    const output = concat(chunks);
    if (atItsEnd) sayBytes(output);
    const { success } = await child.status;
    signal.removeEventListener("abort", kill);
    const tally = tallyOf(new TextDecoder().decode(output), success);
    // A filter may leave nothing of a file.
    const isEmpty = success && tally.passed === 0 && flags.some((flag) => flag.startsWith("--filter"));
    return isEmpty ? { passed: 0, failed: 0 } : tally;
  } finally {
    await removeCgroups(basename(folder));
    if (Deno.env.get("E2E_KEEP") === undefined) await Deno.remove(folder, { recursive: true });
    else say(`kept ${folder}`);
  }
}

Deno.exit(await main());
