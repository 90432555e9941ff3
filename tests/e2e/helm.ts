/**
 * The `helm` command as a person would call it, of version 4 or 3, with settings of its own.
 *
 * May not know what it installs. A call that fails throws with all that helm said, unless the caller wants the outcome.
 *
 * @module
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { baseEnvironment } from "./child_process.ts";
import { programPath } from "./surroundings.ts";
import { within } from "./waiting.ts";

export type HelmName = "helm" | "helm3";

export const CHART = fileURLToPath(new URL("../../helm/buildkitd-stack", import.meta.url));

/** Values of a chart, as in a values file. */
export type Values = { readonly [name: string]: unknown };

export interface HelmResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Longer than the deadline of any single wait: `--wait` and its own time-out come first. */
const HELM_MS = 180_000;

export class Helm {
  readonly name: HelmName;
  readonly #folder: string;
  readonly #kubeconfig: string | undefined;
  #valuesSoFar = 0;

  /** Everything that helm writes goes to `folder`. Without a kubeconfig it can only render. */
  constructor(name: HelmName, folder: string, kubeconfig?: string) {
    this.name = name;
    this.#folder = folder;
    this.#kubeconfig = kubeconfig;
  }

  /** Runs helm and gives what came of it. */
  async outcome(args: readonly string[], values?: Values): Promise<HelmResult> {
    const all = [...args];
    if (values !== undefined) {
      const path = join(this.#folder, `${this.name}-values-${++this.#valuesSoFar}.json`);
      await Deno.writeTextFile(path, JSON.stringify(values, null, 2));
      all.push("--values", path);
    }
    const home = join(this.#folder, this.name);
    const child = new Deno.Command(programPath(this.name), {
      args: all,
      clearEnv: true,
      env: {
        ...baseEnvironment(),
        HELM_CACHE_HOME: join(home, "cache"),
        HELM_CONFIG_HOME: join(home, "config"),
        HELM_DATA_HOME: join(home, "data"),
        KUBECONFIG: this.#kubeconfig ?? "/dev/null",
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const { code, stdout, stderr } = await within(`the end of helm ${args[0]}`, child.output(), HELM_MS);
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: decode(stdout), stderr: decode(stderr) };
  }

  /** Runs helm, demands success and gives what it printed. */
  async run(args: readonly string[], values?: Values): Promise<string> {
    const { code, stdout, stderr } = await this.outcome(args, values);
    if (code === 0) return stdout;
    throw new Error(`"${this.name} ${args.join(" ")}" ended with ${code}\n${stdout}${stderr}`);
  }
}
