/**
 * Pulls images from a registry as a node does: by the reference in a pod's spec, over HTTPS, and compares every blob with
 * its digest (OCI distribution specification 1.1). The result is a folder in the OCI image layout.
 *
 * @module
 */

import { join } from "node:path";
import { OciLayout } from "../image/oci_layout.ts";
import { HANG_MS } from "../waiting.ts";

const INDEX = "application/vnd.oci.image.index.v1+json";
const MANIFESTS = [INDEX, "application/vnd.oci.image.manifest.v1+json"];

/** What an image's name says. */
export interface Reference {
  /** `ADDRESS:PORT` of the registry. */
  readonly host: string;
  readonly repository: string;
  /** A tag, or a digest if there is one. */
  readonly version: string;
}

/** Reads `HOST/REPOSITORY:TAG` or `HOST/REPOSITORY@DIGEST`. Without either it is the tag `latest`. */
export function parseReference(text: string): Reference {
  const [, host, repository, tag = "latest", digest] =
    /^([^/]+)\/([^@:]+)(?::([^@]+))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(text) ?? [];
  if (host === undefined || repository === undefined) {
    throw new Error(`Cannot pull "${text}": want HOST/REPOSITORY:TAG or HOST/REPOSITORY@DIGEST`);
  }
  return { host, repository, version: digest ?? tag };
}

/** How a registry is reached. */
export interface RegistryAccess {
  /** The certificate to trust, as a file. */
  readonly caFile: string;
  /** `USER:PASSWORD`, where the registry wants a login. */
  readonly login?: string;
}

/** An entry of an index. */
export interface Entry {
  readonly digest: string;
  readonly platform?: { readonly os: string; readonly architecture: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Manifest {
  readonly manifests?: readonly Entry[];
  readonly config?: { readonly digest: string };
  readonly layers?: readonly { readonly digest: string }[];
}

/** An image that was pulled. */
export interface Pulled {
  readonly layout: OciLayout;
  /** Entries of the index: one for each platform, and for each what is attested of it. */
  readonly entries: readonly Entry[];
  /** Any blob of it, as JSON. */
  readonly json: (digest: string) => Promise<unknown>;
  /** The manifest of an entry. */
  readonly manifest: (entry: Entry) => Promise<Manifest>;
}

/** Pulls all platforms of an image into the new folder. */
export async function pull(reference: string, access: RegistryAccess, folder: string): Promise<Pulled> {
  const { host, repository, version } = parseReference(reference);
  const blobs = join(folder, "blobs", "sha256");
  await Deno.mkdir(blobs, { recursive: true });
  const client = Deno.createHttpClient({ caCerts: [await Deno.readTextFile(access.caFile)] });
  const headers = {
    accept: MANIFESTS.join(", "),
    ...(access.login === undefined ? {} : { authorization: `Basic ${btoa(access.login)}` }),
  };
  /** Fetches and keeps a manifest or a blob, and gives its digest. */
  const fetched = async (kind: "manifests" | "blobs", name: string): Promise<string> => {
    const response = await fetch(`https://${host}/v2/${repository}/${kind}/${name}`, {
      ...{ client, headers },
      signal: AbortSignal.timeout(HANG_MS),
    });
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (!response.ok) {
      const said = new TextDecoder().decode(bytes);
      throw new Error(`Cannot pull "${reference}": ${kind}/${name} gave ${response.status} ${said}`);
    }
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    const digest = `sha256:${hash}`;
    if (name.startsWith("sha256:") && name !== digest) {
      throw new Error(`Cannot pull "${reference}": found ${digest}, want ${name}`);
    }
    await Deno.writeFile(join(blobs, hash), bytes);
    return digest;
  };
  const json = async (digest: string) =>
    JSON.parse(await Deno.readTextFile(join(blobs, digest.replace("sha256:", ""))));
  const blobsOf = async (digest: string) => {
    const { config, layers = [] } = await json(digest) as Manifest;
    const parts = [...(config === undefined ? [] : [config]), ...layers];
    for (const part of parts) await fetched("blobs", part.digest);
  };
  try {
    const digest = await fetched("manifests", version);
    const entries = (await json(digest) as Manifest).manifests;
    if (entries === undefined) await blobsOf(digest);
    for (const entry of entries ?? []) await blobsOf(await fetched("manifests", entry.digest));
    await Deno.writeTextFile(join(folder, "index.json"), JSON.stringify({ manifests: [{ digest }] }));
    return {
      layout: new OciLayout(folder),
      entries: entries ?? [],
      json,
      manifest: (entry) => json(entry.digest),
    };
  } finally {
    client.close();
  }
}
