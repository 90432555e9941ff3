/**
 * A place where commands of documents and workflows run as they stand: a PATH and settings of its own.
 *
 * helm, kubectl, docker-buildx and git are real. Stand-ins replace what this machine cannot have: `docker` (docker.ts),
 * `kubectl port-forward`, whose other end is a kubelet (port_forward.ts), `npx deno@VERSION`, which starts the running Deno,
 * and `gh`, which only records its arguments.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { baseEnvironment, Child } from "../child_process.ts";
import { programPath } from "../surroundings.ts";
import { within } from "../waiting.ts";
import type { DockerBuilder } from "./builder.ts";
import type { DockerSettings } from "./docker.ts";

/** The slowest command is an image build for two platforms. */
const COMMAND_LIMIT_MS = 180_000;

const OWN_DENO = `"${Deno.execPath()}" run --allow-all --no-check --cached-only --quiet`;

const own = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Shell scripts by the name of the program that each stands in for. */
function standIns(ghLog: string): Readonly<Record<string, string>> {
  return {
    docker: `exec ${OWN_DENO} "${own("docker.ts")}" "$@"`,
    kubectl: `case " $* " in
  *" port-forward "*) exec ${OWN_DENO} "${own("port_forward.ts")}" "${programPath("kubectl")}" "$@" ;;
esac
exec "${programPath("kubectl")}" "$@"`,
    npx: `[ "$1" = "deno@${Deno.version.deno}" ] || { echo "npx: no stand-in for $1" >&2; exit 1; }
shift
exec "${Deno.execPath()}" "$@"`,
    gh: `for arg in "$@"; do printf '%s\\n' "$arg"; done >> "${ghLog}"`,
  };
}

export interface WorkplaceOptions {
  /** For settings and logs. It must not exist yet. */
  readonly folder: string;
  readonly builder: DockerBuilder;
  /** The certificate of the registry, as a file. */
  readonly caFile: string;
  /** Variables beside those that every command gets. */
  readonly env?: Readonly<Record<string, string>>;
}

/** How one command is run. */
export interface CommandOptions {
  readonly name: string;
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Options of bash; by default a script stops at its first failure. */
  readonly shell?: readonly string[];
}

export class Workplace {
  readonly folder: string;
  readonly #env: Readonly<Record<string, string>>;
  #commandsSoFar = 0;

  private constructor(folder: string, env: Readonly<Record<string, string>>) {
    this.folder = folder;
    this.#env = env;
  }

  static async create({ folder, builder, caFile, env }: WorkplaceOptions): Promise<Workplace> {
    const bin = join(folder, "bin");
    await Deno.mkdir(bin, { recursive: true });
    await Deno.symlink(programPath("helm"), join(bin, "helm"));
    for (const [name, script] of Object.entries(standIns(join(folder, "gh.log")))) {
      await Deno.writeTextFile(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    }
    const docker: DockerSettings = {
      builder: builder.address,
      contexts: builder.bases.map(({ name, layout }) =>
        `${name}=oci-layout://${layout.folder}@${layout.digest}`
      ),
      caFile,
    };
    const settings = (name: string) => join(folder, "settings", name);
    return new Workplace(folder, {
      PATH: `${bin}:${dirname(Deno.execPath())}:${baseEnvironment()["PATH"]}`,
      E2E_SURROUNDINGS: Deno.env.get("E2E_SURROUNDINGS") ?? "",
      E2E_DOCKER: JSON.stringify(docker),
      SSL_CERT_FILE: caFile,
      DOCKER_CONFIG: settings("docker"),
      BUILDX_CONFIG: settings("buildx"),
      HELM_CACHE_HOME: settings("helm-cache"),
      HELM_CONFIG_HOME: settings("helm-config"),
      HELM_DATA_HOME: settings("helm-data"),
      GIT_CONFIG_GLOBAL: "/dev/null",
      KUBECONFIG: "/dev/null",
      ...env,
    });
  }

  /** Starts a script of bash. */
  start(script: string, { name, cwd, env = {}, shell = ["-eo", "pipefail"] }: CommandOptions): Child {
    const n = ++this.#commandsSoFar;
    return new Child({
      name,
      command: "bash",
      args: [...shell, "-c", script],
      cwd,
      env: { ...this.#env, ...env },
      logFile: join(this.folder, `command-${n}.log`),
    });
  }

  /** Runs a script of bash to its end, demands success, and gives what it printed. */
  async run(script: string, options: CommandOptions): Promise<string> {
    const child = this.start(script, options);
    try {
      const { code } = await within(`the end of "${options.name}"`, child.exited, COMMAND_LIMIT_MS);
      if (code !== 0) throw new Error(`"${options.name}" ended with ${code}\n${child.tail(80)}`);
      return await Deno.readTextFile(child.logFile);
    } finally {
      await child.kill();
    }
  }

  /** The arguments of every call of `gh`, in order. */
  async ghCalls(): Promise<readonly string[]> {
    return (await Deno.readTextFile(join(this.folder, "gh.log"))).trimEnd().split("\n");
  }
}
