/**
 * Deno 2.6.10 with its base runtimes for Linux, for machines that cannot download the base runtime of the Deno that
 * they run. It comes from Python wheels, each pinned by its hash: Deno itself, and a program that was made with `deno
 * compile` and so begins with the base runtime, byte for byte.
 *
 * What was fetched is kept outside of the checkout. Needs Python with pip.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { cacheFolder, digestOf, exists, run } from "./commands.ts";

/** Its version. */
export const OLDER_DENO = "2.6.10";

/** Wheels of Deno by this machine's target: platform and hash. */
const DENO_WHEELS: Readonly<Record<string, readonly [platform: string, sha256: string]>> = {
  "x86_64-unknown-linux-gnu": [
    "manylinux_2_27_x86_64",
    "d1600f4ee7b4a9699b7057841bdb5d7b7eac3fb073df072540064166841c2f4c",
  ],
  "aarch64-unknown-linux-gnu": [
    "manylinux_2_27_aarch64",
    "b98d6fc98a9cbc10219f6c6d6f2a6e10d1954416bbcd4371d317fc9c20050576",
  ],
};

/** Wheels of the compiled program by the target of the base runtime in it. */
const COMPILED = "bids-validator-deno==2.4.1";
const COMPILED_WHEELS: typeof DENO_WHEELS = {
  "x86_64-unknown-linux-gnu": [
    "manylinux_2_28_x86_64",
    "5087fcd13341f529b5404792a74e22f570e50f17e5ea4cabe9c91b1caf74cbf4",
  ],
  "aarch64-unknown-linux-gnu": [
    "manylinux_2_28_aarch64",
    "f09c1e600cae71293ab5ae9ddc30aa56a871463837a020eb23b246fa2024c462",
  ],
};

/** What it can compile for. */
export const OLDER_TARGETS: readonly string[] = Object.keys(COMPILED_WHEELS);

/** Where it lies. */
export interface OlderDeno {
  /** The folder of all of it. */
  readonly folder: string;
  /** The program. */
  readonly deno: string;
  /** The folder to give as `DENO_DIR`, in which the program finds its base runtimes. */
  readonly denoDir: string;
}

/** Fetches it if it was not fetched before. */
export async function ensureOlderDeno(): Promise<OlderDeno> {
  const own = DENO_WHEELS[Deno.build.target];
  if (own === undefined) {
    throw new Error(
      `Cannot compile with Deno ${OLDER_DENO}: found ${Deno.build.target}, want ${
        Object.keys(DENO_WHEELS).join(" or ")
      }`,
    );
  }
  const key = await digestOf(JSON.stringify([own, COMPILED, COMPILED_WHEELS]));
  const folder = cacheFolder(`deno-${OLDER_DENO}-${key}`);
  const place = { folder, deno: join(folder, "deno"), denoDir: join(folder, "deno-dir") };
  if (await exists(folder)) return place;
  await Deno.mkdir(dirname(folder), { recursive: true });
  const making = await Deno.makeTempDir({ dir: dirname(folder), prefix: "fetching-deno-" });
  try {
    await Deno.copyFile(await fetchScript(making, `deno==${OLDER_DENO}`, own), join(making, "deno"));
    await Deno.chmod(join(making, "deno"), 0o755);
    const releases = join(making, "deno-dir", "dl", "release", `v${OLDER_DENO}`);
    await Deno.mkdir(releases, { recursive: true });
    for (const [target, wheel] of Object.entries(COMPILED_WHEELS)) {
      const runtime = baseRuntimeOf(await Deno.readFile(await fetchScript(making, COMPILED, wheel)));
      await Deno.writeFile(join(releases, "denort"), runtime, { mode: 0o755 });
      await run("python3", ["-m", "zipfile", "-c", `denort-${target}.zip`, "denort"], { cwd: releases });
      await Deno.remove(join(releases, "denort"));
    }
    await Deno.remove(join(making, "wheels"), { recursive: true });
    await Deno.rename(making, folder).catch(async (error) => {
      // Another run may have finished first; its result is as good as ours.
      if (!await exists(folder)) throw error;
    });
  } finally {
    if (await exists(making)) await Deno.remove(making, { recursive: true });
  }
  return place;
}

/** Downloads a wheel of the given hash and gives the path of the one program in it. */
async function fetchScript(
  folder: string,
  requirement: string,
  [platform, sha256]: readonly [string, string],
): Promise<string> {
  const place = join(folder, "wheels", sha256);
  await Deno.mkdir(place, { recursive: true });
  const requirements = join(place, "requirements.txt");
  await Deno.writeTextFile(requirements, `${requirement} --hash=sha256:${sha256}\n`);
  await run("python3", [
    ...["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"],
    ...["--only-binary=:all:", `--platform=${platform}`, `--dest=${place}`, `--requirement=${requirements}`],
  ]);
  const [wheel] = await namesIn(place, /\.whl$/);
  await run("python3", ["-m", "zipfile", "-e", join(place, wheel!), place]);
  const [data] = await namesIn(place, /\.data$/);
  const scripts = join(place, data!, "scripts");
  const [script] = await namesIn(scripts, /./);
  return join(scripts, script!);
}

async function namesIn(folder: string, pattern: RegExp): Promise<readonly string[]> {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).filter((name) =>
    pattern.test(name)
  );
  if (names.length !== 1) throw new Error(`Cannot find one ${pattern} in ${folder}: found ${names.length}`);
  return names;
}

/** `deno compile` appends to an ELF file, which ends with its table of section headers. */
function baseRuntimeOf(program: Uint8Array): Uint8Array {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  if (view.getUint32(0) !== 0x7f454c46 || view.getUint16(4) !== 0x0201) {
    throw new Error("Cannot find a base runtime: want a program in 64-bit little-endian ELF");
  }
  return program.subarray(
    0,
    Number(view.getBigUint64(0x28, true)) + view.getUint16(0x3a, true) * view.getUint16(0x3c, true),
  );
}
