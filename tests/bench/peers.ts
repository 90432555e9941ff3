/**
 * Builds the programs that the benchmark runs beside ours, from the Go module below `peers/`: the backend, the client
 * that makes load, and the plain `io.Copy` proxy. They are kept outside the checkout, in a folder named by a hash of
 * all that decides the result, and moved there when they are whole. Fails with the compiler's own output.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("peers/", import.meta.url));

/** The programs, by the folders of their sources. */
const NAMES = ["backend", "load", "proxy"] as const;

/** Where each program lies, and what built it. */
export type Peers = Readonly<Record<typeof NAMES[number], string>> & { readonly go: string };

/** Builds what is not there yet. */
export async function buildPeers(): Promise<Peers> {
  const go = await runGo("env", "GOVERSION", "GOOS", "GOARCH");
  const texts = await Promise.all(
    ["go.mod", ...NAMES.map((name) => `${name}/main.go`)].map((path) =>
      Deno.readTextFile(join(SOURCE, path))
    ),
  );
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode([go, ...texts].join("\0")));
  const folder = join(cacheRoot(), `bench-${new Uint8Array(hash).toHex().slice(0, 16)}`);
  if (!await exists(folder)) await buildInto(folder);
  const path = (name: string) => join(folder, name);
  return {
    backend: path("backend"),
    load: path("load"),
    proxy: path("proxy"),
    go: go.replaceAll("\n", " "),
  };
}

async function buildInto(folder: string): Promise<void> {
  await Deno.mkdir(dirname(folder), { recursive: true });
  const building = await Deno.makeTempDir({ dir: dirname(folder), prefix: "building-bench-" });
  try {
    await runGo("build", "-trimpath", "-o", `${building}/`, "./...");
    await Deno.rename(building, folder).catch(async (error) => {
      if (!await exists(folder)) throw error; // else another run has finished first
    });
  } finally {
    if (await exists(building)) await Deno.remove(building, { recursive: true });
  }
}

async function runGo(...args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("go", {
    args: [...args],
    cwd: SOURCE,
    env: { CGO_ENABLED: "0", GOFLAGS: "-buildvcs=false" },
  }).output();
  if (!success) throw new Error(`Cannot run "go ${args.join(" ")}":\n${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).trim();
}

function cacheRoot(): string {
  const base = Deno.env.get("XDG_CACHE_HOME") || join(Deno.env.get("HOME") ?? "/root", ".cache");
  return join(base, "buildkitd-autoscaler", "tools");
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, (error) => {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  });
}
