/**
 * Names that the programs of the suite resolve, as a cluster's name server has those of Services: lines of `/etc/hosts`.
 *
 * The file is replaced in the suite's own mount namespace only, and only until the names are disposed of.
 *
 * @module
 */

import assert from "node:assert/strict";
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
  /** Never empties the file: a client may be reading it, and finds what was there before. */
  const write = async () => {
    const text = [machine, ...[...addresses].map(([name, ip]) => `${ip} ${name}`), ""].join("\n");
    const bytes = new TextEncoder().encode(text);
    using open = await Deno.open(file, { write: true, create: true });
    assert.equal(await open.write(bytes), bytes.byteLength, "in one piece");
    await open.truncate(bytes.byteLength);
  };
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
