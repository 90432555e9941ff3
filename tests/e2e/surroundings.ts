/**
 * What `run.ts` tells the tests: where they may write, and where the programs lie.
 *
 * @module
 */

import { basename } from "node:path";

/** The environment that `run.ts` gives to the tests. */
export interface Surroundings {
  readonly folder: string;
  /** Paths of programs by name. */
  readonly programs: Readonly<Record<string, string>>;
}

/** What `run.ts` has made; fails outside of it. */
export function surroundings(): Surroundings {
  const text = Deno.env.get("E2E_SURROUNDINGS");
  if (text === undefined) {
    throw new Error("Cannot run the end-to-end tests by themselves: use deno run -A tests/e2e/run.ts");
  }
  return JSON.parse(text);
}

/** The path of a program that `run.ts` has built or found. */
export function programPath(name: string): string {
  const path = surroundings().programs[name];
  if (path === undefined) throw new Error(`Cannot find the program "${name}": run.ts did not name it`);
  return path;
}

/** The name of the control group below which containers of the suite have theirs; `run.ts` removes it. */
export function cgroupParent(): string {
  return basename(surroundings().folder);
}
