/**
 * A copy of the program in a temporary folder in which a rule is broken, and the simulation of it.
 *
 * @module
 */
import { type Mutation, MUTATIONS } from "./mutation_table.ts";

/** The checkout. */
const ROOT = new URL("../../", import.meta.url);

/** Makes a copy in which this rule is broken. Dispose of it. @throws Error when the text is not there any more */
export async function brokenCopy(name: string): Promise<{ readonly folder: string } & AsyncDisposable> {
  const folder = await Deno.makeTempDir();
  for (const path of ["lib", "tests/simulation", "tests/support"]) {
    await copy(new URL(path, ROOT), `${folder}/${path}`);
  }
  for (const path of ["deno.json", "deno.lock"]) {
    await Deno.copyFile(new URL(path, ROOT), `${folder}/${path}`);
  }
  for (let mutation: Mutation | undefined = MUTATIONS[name]; mutation !== undefined;) {
    const path = `${folder}/lib/${mutation.file}`;
    await Deno.writeTextFile(path, brokenText(await Deno.readTextFile(path), mutation.change, mutation.file));
    mutation = mutation.and === undefined ? undefined : MUTATIONS[mutation.and];
  }
  return { folder, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}

/** What `run.ts` prints there, or in the checkout. */
export async function simulationIn(folder: string | undefined, args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "tests/simulation/run.ts", ...args],
    cwd: folder ?? ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

/** The text with the rule broken. @throws Error when it does not have what is to be changed exactly once */
export function brokenText(text: string, change: Mutation["change"], path: string): string {
  return change.reduce((changed, [before, after]) => {
    if (changed.split(before).length !== 2) {
      throw new Error(`Cannot break the rule in ${path}: want this once: ${before}`);
    }
    return changed.replace(before, () => after);
  }, text);
}

async function copy(from: URL, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    const source = new URL(`${from.pathname}/${name}`, from);
    if (isDirectory) await copy(source, `${to}/${name}`);
    else await Deno.copyFile(source, `${to}/${name}`);
  }
}
