/**
 * Names that the programs of the suite resolve, as a cluster's name server has those of Services: lines of `/etc/hosts`.
 *
 * The file is replaced in the suite's own mount namespace only, and only until the names are disposed of.
 *
 * @module
 */

import { join } from "node:path";
import { surroundings } from "./surroundings.ts";

const HOSTS = "/etc/hosts";

/** Names in use. */
export interface HostNames extends AsyncDisposable {
  /** Gives these names an address, in place of the one before. */
  set(address: string, names: readonly string[]): Promise<void>;
}

/** Puts a file without names of the suite in place of the machine's. */
export async function hostNames(): Promise<HostNames> {
  const file = join(surroundings().folder, "hosts");
  const machine = await Deno.readTextFile(HOSTS);
  const addresses = new Map<string, string>();
  const write = () =>
    Deno.writeTextFile(
      file,
      [machine, ...[...addresses].map(([name, ip]) => `${ip} ${name}`), ""].join("\n"),
    );
  await write();
  await run("mount", "--bind", file, HOSTS);
  return {
    async set(address, names) {
      for (const name of names) addresses.set(name, address);
      await write();
    },
    [Symbol.asyncDispose]: () => run("umount", HOSTS),
  };
}

async function run(command: string, ...args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
