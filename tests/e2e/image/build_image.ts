/**
 * Builds the project's image as its users do, by `buildctl` and a buildkitd at `address`, with stand-ins for the base
 * images and without any network in build steps.
 *
 * @module
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { exists } from "../../../.ci/commands.ts";
import { Child } from "../child_process.ts";
import { surroundings } from "../surroundings.ts";
import { within } from "../waiting.ts";
import { PLATFORMS } from "./base_images.ts";
import { OciLayout } from "./oci_layout.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** A step that compiles takes seconds; this is for a machine that does much else. */
const BUILD_LIMIT_MS = 600_000;

/** What a build needs. */
export interface Builder {
  /** Path of buildctl. */
  readonly buildctl: string;
  /** As it takes it: `tcp://HOST:PORT`. */
  readonly address: string;
  /** For results and logs. */
  readonly folder: string;
}

/** An image that is taken instead of one of the name that stands in the Dockerfile. */
export interface BaseImage {
  readonly name: string;
  readonly layout: OciLayout;
}

let buildsSoFar = 0;

/** Builds with these arguments of `buildctl build`, and gives the image. */
async function build(builder: Builder, args: readonly string[], exporter = ""): Promise<OciLayout> {
  const name = `image-${++buildsSoFar}`;
  const layout = join(builder.folder, name);
  const child = new Child({
    name,
    command: builder.buildctl,
    args: [
      `--addr=${builder.address}`,
      ...["build", "--progress=plain", "--frontend=dockerfile.v0"],
      `--output=type=oci,tar=false,dest=${layout}${exporter}`,
      ...args,
    ],
    env: { HOME: builder.folder },
    logFile: join(builder.folder, `${name}.log`),
  });
  try {
    const { code } = await within(`the build of ${name}`, child.exited, BUILD_LIMIT_MS);
    if (code !== 0) throw new Error(`Cannot build ${name}\n${child.tail(60)}`);
    return new OciLayout(layout);
  } finally {
    await child.kill();
  }
}

/** The images that {@link buildBaseImages} makes. Only the first caller of a run builds them. */
export async function sharedBaseImages(builder: Builder, folders: string): Promise<readonly BaseImage[]> {
  const list = join(surroundings().folder, "base-images.json");
  if (!await exists(list)) {
    const built = await buildBaseImages(builder, folders);
    await Deno.writeTextFile(list, JSON.stringify(built.map(({ name, layout }) => [name, layout.folder])));
  }
  const entries: readonly [name: string, folder: string][] = JSON.parse(await Deno.readTextFile(list));
  return entries.map(([name, folder]) => ({ name, layout: new OciLayout(folder) }));
}

/** Turns the folders of {@link ensureBaseImages} into images. */
async function buildBaseImages(builder: Builder, folders: string): Promise<readonly BaseImage[]> {
  const denoVersion = /^ARG DENO_VERSION=(\S+)$/m.exec(await Deno.readTextFile(join(ROOT, "Dockerfile")))
    ?.[1];
  const dockerfiles = join(builder.folder, "dockerfiles");
  await Deno.mkdir(dockerfiles);
  const make = async (file: string, context: string, platforms: readonly string[], text: string) => {
    await Deno.writeTextFile(join(dockerfiles, file), text);
    // Packing them well would take longer than all the rest.
    return await build(builder, [
      `--local=context=${context}`,
      `--local=dockerfile=${dockerfiles}`,
      `--opt=filename=${file}`,
      `--opt=platform=${platforms.map((platform) => `linux/${platform}`).join(",")}`,
    ], ",compression=gzip,compression-level=1");
  };
  return [
    {
      name: `denoland/deno:${denoVersion}`,
      layout: await make(
        "deno",
        join(folders, "deno"),
        ["amd64"],
        "FROM scratch\nCOPY . /\nENV DENO_DIR=/deno-dir PATH=/usr/bin:/bin\n",
      ),
    },
    {
      name: "gcr.io/distroless/cc-debian12:nonroot",
      layout: await make(
        "cc",
        folders,
        PLATFORMS,
        "FROM scratch\nARG TARGETARCH\nCOPY cc-$TARGETARCH /\nUSER 65532\nWORKDIR /home/nonroot\n",
      ),
    },
    // Not for the Dockerfile, but for the README's first build: a shell.
    {
      name: "alpine",
      layout: await make("alpine", join(folders, "deno"), ["amd64"], "FROM scratch\nCOPY bin /bin\n"),
    },
  ];
}

/** What is built of the Dockerfile. */
export interface ImageOptions {
  readonly target?: string;
  readonly buildArgs: Readonly<Record<string, string>>;
  /** Every step anew. */
  readonly noCache?: boolean;
}

/** Builds the Dockerfile for all platforms. */
export function buildImage(
  builder: Builder,
  bases: readonly BaseImage[],
  { target, buildArgs, noCache }: ImageOptions,
): Promise<OciLayout> {
  return build(builder, [
    `--local=context=${ROOT}`,
    `--local=dockerfile=${ROOT}`,
    `--opt=platform=${PLATFORMS.map((platform) => `linux/${platform}`).join(",")}`,
    "--opt=force-network-mode=none",
    ...bases.flatMap(({ name, layout }, i) => [
      `--oci-layout=base${i}=${layout.folder}`,
      `--opt=context:${name}=oci-layout://base${i}@${layout.digest}`,
    ]),
    ...Object.entries(buildArgs).map(([name, value]) => `--opt=build-arg:${name}=${value}`),
    ...(target === undefined ? [] : [`--opt=target=${target}`]),
    ...(noCache ? ["--no-cache"] : []),
  ], ",rewrite-timestamp=true");
}
