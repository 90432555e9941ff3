/**
 * Makes an image of a folder: one archive in the layout of the Open Container Initiative, with one layer.
 *
 * The same folder gives the same image, byte for byte.
 *
 * @module
 */

import { join } from "node:path";
import { run } from "../../.ci/commands.ts";

/** What an image says of how it is run; the names are those of the image specification. */
export interface ImageConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
}

const TAR = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--create"];

async function sha256(path: string): Promise<string> {
  return (await run("sha256sum", [path])).split(" ")[0]!;
}

/** Writes the image of the folder `root` to the file `archive`. Its name there is `image`. */
export async function writeArchive(root: string, config: ImageConfig, archive: string): Promise<void> {
  const layout = await Deno.makeTempDir({ prefix: "image-" });
  try {
    const blobs = join(layout, "blobs", "sha256");
    await Deno.mkdir(blobs, { recursive: true });
    const add = async (mediaType: string, path: string) => {
      const digest = await sha256(path);
      const { size } = await Deno.stat(path);
      await Deno.rename(path, join(blobs, digest));
      return { mediaType, digest: `sha256:${digest}`, size };
    };
    const write = async (mediaType: string, content: unknown) => {
      const path = join(layout, "next");
      await Deno.writeTextFile(path, JSON.stringify(content));
      return await add(mediaType, path);
    };
    const oci = "application/vnd.oci.image";
    await run("tar", [...TAR, `--file=${join(layout, "layer")}`, `--directory=${root}`, "."]);
    const layer = await add(`${oci}.layer.v1.tar`, join(layout, "layer"));
    const rootfs = { type: "layers", diff_ids: [layer.digest] };
    const described = await write(`${oci}.config.v1+json`, {
      architecture: "amd64",
      os: "linux",
      config,
      rootfs,
    });
    const manifest = await write(`${oci}.manifest.v1+json`, {
      schemaVersion: 2,
      mediaType: `${oci}.manifest.v1+json`,
      config: described,
      layers: [layer],
    });
    await Deno.writeTextFile(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
    const annotations = { "io.containerd.image.name": "image", "org.opencontainers.image.ref.name": "image" };
    const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
    await Deno.writeTextFile(join(layout, "index.json"), JSON.stringify(index));
    await run("tar", [...TAR, `--file=${archive}.new`, `--directory=${layout}`, "."]);
    await Deno.rename(`${archive}.new`, archive);
  } finally {
    await Deno.remove(layout, { recursive: true });
  }
}
