/**
 * Helm for the chart's tests: built from its Go module when it is not there yet, run without the user's settings and
 * without a network; without a cluster, too, unless one is given. Fails with what helm said.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadAll } from "js-yaml";
import { ensureBuilt } from "../e2e/tools.ts";

/** The chart's folder. */
export const CHART = fileURLToPath(new URL("../../helm/buildkitd-stack", import.meta.url));

/** The release's name and namespace, unless others are given. */
const RELEASE = ["ci", "--namespace", "builds"];

/** What a run of helm gave. */
export interface HelmResult {
  readonly success: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** One Kubernetes object. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  // deno-lint-ignore no-explicit-any -- objects of every kind
  readonly [field: string]: any;
}

/** One version of helm. */
export class Helm {
  readonly #path: string;
  readonly #kubeconfig: string | undefined;

  private constructor(path: string, kubeconfig?: string) {
    this.#path = path;
    this.#kubeconfig = kubeconfig;
  }

  static async of(version: "helm" | "helm3"): Promise<Helm> {
    const say = (line: string) => void Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
    return new Helm(join(await ensureBuilt(version, say), version));
  }

  /** The same helm, which renders an upgrade, and looks up what the chart asks for in the cluster of that kubeconfig. */
  withCluster(kubeconfig: string): Helm {
    return new Helm(this.#path, kubeconfig);
  }

  async run(...args: string[]): Promise<HelmResult> {
    const output = await new Deno.Command(this.#path, {
      args,
      clearEnv: true,
      env: {
        HOME: "/nonexistent",
        KUBECONFIG: this.#kubeconfig ?? "/nonexistent",
        HELM_CACHE_HOME: "/nonexistent",
      },
      stdout: "piped",
      stderr: "piped",
    }).output();
    const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes));
    return { success: output.success, stdout: stdout!, stderr: stderr! };
  }

  /** The manifest as text. @throws Error with helm's message */
  async template(values: unknown, chart = CHART, release: readonly string[] = RELEASE): Promise<string> {
    const look = this.#kubeconfig === undefined
      ? []
      : ["--dry-run=server", "--is-upgrade", "--disable-openapi-validation"];
    return await this.#withValues(
      values,
      async (file) => succeeded(await this.run("template", ...release, chart, "--values", file, ...look)),
    );
  }

  /** The objects that the chart makes, by `Kind/name`. */
  async objects(
    values: unknown,
    chart = CHART,
    release: readonly string[] = RELEASE,
  ): Promise<ReadonlyMap<string, KubeObject>> {
    const all = (loadAll(await this.template(values, chart, release)) as (KubeObject | null)[]).filter((
      each,
    ) => each !== null);
    return new Map(all.map((each) => [`${each.kind}/${each.metadata.name}`, each]));
  }

  /** What helm prints after an install, or would print in a cluster that it has. Only helm 4 can tell without one. */
  async notes(values: unknown): Promise<string> {
    const look = this.#kubeconfig === undefined
      ? ["--dry-run=client"]
      : ["--dry-run=server", "--disable-openapi-validation"];
    return await this.#withValues(values, async (file) => {
      const stdout = succeeded(
        await this.run("install", ...RELEASE, CHART, "--values", file, ...look),
      );
      return stdout.slice(stdout.lastIndexOf("\nNOTES:\n") + "\nNOTES:\n".length);
    });
  }

  async #withValues<T>(values: unknown, use: (file: string) => Promise<T>): Promise<T> {
    const file = await Deno.makeTempFile({ prefix: "values-", suffix: ".yaml" });
    try {
      await Deno.writeTextFile(file, JSON.stringify(values));
      return await use(file);
    } finally {
      await Deno.remove(file);
    }
  }
}

function succeeded({ success, stdout, stderr }: HelmResult): string {
  if (!success) throw new Error(stderr);
  return stdout;
}
