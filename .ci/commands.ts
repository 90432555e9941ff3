/**
 * What the build steps share: running a program to its end, and the folder for what is slow to make. Fails by
 * throwing an error that names the program and ends in what it said.
 *
 * @module
 */
import { join } from "node:path";

/** The end of a failed program's output that goes into the error, in characters. */
const TAIL = 2000;

/** How a program is run. */
export interface RunOptions {
  /** Its working folder. */
  readonly cwd?: string;
  /** Added to this process's variables. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a program to its end and gives what it printed on standard output. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const output = await new Deno.Command(command, { args: [...args], stdin: "null", ...options }).output()
    .catch((error) => {
      throw new Error(`Cannot run "${command}": ${error.message}`, { cause: error });
    });
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (output.success) return decode(output.stdout);
  // Deno's own stack says nothing to anybody here.
  const [said = ""] = `${decode(output.stdout)}\n${decode(output.stderr)}`.split("\nStack backtrace:");
  throw new Error(`"${command} ${args[0] ?? ""}" ended with ${output.code}:\n${said.trim().slice(-TAIL)}`);
}

/** The folder outside of the checkout for what is slow to make; the name says by what it was made. */
export function cacheFolder(name: string): string {
  const base = Deno.env.get("XDG_CACHE_HOME") || join(Deno.env.get("HOME") ?? "/root", ".cache");
  return join(base, "buildkitd-autoscaler", name);
}

/** Whether there is such a file or folder. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** A short hash for the names of cached things. */
export async function digestOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex().slice(0, 16);
}
