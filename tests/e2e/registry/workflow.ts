/**
 * Runs the jobs of a GitHub workflow as far as that is possible without GitHub: the scripts of `run` steps as they stand,
 * by bash, each job in a clone of its own; artifacts by folders.
 *
 * What it cannot run is in {@link Rehearsal.left}, for the caller to compare: jobs of other workflows, other kinds of
 * machines, attestations. Everything else that it does not know (an action, a condition, an expression) is an error, so
 * that no part of a workflow is skipped silently.
 *
 * @module
 */

import { join } from "node:path";
import { load } from "js-yaml";
import { exists, run } from "../../../.ci/commands.ts";
import type { Workplace } from "./workplace.ts";

type Strings = Readonly<Record<string, string>>;

interface Step {
  readonly name?: string;
  readonly id?: string;
  readonly uses?: string;
  readonly with?: Readonly<Record<string, unknown>>;
  readonly run?: string;
  readonly env?: Strings;
  readonly shell?: string;
}

interface Job {
  readonly uses?: string;
  readonly needs?: string | readonly string[];
  readonly "runs-on"?: string;
  readonly permissions?: unknown;
  readonly strategy?: { readonly matrix: { readonly include: readonly Strings[] } };
  readonly steps?: readonly Step[];
}

/** A workflow, as far as it is read. */
export interface Workflow {
  readonly env: Strings;
  readonly jobs: Readonly<Record<string, Job>>;
}

const JOB_KEYS = ["uses", "needs", "runs-on", "permissions", "strategy", "steps"];
const STEP_KEYS = ["name", "id", "uses", "with", "run", "env", "shell"];

/** The only kind of machine whose jobs can run here. */
const RUNNER = "ubuntu-24.04";

/** Actions that only GitHub can run. */
const ONLY_AT_GITHUB = ["actions/attest-build-provenance", "actions/attest-sbom"];

/** How GitHub runs a step: without `pipefail`, unless the step names its shell. */
const SHELLS: Readonly<Record<string, readonly string[]>> = {
  "": ["-e"],
  "bash": ["--noprofile", "--norc", "-eo", "pipefail"],
};

export interface RehearsalOptions {
  readonly workflow: Workflow;
  readonly workplace: Pick<Workplace, "folder" | "run">;
  /** The repository that every job clones. */
  readonly repository: string;
  readonly tag: string;
  readonly commit: string;
  /** In the place of the workflow's own variables of these names. */
  readonly env: Strings;
  /** `GITHUB_ACTOR`, and what `github.token` is. */
  readonly actor: { readonly name: string; readonly password: string };
}

/** One job on one machine. */
interface Run {
  readonly title: string;
  readonly folder: string;
  readonly matrix: Strings;
  readonly outputs: Record<string, Strings>;
}

export class Rehearsal {
  /** What was not run, in the workflow's order. */
  readonly left: string[] = [];
  /** What was run, and for how long. */
  readonly done: string[] = [];
  readonly #options: RehearsalOptions;

  constructor(options: RehearsalOptions) {
    this.#options = options;
    for (const name of Object.keys(options.env)) {
      if (!(name in options.workflow.env)) {
        throw new Error(`Cannot set "${name}": the workflow has no such variable`);
      }
    }
  }

  /** Where an artifact lies. */
  artifact(name: string): string {
    return join(this.#options.workplace.folder, "artifacts", name);
  }

  /** The folder that a job ran in. */
  folderOf(title: string): string {
    return join(this.#options.workplace.folder, "jobs", title.replace(/\W+/g, "-"));
  }

  /** Runs all jobs in the workflow's order. */
  async run(): Promise<void> {
    const { jobs } = this.#options.workflow;
    const seen: string[] = [];
    for (const [name, job] of Object.entries(jobs)) {
      refuseUnknown(`job "${name}"`, job, JOB_KEYS);
      const missing = [job.needs ?? []].flat().filter((need) => !seen.includes(need));
      if (missing.length > 0) throw new Error(`Cannot run "${name}": it needs ${missing}, which comes later`);
      for (const matrix of job.strategy?.matrix.include ?? [{}]) await this.#job(name, job, matrix);
      seen.push(name);
    }
  }

  async #job(name: string, job: Job, matrix: Strings): Promise<void> {
    const title = matrix.target === undefined ? name : `${name} (${matrix.target})`;
    if (job.uses !== undefined) return void this.left.push(`${title}: ${job.uses}`);
    const runner = evaluate(job["runs-on"] ?? "", { matrix });
    if (runner !== RUNNER) return void this.left.push(`${title}: the machine ${runner}`);
    const folder = this.folderOf(title);
    await Deno.mkdir(folder, { recursive: true });
    const startedMs = performance.now();
    const current = { title, folder, matrix, outputs: {} };
    for (const step of job.steps ?? []) await this.#step(step, current);
    this.done.push(`${title} ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  }

  async #step(step: Step, current: Run): Promise<void> {
    refuseUnknown(`a step of "${current.title}"`, step, STEP_KEYS);
    if (step.run !== undefined) return await this.#script(step, step.run, current);
    const [action = ""] = (step.uses ?? "").split("@");
    if (ONLY_AT_GITHUB.includes(action)) return void this.left.push(`${current.title}: ${action}`);
    const work = ACTIONS[action];
    if (work === undefined) {
      throw new Error(`Cannot rehearse "${current.title}": no stand-in for "${action}"`);
    }
    const inputs = Object.entries(step.with ?? {}).map(([key, value]) =>
      [key, evaluate(String(value), this.#contexts(current))] as const
    );
    await work(Object.fromEntries(inputs), {
      folder: current.folder,
      artifacts: join(this.#options.workplace.folder, "artifacts"),
      repository: this.#options.repository,
      tag: this.#options.tag,
    });
  }

  async #script(step: Step, script: string, current: Run): Promise<void> {
    const { workplace, workflow, tag, commit, actor } = this.#options;
    const contexts = this.#contexts(current);
    const output = join(workplace.folder, "output");
    await Deno.writeTextFile(output, "");
    const own = Object.entries(step.env ?? {}).map(([key, value]) =>
      [key, evaluate(value, contexts)] as const
    );
    const shell = SHELLS[step.shell ?? ""];
    if (shell === undefined) throw new Error(`Cannot run a step of "${current.title}" by "${step.shell}"`);
    await workplace.run(evaluate(script, contexts), {
      name: `${current.title}: ${step.name ?? script.split("\n")[0]}`,
      cwd: current.folder,
      shell,
      env: {
        ...{ ...workflow.env, ...this.#options.env },
        GITHUB_REF_NAME: tag,
        GITHUB_SHA: commit,
        GITHUB_ACTOR: actor.name,
        GITHUB_REPOSITORY: "EarthBuild/buildkitd-autoscaler",
        GITHUB_OUTPUT: output,
        ...Object.fromEntries(own),
      },
    });
    if (step.id === undefined) return;
    const lines = (await Deno.readTextFile(output)).trimEnd().split("\n");
    current.outputs[step.id] = Object.fromEntries(lines.map((line) => line.split("=", 2)));
  }

  #contexts({ matrix, outputs }: Run) {
    return {
      matrix,
      env: { ...this.#options.workflow.env, ...this.#options.env },
      github: { token: this.#options.actor.password },
      steps: Object.fromEntries(Object.entries(outputs).map(([id, values]) => [id, { outputs: values }])),
    };
  }
}

function refuseUnknown(what: string, value: object, known: readonly string[]): void {
  const unknown = Object.keys(value).filter((key) => !known.includes(key));
  if (unknown.length > 0) throw new Error(`Cannot rehearse ${what}: it has ${unknown.join(", ")}`);
}

/** Replaces each `${{ NAME }}` by its value. */
function evaluate(text: string, contexts: object): string {
  return text.replace(/\$\{\{\s*(.*?)\s*\}\}/g, (_, expression: string) => {
    let value: unknown = contexts;
    for (const name of expression.split(".")) value = (value as Record<string, unknown> | undefined)?.[name];
    if (typeof value !== "string") throw new Error(`Cannot evaluate "${expression}" here`);
    return value;
  });
}

interface ActionPlace {
  readonly folder: string;
  readonly artifacts: string;
  readonly repository: string;
  readonly tag: string;
}

/** Stand-ins for the actions that move files, by name. */
const ACTIONS: Readonly<Record<string, (inputs: Strings, place: ActionPlace) => Promise<void>>> = {
  "actions/checkout": async (_, { folder, repository, tag }) => {
    await run("git", ["clone", "--quiet", "--branch", tag, repository, folder]);
  },
  "actions/upload-artifact": async ({ name = "", path = "" }, { folder, artifacts }) => {
    const target = join(artifacts, name);
    await Deno.mkdir(target, { recursive: true });
    // A pattern that matches nothing is an error of cp.
    for (const pattern of path.trim().split("\n")) {
      await run("bash", ["-c", `cp -- ${pattern} "$1"`, "bash", target], { cwd: folder });
    }
  },
  "actions/download-artifact": async ({ name, path = "." }, { folder, artifacts }) => {
    const names = name === undefined ? [...Deno.readDirSync(artifacts)].map((entry) => entry.name) : [name];
    const target = join(folder, path);
    await Deno.mkdir(target, { recursive: true });
    for (const each of names) {
      if (!await exists(join(artifacts, each))) {
        throw new Error(`Cannot download "${each}": no such artifact`);
      }
      await run("bash", ["-c", `cp -- "$1"/* "$2"`, "bash", join(artifacts, each), target]);
    }
  },
};

/** Reads a workflow. */
export async function readWorkflow(path: string): Promise<Workflow> {
  return load(await Deno.readTextFile(path)) as Workflow;
}
