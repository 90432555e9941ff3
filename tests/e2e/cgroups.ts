/**
 * Removes the control groups that a run has made, of version 1 and 2.
 *
 * @module
 */

import { join } from "node:path";
import { until } from "./waiting.ts";

const CGROUPS = "/sys/fs/cgroup";

/** Killed processes take a moment to leave their control groups. */
const LEAVE_MS = 10_000;

/** Removes the control groups of that name and those below them. Ones that are not there are no error. */
export async function removeCgroups(name: string): Promise<void> {
  for (const hierarchy of Deno.readDirSync(CGROUPS)) {
    if (hierarchy.isDirectory) await removeCgroup(join(CGROUPS, hierarchy.name, name));
  }
  await removeCgroup(join(CGROUPS, name));
}

async function removeCgroup(path: string): Promise<void> {
  try {
    for await (const entry of Deno.readDir(path)) {
      if (entry.isDirectory) await removeCgroup(join(path, entry.name));
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  // Its files cannot be removed and go with it, so this must be a plain rmdir.
  await until(`control group ${path} to be empty`, async () => {
    await Deno.remove(path);
    return true;
  }, { deadlineMs: LEAVE_MS });
}
