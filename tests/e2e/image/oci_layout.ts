/**
 * Reads an image as buildkitd writes it to a folder (OCI image layout 1.0): its platforms, their configuration, and
 * their files.
 *
 * @module
 */

import { join } from "node:path";
import { run } from "../../../.ci/commands.ts";

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly platform?: { readonly architecture: string };
}

/** The part of an image's configuration that is looked at. */
export interface ImageConfig {
  readonly architecture: string;
  readonly os: string;
  readonly created?: string;
  readonly config: {
    readonly User?: string;
    readonly Env?: readonly string[];
    readonly Entrypoint?: readonly string[];
    readonly ExposedPorts?: Readonly<Record<string, unknown>>;
    readonly Labels?: Readonly<Record<string, string>>;
  };
}

/** The image in a folder. */
export class OciLayout {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** The digest of the image, or of the index of its platforms. */
  get digest(): string {
    return this.#root.digest;
  }

  get #root(): Descriptor {
    return JSON.parse(Deno.readTextFileSync(join(this.folder, "index.json"))).manifests[0];
  }

  #blobPath(digest: string): string {
    return join(this.folder, "blobs", ...digest.split(":"));
  }

  // deno-lint-ignore no-explicit-any
  #blob(digest: string): any {
    return JSON.parse(Deno.readTextFileSync(this.#blobPath(digest)));
  }

  /** By architecture. */
  manifest(architecture: string): { readonly config: Descriptor; readonly layers: readonly Descriptor[] } {
    const root = this.#blob(this.digest);
    if (root.manifests === undefined) return root;
    const found = (root.manifests as Descriptor[]).find(({ platform }) =>
      platform?.architecture === architecture
    );
    if (found === undefined) throw new Error(`Cannot find an image for ${architecture} in ${this.folder}`);
    return this.#blob(found.digest);
  }

  config(architecture: string): ImageConfig {
    return this.#blob(this.manifest(architecture).config.digest);
  }

  /** Bytes to pull. */
  compressedBytes(architecture: string): number {
    return this.manifest(architecture).layers
      .reduce((sum, { digest }) => sum + Deno.statSync(this.#blobPath(digest)).size, 0);
  }

  /** Writes the image's files to a new folder. Layers that delete files of others are not needed here. */
  async unpack(architecture: string, folder: string): Promise<void> {
    await Deno.mkdir(folder);
    // A kubelet's runtime makes it so; the user of the program is not the owner.
    await Deno.chmod(folder, 0o755);
    for (const { digest } of this.manifest(architecture).layers) {
      await run("tar", ["-xf", this.#blobPath(digest), "-C", folder]);
    }
  }
}
