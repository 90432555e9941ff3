/**
 * Runs the end-to-end suite: builds the real programs, makes a place where they can do no harm, runs the tests there.
 *
 *     deno run -A tests/e2e/run.ts [--compiled] [FILE_OR_FLAG_OF_DENO_TEST...]
 *
 * With `--compiled` the tests start the compiled program instead of the sources.
 *
 * The place is a network, mount and process namespace: nothing that runs there reaches the machine's network, and
 * when its first process ends, in whatever way, the kernel ends all others and drops their mounts. Its `lo` carries
 * 10.99.0.0/16, since EndpointSlices refuse loopback addresses. (`ip netns exec` is not used: it hides the cgroup
 * mounts, which runc needs.) `/run` is empty, for a service account's files
 * and the state of runc. Needs root. Exits with the code of `deno test`, and never with 0 unless tests ran.
 *
 * @module
 */

import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../.ci/commands.ts";
import { removeCgroups } from "./cgroups.ts";
import { ensureBaseImages } from "./image/base_images.ts";
import { ensureBuilt, FAMILY_NAMES, type FamilyName, NODE_FAMILIES } from "./tools.ts";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "..", "..");

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
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
  const named = forTests.some((arg) => arg.endsWith(".ts"));
  const args = named
    ? forTests.map((arg) => arg.endsWith(".ts") ? resolve(arg) : arg)
    : [...forTests, ...await testFiles()];
  if (args.some((arg) => NEED_BASE_IMAGES.some((name) => arg.endsWith(`/${name}`)))) {
    await ensureBaseImages(busybox, say);
  }
  // Inside there is no network: what the sources import must be in the cache before.
  const cached = await new Deno.Command(Deno.execPath(), {
    args: ["cache", "--frozen", join(ROOT, "main.ts"), ...await testFiles()],
  }).output();
  if (!cached.success) throw new Error(new TextDecoder().decode(cached.stderr));

  // Short: buildkitd refuses paths of sockets above 104 characters.
  const folder = await Deno.makeTempDir({ prefix: "autoscaler-e2e-" });
  const script =
    `mount -t tmpfs tmpfs /run && ip link set lo up && ip addr add 10.99.0.1/16 dev lo && "$@"; exit $?`;
  const child = new Deno.Command("unshare", {
    args: [
      ...["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"],
      ...["sh", "-c", script, "sh", Deno.execPath(), "test", "-A", "--no-check", "--cached-only", ...args],
    ],
    cwd: ROOT,
    env: { ...program, E2E_SURROUNDINGS: JSON.stringify({ folder, programs }) },
  }).spawn();
  const stop = () => child.kill("SIGKILL");
  const signals: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) Deno.addSignalListener(signal, stop);
  try {
    return (await child.status).code;
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, stop);
    await removeCgroups(basename(folder));
    if (Deno.env.get("E2E_KEEP") === undefined) await Deno.remove(folder, { recursive: true });
    else say(`kept ${folder}`);
  }
}

Deno.exit(await main());
