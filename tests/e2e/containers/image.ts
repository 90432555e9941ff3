/**
 * Stand-ins for container images, none of which can be pulled here: the same programs, entry points and users, on a root
 * that is made of mounts of the machine's files.
 *
 * The autoscaler's has what its `FROM scratch` image has: the compiled program and the C library's files. buildkitd's have
 * the machine's shell and libraries, buildkitd, buildctl and runc.
 *
 * @module
 */

import { dirname } from "node:path";

/** Files or folders of the machine that an image shows, read-only. */
export interface ImageMount {
  readonly source: string;
  readonly destination: string;
}

export interface Image {
  readonly entrypoint: readonly string[];
  readonly command?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly uid: number;
  readonly gid: number;
  readonly mounts: readonly ImageMount[];
  /** Folders that every user may write to. */
  readonly folders: readonly string[];
}

/** The images by repository, without tag and digest. */
export type ImageTable = Readonly<Record<string, Image>>;

/** Gives the image that a container names, or fails as a pull does. */
export type ImageSource = (name: string) => Promise<Image>;

/** Only the images of a table. */
export function imagesOf(table: ImageTable): ImageSource {
  // A rejection, not an exception.
  return (name) => Promise.resolve().then(() => findImage(table, name));
}

function findImage(table: ImageTable, name: string): Image {
  const repository = name.replace(/@.*$/, "").replace(/:[^/:]*$/, "");
  const image = table[repository];
  if (image !== undefined) return image;
  throw new Error(
    `Cannot pull "${name}": the kubelet stand-in has only ${Object.keys(table).join(", ")}`,
  );
}

const LIBRARIES = {
  x86_64: { loader: "/lib64/ld-linux-x86-64.so.2", folder: "/lib/x86_64-linux-gnu" },
  aarch64: { loader: "/lib/ld-linux-aarch64.so.1", folder: "/lib/aarch64-linux-gnu" },
}[Deno.build.arch as "x86_64" | "aarch64"];

/** All that the compiled program needs of the C library. */
const LIBRARY_FILES = [
  "libc.so.6",
  "libm.so.6",
  "libgcc_s.so.1",
  "libdl.so.2",
  "librt.so.1",
  "libpthread.so.0",
];

/** The image of the autoscaler; `program` is the compiled one. */
function autoscalerImage(program: string): Image {
  const { loader, folder } = LIBRARIES;
  const files = [loader, ...LIBRARY_FILES.map((name) => `${folder}/${name}`)];
  return {
    entrypoint: ["/buildkitd-autoscaler"],
    env: { PATH: "/" },
    uid: 65532,
    gid: 65532,
    mounts: [
      { source: program, destination: "/buildkitd-autoscaler" },
      ...files.map((file) => ({ source: Deno.realPathSync(file), destination: file })),
    ],
    folders: [],
  };
}

/** An image with buildkitd; `programs` is the folder of it and of buildctl. */
function buildkitdImage(programs: string, entrypoint: readonly string[]): Image {
  const machine = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];
  return {
    entrypoint,
    env: { PATH: "/opt/buildkit:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
    uid: 0,
    gid: 0,
    mounts: [
      ...machine.map((path) => ({ source: Deno.realPathSync(path), destination: path })),
      { source: programs, destination: "/opt/buildkit" },
    ],
    folders: ["/tmp", "/var/tmp", "/run", "/etc/buildkit"],
  };
}

/** The images that the chart and the documents name; `program` returns the path of a program. */
export function standInImages(program: (name: string) => string): ImageTable {
  const buildkit = dirname(program("buildkitd"));
  const autoscaler = autoscalerImage(program("buildkitd-autoscaler"));
  return {
    "ghcr.io/earthbuild/buildkitd-autoscaler": autoscaler,
    "registry.example.com/team/buildkitd-autoscaler": autoscaler,
    "moby/buildkit": buildkitdImage(buildkit, ["buildkitd"]),
    "earthly/buildkitd": buildkitdImage(buildkit, [
      ...["sh", "-ec", EARTH_ENTRY, "entrypoint.sh"],
      ...["buildkitd", "--config=/etc/buildkitd.toml"],
    ]),
  };
}

/** What that image's entry point does with what the chart gives it: it makes a configuration, and runs the rest. */
const EARTH_ENTRY = `{
  echo 'root = "/tmp/earthly/buildkit"'
  echo "$EARTHLY_ADDITIONAL_BUILDKIT_CONFIG"
  [ "$BUILDKIT_TCP_TRANSPORT_ENABLED" != true ] || printf '[grpc]\\naddress = [ "tcp://0.0.0.0:8372" ]\\n'
} > /etc/buildkitd.toml
exec "$@"`;
