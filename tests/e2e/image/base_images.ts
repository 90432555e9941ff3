/**
 * What stands in for the base images of the Dockerfile, since none can be pulled: folders that are made on this
 * machine, for the test to turn into images. Like `denoland/deno`: the Deno that runs the suite, with its libraries, a
 * shell, and everything in its caches that the build would download. Like `gcr.io/distroless/cc-debian12`: glibc and
 * libgcc of Debian, for each platform.
 *
 * They are kept outside of the checkout under a name that holds a hash of what they were made of. Needs Debian's
 * package lists; the machine's own package state is not touched, nor is a foreign architecture added to it.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder, digestOf, exists, run } from "../../../.ci/commands.ts";
import { ensureOlderDeno, type OlderDeno } from "../../../.ci/older_deno.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** The platforms' names in the image and at Debian. */
export const PLATFORMS = ["amd64", "arm64"] as const;
export type Platform = typeof PLATFORMS[number];

/** What `gcr.io/distroless/cc-debian12` is made of, as far as a program sees it. */
const PACKAGES = ["libc6", "libgcc-s1", "libstdc++6", "tzdata", "netbase"];

/** Of the shell's commands those that the Dockerfile and Deno's own shell use. */
const APPLETS = ["sh", "mv", "cp", "cat", "ls", "mkdir", "rm"];

/** Raise it when what follows makes other folders of the same input. */
const RECIPE = 1;

/** Makes the folders if they are not there, and gives the folder of them: `deno`, `cc-amd64`, `cc-arm64`. */
export async function ensureBaseImages(busybox: string, say: (line: string) => void): Promise<string> {
  const older = await ensureOlderDeno();
  const lock = await Deno.readTextFile(join(ROOT, "deno.lock"));
  const config = await Deno.readTextFile(join(ROOT, "deno.json"));
  const key = await digestOf(
    JSON.stringify([
      RECIPE,
      Deno.version,
      PLATFORMS,
      PACKAGES,
      APPLETS,
      lock,
      JSON.parse(config).imports,
      older.folder,
    ]),
  );
  const folder = cacheFolder(`base-images-${key}`);
  if (await exists(folder)) {
    say(`base images: made before, in ${folder}`);
    return folder;
  }
  say("base images: making them");
  await Deno.mkdir(dirname(folder), { recursive: true });
  const making = await Deno.makeTempDir({ dir: dirname(folder), prefix: "making-base-images-" });
  try {
    await makeDenoImage(join(making, "deno"), busybox, older);
    for (const platform of PLATFORMS) await makeGlibcImage(join(making, `cc-${platform}`), platform, making);
    await Deno.remove(join(making, "apt"), { recursive: true });
    await Deno.rename(making, folder).catch(async (error) => {
      // Another run may have finished first; its result is as good as ours.
      if (!await exists(folder)) throw error;
    });
  } finally {
    if (await exists(making)) await Deno.remove(making, { recursive: true });
  }
  return folder;
}

async function makeDenoImage(root: string, busybox: string, older: OlderDeno): Promise<void> {
  for (const folder of ["bin", "usr/bin", "etc", "tmp", "root/.cache/buildkitd-autoscaler"]) {
    await Deno.mkdir(join(root, folder), { recursive: true });
  }
  await Deno.writeTextFile(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  await Deno.copyFile(busybox, join(root, "bin/busybox"));
  for (const applet of APPLETS) await Deno.symlink("busybox", join(root, "bin", applet));
  await Deno.copyFile(Deno.execPath(), join(root, "usr/bin/deno"));
  await copyLibraries(Deno.execPath(), root);
  // The older Deno lies where the build looks for it before it fetches it.
  await run("cp", ["-a", older.folder, join(root, "root/.cache/buildkitd-autoscaler")]);
  // `deno install` and `deno bundle` fill the cache with what they would download: packages, and esbuild.
  const work = await Deno.makeTempDir();
  const options = { cwd: work, env: { DENO_DIR: join(root, "deno-dir") } };
  for (const name of ["deno.json", "deno.lock"]) await Deno.copyFile(join(ROOT, name), join(work, name));
  await Deno.writeTextFile(join(work, "empty.ts"), "export {};\n");
  await run(Deno.execPath(), ["install", "--frozen"], options);
  await run(Deno.execPath(), ["bundle", "--quiet", "--output", "bundle.js", "empty.ts"], options);
  await Deno.remove(work, { recursive: true });
}

/** The shared libraries of a program of this machine, and the loader, at the same paths below `root`. */
export async function copyLibraries(program: string, root: string): Promise<void> {
  const paths = (await run("ldd", [program])).match(/\/\S+\.so[.\d]*/g) ?? [];
  if (paths.length === 0) throw new Error(`Cannot find the libraries of "${program}": ldd names none`);
  for (const path of new Set(paths)) {
    await Deno.mkdir(join(root, dirname(path)), { recursive: true });
    await Deno.copyFile(path, join(root, path));
  }
}

async function makeGlibcImage(root: string, platform: Platform, making: string): Promise<void> {
  const state = join(making, "apt", platform);
  for (const folder of ["lists/partial", "cache/archives/partial", "packages"]) {
    await Deno.mkdir(join(state, folder), { recursive: true });
  }
  await Deno.writeTextFile(join(state, "status"), "");
  const options = [
    `APT::Architecture=${platform}`,
    `APT::Architectures=${platform}`,
    `Dir::State=${state}`,
    `Dir::State::status=${state}/status`,
    `Dir::Cache=${state}/cache`,
    "APT::Sandbox::User=root",
  ].map((option) => `--option=${option}`);
  const packages = join(state, "packages");
  await run("apt-get", [...options, "update", "--quiet=2"]);
  await run("apt-get", [...options, "download", "--quiet=2", ...PACKAGES], { cwd: packages });
  for await (const { name } of Deno.readDir(packages)) {
    await run("dpkg-deb", ["-x", join(packages, name), root]);
  }
  const library = platform === "amd64" ? "x86_64-linux-gnu" : "aarch64-linux-gnu";
  for (const folder of ["usr/share/doc", `usr/lib/${library}/gconv`]) {
    await Deno.remove(join(root, folder), { recursive: true });
  }
  for (const folder of ["etc", "tmp"]) await Deno.mkdir(join(root, folder), { recursive: true });
  await Deno.chmod(join(root, "tmp"), 0o1777);
  await Deno.writeTextFile(
    join(root, "etc/passwd"),
    "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
  );
}
