/**
 * `kubectl` and `helm` on the cluster that is up, as a person calls them.
 *
 * @module
 */

import { dirname } from "node:path";
import { baseEnvironment } from "../e2e/child_process.ts";
import { CHART } from "../e2e/helm.ts";
import { within } from "../e2e/waiting.ts";
import { KUBECONFIG } from "./place.ts";
import { clusterPrograms } from "./up.ts";

export { CHART };

/** Longer than the limits that the commands have themselves. */
const COMMAND_MS = 300_000;

/** The path of a program that the cluster runs, or that its users call. */
export const program = await clusterPrograms(() => {});

/** What a person's shell has who did what `up` has printed. */
export function shellEnvironment(): Record<string, string> {
  const path = [...new Set(["kubectl", "helm"].map((name) => dirname(program(name))))];
  const environment = baseEnvironment();
  return { ...environment, PATH: [...path, environment["PATH"]].join(":"), KUBECONFIG };
}

/** What came of a command. */
export interface Outcome {
  readonly code: number;
  readonly output: string;
}

/** Runs a command to its end. Its two kinds of output come together. */
export async function outcome(command: string, args: readonly string[], cwd?: string): Promise<Outcome> {
  const child = new Deno.Command(command, {
    args: [...args],
    clearEnv: true,
    env: shellEnvironment(),
    stdin: "null",
    ...cwd === undefined ? {} : { cwd },
  });
  const { code, stdout, stderr } = await within(
    `the end of ${command} ${args[0]}`,
    child.output(),
    COMMAND_MS,
  );
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, output: `${decode(stdout)}${decode(stderr)}` };
}

async function succeed(command: string, args: readonly string[]): Promise<string> {
  const { code, output } = await outcome(command, args);
  if (code !== 0) throw new Error(`"${command} ${args.join(" ")}" ended with ${code}\n${output}`);
  return output;
}

/** Runs kubectl, demands success, and gives what it printed. */
export function kubectl(...args: readonly string[]): Promise<string> {
  return succeed(program("kubectl"), args);
}

/** Runs helm, demands success, and gives what it printed. */
export function helm(...args: readonly string[]): Promise<string> {
  return succeed(program("helm"), args);
}

/** Creates or changes objects as `kubectl apply` does. */
export async function apply(...objects: readonly unknown[]): Promise<void> {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(file, JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
    await kubectl("apply", "--filename", file);
  } finally {
    await Deno.remove(file);
  }
}
