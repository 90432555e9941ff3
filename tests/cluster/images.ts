/**
 * The images of the cluster, none of which can be pulled: made of the programs that were built, under the names that
 * the chart, the documents and the cluster's own parts use.
 *
 * Archives are kept in the cache under names that hold a hash of what they were made of.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder, digestOf, exists, run } from "../../.ci/commands.ts";
import { copyLibraries } from "../e2e/image/base_images.ts";
import { type ImageConfig, writeArchive } from "./archive.ts";
import { runInside } from "./namespace.ts";
import { CONTAINERD, PAUSE_IMAGE } from "./node.ts";
import { at, REGISTRY } from "./place.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Raise it when the recipes below make other images of the same programs. */
const RECIPE = 1;

/** One image before it is made. */
interface Recipe {
  /** Full names with tags. */
  readonly names: readonly string[];
  /** What the result depends on. */
  readonly key: string;
  readonly config: ImageConfig;
  /** Fills the folder of the image's files. */
  readonly fill: (root: string) => Promise<void>;
}

/** An image as a file. */
export interface Archive {
  readonly names: readonly string[];
  readonly path: string;
}

const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** buildkitd pulls from the cluster's registry, too. */
const BUILDKITD_SETTINGS = `[registry."docker.io"]
  mirrors = ["${REGISTRY}"]
[registry."${REGISTRY}"]
  http = true
`;

async function put(source: string, root: string, path: string): Promise<void> {
  await Deno.mkdir(dirname(join(root, path)), { recursive: true });
  await Deno.copyFile(source, join(root, path));
}

/** A shell with all its commands, and the folders that programs expect. */
async function fillBase(root: string, busybox: string): Promise<void> {
  await put(busybox, root, "bin/busybox");
  const applets = (await run(busybox, ["--list"])).trim().split("\n").filter((name) => name !== "busybox");
  for (const applet of applets) await Deno.symlink("busybox", join(root, "bin", applet));
  for (const folder of ["etc", "run", "root", "usr/bin", "var/lib"]) {
    await Deno.mkdir(join(root, folder), { recursive: true });
  }
  await Deno.mkdir(join(root, "tmp"));
  await Deno.chmod(join(root, "tmp"), 0o1777);
  await Deno.writeTextFile(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  await Deno.writeTextFile(join(root, "etc/group"), "root:x:0:\n");
}

/** What the checkout's program is made of. */
async function sourcesKey(): Promise<string> {
  const files = (await run("git", [
    "-C",
    ROOT,
    "ls-files",
    "-co",
    "--exclude-standard",
    "--",
    "main.ts",
    "lib",
    ".ci",
    "deno.json",
    "deno.lock",
  ]))
    .trim().split("\n");
  const contents = await Promise.all(
    files.map(async (file) => [file, await Deno.readTextFile(join(ROOT, file))]),
  );
  return await digestOf(JSON.stringify([contents, Deno.version]));
}

/** The first match of a pattern in a file of the checkout. */
async function inFile(path: string, pattern: RegExp): Promise<string> {
  const found = pattern.exec(await Deno.readTextFile(join(ROOT, path)))?.[1];
  if (found === undefined) throw new Error(`Cannot find ${pattern} in ${path}`);
  return found;
}

/** The image of the checkout's program, as the Dockerfile lays it out. */
async function programRecipe(): Promise<Recipe> {
  const version = await inFile("helm/buildkitd-stack/Chart.yaml", /^appVersion: "?([^"\s]+)/m);
  return {
    names: [
      "registry.example.com/team/buildkitd-autoscaler:dev",
      `ghcr.io/earthbuild/buildkitd-autoscaler:${version}`,
    ],
    key: await sourcesKey(),
    config: {
      Entrypoint: ["/buildkitd-autoscaler"],
      Env: [PATH, "DENO_USE_CGROUPS=1", "DENO_TOKIO_EVENT_INTERVAL=1"],
      User: "65532:65532",
    },
    async fill(root) {
      await run(Deno.execPath(), ["run", "--allow-all", join(ROOT, ".ci", "compile.ts")]);
      const compiled = join(ROOT, "dist", "buildkitd-autoscaler");
      await put(compiled, root, "buildkitd-autoscaler");
      await put(join(ROOT, "LICENSE"), root, "LICENSE");
      await copyLibraries(compiled, root);
    },
  };
}

/** All images; `program` gives the path of a built program. */
async function recipes(
  program: (name: string) => string,
  busybox: string,
  runc: string,
): Promise<readonly Recipe[]> {
  const tag = await inFile("helm/buildkitd-stack/templates/_presets.tpl", /moby\/buildkit, tag: (v[\d.]+) }/);
  const single = (name: string, path: string): Recipe => ({
    names: [name],
    key: program(path),
    config: { Entrypoint: [`/${path}`], Env: [PATH] },
    fill: (root) => put(program(path), root, path),
  });
  return [
    {
      names: [PAUSE_IMAGE],
      key: busybox,
      config: { Entrypoint: ["/bin/sleep", "2147483647"], User: "65535:65535" },
      fill: (root) => fillBase(root, busybox),
    },
    {
      names: ["docker.io/library/alpine:latest"],
      key: busybox,
      config: { Cmd: ["/bin/sh"], Env: [PATH] },
      fill: (root) => fillBase(root, busybox),
    },
    single("registry.k8s.io/coredns/coredns:cluster", "coredns"),
    {
      ...single("docker.io/rancher/local-path-provisioner:cluster", "local-path-provisioner"),
      config: { Entrypoint: ["/local-path-provisioner"], Env: [PATH] },
    },
    {
      names: [`docker.io/moby/buildkit:${tag}`],
      key: [program("buildkitd"), runc, busybox, BUILDKITD_SETTINGS].join("\0"),
      config: { Entrypoint: ["buildkitd"], Env: [PATH] },
      async fill(root) {
        await fillBase(root, busybox);
        for (const name of ["buildkitd", "buildctl"]) await put(program(name), root, `usr/bin/${name}`);
        await put(runc, root, "usr/bin/buildkit-runc");
        await copyLibraries(runc, root);
        await Deno.mkdir(join(root, "etc/buildkit"));
        await Deno.writeTextFile(join(root, "etc/buildkit/buildkitd.toml"), BUILDKITD_SETTINGS);
      },
    },
    await programRecipe(),
  ];
}

/** Makes the archives that were not made before. */
export async function ensureArchives(
  program: (name: string) => string,
  machine: { readonly busybox: string; readonly runc: string },
  say: (line: string) => void,
): Promise<readonly Archive[]> {
  const folder = cacheFolder("cluster-images");
  await Deno.mkdir(folder, { recursive: true });
  const archives: Archive[] = [];
  for (const { names, key, config, fill } of await recipes(program, machine.busybox, machine.runc)) {
    const path = join(folder, `${await digestOf(JSON.stringify([RECIPE, names, key, config]))}.tar`);
    if (!await exists(path)) {
      say(`image ${names[0]}: making it`);
      const root = await Deno.makeTempDir({ prefix: "image-root-" });
      await Deno.chmod(root, 0o755);
      try {
        await fill(root);
        await writeArchive(root, config, path);
      } finally {
        await Deno.remove(root, { recursive: true });
      }
    }
    archives.push({ names, path });
  }
  return archives;
}

/** Puts an image into the registry unless the same one was put there before. */
export async function push(
  ctr: string,
  { names, path }: Archive,
  say: (line: string) => void,
): Promise<void> {
  const done = at(`pushed-${path.replace(/.*\//, "")}`);
  if (await exists(done)) return;
  say(`image ${names[0]}: into the registry`);
  const images = (namespace: string, ...args: readonly string[]) =>
    runInside(ctr, `--address=${CONTAINERD}`, `--namespace=${namespace}`, "images", ...args);
  await images("archives", "import", "--local", "--no-unpack", path);
  for (const name of names) {
    const inRegistry = name.replace(/^[^/]+/, REGISTRY);
    await images("archives", "push", "--local", "--plain-http", inRegistry, "image");
    // One of an earlier push under this name would be taken for this one.
    await images("k8s.io", "rm", name).catch(() => {});
  }
  await images("archives", "rm", "image");
  await Deno.writeTextFile(done, "");
}
