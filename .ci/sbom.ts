/**
 * Prints a bill of materials of the program in CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/): the Deno that it
 * runs on, and every package that its sources reach, with the hash of the lock file. What only tests use is not in it.
 *
 *     deno run -A .ci/sbom.ts > buildkitd-autoscaler.cdx.json
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { run } from "./commands.ts";

const ROOT = new URL("../", import.meta.url);

/** A package of the lock file, as `deno info --json` tells of it. */
export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** Keys of others. */
  readonly dependencies: readonly string[];
}

/** What a bill of materials is made of. */
export interface Materials {
  readonly config: { readonly name: string; readonly version: string; readonly license: string };
  /** `deno.lock`: the packages' integrity by name, version, and the peers that they were resolved with. */
  readonly lock: { readonly npm: Readonly<Record<string, { readonly integrity: string }>> };
  /** By the same keys. */
  readonly packages: Readonly<Record<string, NpmPackage>>;
  /** The keys of those that the program's sources import. */
  readonly imported: readonly string[];
  readonly denoVersion: string;
}

/** The bill of materials. @throws Error for a package without a hash in the lock file */
export function billOfMaterials({ config, lock, packages, imported, denoVersion }: Materials) {
  const libraries = [...withDependencies(imported, packages)].map(([key, { name, version }]) => {
    const [algorithm, digest = ""] = (lock.npm[key]?.integrity ?? "").split("-");
    if (algorithm !== "sha512") throw new Error(`Cannot find a SHA-512 of ${key} in deno.lock`);
    return {
      type: "library",
      name,
      version,
      purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
      hashes: [{ alg: "SHA-512", content: Uint8Array.fromBase64(digest).toHex() }],
    };
  });
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "application",
        name: config.name,
        version: config.version,
        licenses: [{ license: { id: config.license } }],
      },
    },
    components: [
      {
        type: "platform",
        name: "deno",
        version: denoVersion,
        purl: `pkg:github/denoland/deno@v${denoVersion}`,
      },
      ...libraries,
    ],
  };
}

/** Packages and what they need, sorted by key. */
function withDependencies(
  keys: readonly string[],
  packages: Materials["packages"],
): readonly (readonly [string, NpmPackage])[] {
  const found = new Map<string, NpmPackage>();
  const add = (key: string) => {
    const entry = packages[key];
    if (entry === undefined || found.has(key)) return;
    found.set(key, entry);
    entry.dependencies.forEach(add);
  };
  keys.forEach(add);
  return [...found].sort(([a], [b]) => a < b ? -1 : 1);
}

/** Reads what the checkout is made of. */
export async function readMaterials(): Promise<Materials> {
  const json = async (path: string) => JSON.parse(await Deno.readTextFile(new URL(path, ROOT)));
  const graph = JSON.parse(
    await run(Deno.execPath(), ["info", "--json", "main.ts"], { cwd: fileURLToPath(ROOT) }),
  );
  return {
    config: await json("deno.json"),
    lock: await json("deno.lock"),
    packages: graph.npmPackages,
    imported: (graph.modules as { readonly npmPackage?: string }[]).flatMap(({ npmPackage }) =>
      npmPackage ?? []
    ),
    denoVersion: Deno.version.deno,
  };
}

if (import.meta.main) {
  const bill = JSON.stringify(billOfMaterials(await readMaterials()), null, 2);
  Deno.stdout.writeSync(new TextEncoder().encode(`${bill}\n`));
}
