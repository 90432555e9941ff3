/**
 * The image, built by a real buildkitd behind the program itself, and run as a kubelet would run it. The tests build on
 * each other, in this order.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { containerCommand } from "./containers/confined.ts";
import { API_ADDRESS } from "./control_plane.ts";
import { ensureBaseImages, type Platform } from "./image/base_images.ts";
import { type Builder, buildImage, sharedBaseImages } from "./image/build_image.ts";
import type { OciLayout } from "./image/oci_layout.ts";
import { serveNames } from "./name_server.ts";
import { type Cluster, POD_FILES, scenario } from "./scenario.ts";
import { cgroupParent, programPath } from "./surroundings.ts";

const LIMIT_WITHOUT_PROGRAM_BYTES = 10_000_000;
const COMMIT = "0123456789ab";
const BUILD_ARGS = { COMMIT, VERSION: config.version, SOURCE_DATE_EPOCH: "1767225600" };
const NAME_SERVER = "10.99.4.53";

/** What the default image holds beside the program, for each platform. */
const FILES: Readonly<Record<Platform, readonly string[]>> = {
  amd64: ["lib64/ld-linux-x86-64.so.2", ...libraries("x86_64-linux-gnu")],
  arm64: ["lib/ld-linux-aarch64.so.1", ...libraries("aarch64-linux-gnu")],
};

function libraries(folder: string): readonly string[] {
  return ["libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1"]
    .map((name) => `lib/${folder}/${name}`);
}

const images = new Map<string, OciLayout>();

function built(name: string): OciLayout {
  const image = images.get(name);
  if (image === undefined) throw new Error(`The image "${name}" was not built`);
  return image;
}

/** Sizes of all files below a folder, by path. */
function filesOf(folder: string, path = ""): Map<string, number> {
  const files = new Map<string, number>();
  for (const { name, isDirectory } of Deno.readDirSync(join(folder, path))) {
    const child = join(path, name);
    if (isDirectory) { for (const [inner, size] of filesOf(folder, child)) files.set(inner, size); }
    else files.set(child, Deno.lstatSync(join(folder, child)).size);
  }
  return files;
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

scenario(
  "the Dockerfile builds through the program, for both platforms, and twice the same",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "10m" })).untilReady();
    const builder: Builder = {
      buildctl: programPath("buildctl"),
      address: program.clientAddress,
      folder: cluster.folder,
    };
    const folders = await ensureBaseImages(programPath("busybox"), () => {});
    const bases = await sharedBaseImages(builder, folders);
    images.set("scratch", await buildImage(builder, bases, { buildArgs: BUILD_ARGS }));
    images.set(
      "distroless",
      await buildImage(builder, bases, { buildArgs: BUILD_ARGS, target: "distroless" }),
    );
    const again = await buildImage(builder, bases, { buildArgs: BUILD_ARGS, noCache: true });
    assert.equal(again.digest, built("scratch").digest);
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "the image holds the program, the files that it needs, and less than 10 MB of those",
  {},
  async (cluster) => {
    for (const platform of ["amd64", "arm64"] as const) {
      const rootfs = join(cluster.folder, platform);
      await built("scratch").unpack(platform, rootfs);
      const files = filesOf(rootfs);
      assert.deepEqual(
        [...files.keys()].sort(),
        ["LICENSE", "buildkitd-autoscaler", ...FILES[platform]].sort(),
      );
      const programBytes = files.get("buildkitd-autoscaler")!;
      const restBytes = [...files.values()].reduce((sum, size) => sum + size, 0) - programBytes;
      say(
        `${platform}: program ${programBytes} bytes, the rest ${restBytes}, ` +
          `${built("scratch").compressedBytes(platform)} to pull (distroless: ${
            built("distroless").compressedBytes(platform)
          })`,
      );
      assert.ok(restBytes < LIMIT_WITHOUT_PROGRAM_BYTES, `${restBytes} bytes`);
    }
  },
);

for (const name of ["scratch", "distroless"]) {
  scenario(`the ${name} image says what it is and how it runs`, {}, (_cluster) => {
    for (const platform of ["amd64", "arm64"]) {
      const image = built(name).config(platform);
      assert.deepEqual([image.os, image.architecture], ["linux", platform]);
      assert.equal(image.created, "2026-01-01T00:00:00Z");
      assert.equal(image.config.User, "65532:65532");
      assert.deepEqual(image.config.Entrypoint, ["/buildkitd-autoscaler"]);
      assert.deepEqual(image.config.Labels, {
        "org.opencontainers.image.title": config.name,
        "org.opencontainers.image.description": "Scale-to-zero proxy in front of a buildkitd StatefulSet",
        "org.opencontainers.image.licenses": config.license,
        "org.opencontainers.image.source": "https://github.com/EarthBuild/buildkitd-autoscaler",
        "org.opencontainers.image.version": config.version,
        "org.opencontainers.image.revision": COMMIT,
      });
    }
    return Promise.resolve();
  });
}

/** How an image is run: another machine's programs need an emulator, which takes memory of its own. */
interface Run {
  readonly image: "scratch" | "distroless";
  readonly platform: Platform;
  readonly emulator?: string;
  readonly memoryBytes: number;
}

const MIB = 1024 * 1024;
const RUNS: readonly Run[] = [
  { image: "scratch", platform: "amd64", memoryBytes: 128 * MIB },
  { image: "distroless", platform: "amd64", memoryBytes: 128 * MIB },
  { image: "scratch", platform: "arm64", memoryBytes: 1024 * MIB, emulator: "qemu-aarch64-static" },
];

for (const { image, platform, emulator, memoryBytes } of RUNS) {
  scenario(
    `the ${image} image for ${platform} serves a build under the chart's security context${
      emulator ? " (emulated)" : ""
    }`,
    {},
    async (cluster) => {
      const rootfs = join(cluster.folder, "rootfs");
      await built(image).unpack(platform, rootfs);
      const { User, Env = [], Entrypoint = [] } = built(image).config(platform).config;
      await using names = await serveNames(NAME_SERVER, {
        "kubernetes.default.svc.cluster.local": API_ADDRESS,
      });
      const resolver = await writeResolver(cluster);
      await cluster.mountToken("image");
      const id = `${image}-${platform}`;
      const program = await cluster.startProgramInPod({ "idle-timeout": "1s" }, {
        launch: (args, env) =>
          containerCommand(join(cluster.folder, "container"), {
            id,
            rootfs,
            command: [...(emulator ? [`/${emulator}`] : []), ...Entrypoint, ...args],
            // By name, which has to be found with the search list of a pod.
            env: { ...Object.fromEntries(Env.map((each) => each.split("=", 2))), ...env, ...API_BY_NAME },
            uid: Number(User?.split(":")[0]),
            mounts: {
              "/etc/resolv.conf": resolver,
              [join("/var", POD_FILES)]: POD_FILES,
              ...(emulator ? { [`/${emulator}`]: programPath(emulator) } : {}),
            },
            cgroup: `/${cgroupParent()}/${id}`,
            memoryBytes,
            seccompProfile: programPath("seccomp-profile"),
          }),
      });
      await program.untilReady();
      await assertConfined(id);
      await (await cluster.build(program)).finish();
      await cluster.timeline.settle([0, 1, 0]);
      assert.ok(names.asked.includes("kubernetes.default.svc.cluster.local"), `${names.asked}`);
      const [listening] = program.events("listening");
      assert.match(String(listening?.cluster), /^kubernetes\.default:\d+ \(service account\)$/);
      assert.equal(await program.stop(), 0);
    },
  );
}

const API_BY_NAME = { KUBERNETES_SERVICE_HOST: "kubernetes.default" };

async function writeResolver(cluster: Cluster): Promise<string> {
  const path = join(cluster.folder, "resolv.conf");
  const search = [`${cluster.namespace}.svc.cluster.local`, "svc.cluster.local", "cluster.local"];
  await Deno.writeTextFile(
    path,
    `search ${search.join(" ")}\nnameserver ${NAME_SERVER}\noptions ndots:5\n`,
  );
  return path;
}

/** What the kernel says of the container's first process. */
async function assertConfined(id: string): Promise<void> {
  const { stdout } = await new Deno.Command("runc", { args: ["state", id] }).output();
  const { pid } = JSON.parse(new TextDecoder().decode(stdout));
  const status = Object.fromEntries(
    (await Deno.readTextFile(`/proc/${pid}/status`)).split("\n").map((line) => line.split(/:\s+/, 2)),
  );
  assert.equal(status.Uid, "65532\t65532\t65532\t65532");
  assert.equal(status.CapBnd, "0000000000000000");
  assert.equal(status.NoNewPrivs, "1");
  assert.equal(status.Seccomp, "2");
  assert.match(status.NSpid ?? "", /\t1$/);
}
