/**
 * What the tests of many builders share: the builders, the projects that are at home on each, and how builds of a project
 * reach the program by name.
 *
 * @module
 */

import { rank } from "../../lib/route/rank.ts";
import { type HostNames, hostNames } from "./host_names.ts";
import type { Build } from "./build.ts";
import type { ClientName } from "./build_clients.ts";
import type { Program, ProgramOptions } from "./program.ts";
import type { Cluster } from "./scenario.ts";
import { SHORT_TIMES } from "./several_proxies.ts";
import type { Builder } from "./stateful_sets.ts";
import { until } from "./waiting.ts";

/** StatefulSets of a default pool, as the chart names them. */
export const NAMES = ["buildkitd", "buildkitd-b2", "buildkitd-b3"] as const;

/** The first `count` of them, asleep. */
export function asleep(count: number): readonly Builder[] {
  return NAMES.slice(0, count).map((name) => ({ name }));
}

/** The flags for the first `count` builders. */
export function flagsFor(count: number): Readonly<Record<string, string>> {
  return { builders: NAMES.slice(0, count).join(",") };
}

/** A name that is at home on that builder, of the first `count`. It is the same project in every namespace. */
export function projectOn(builder: string, count: number, nth = 0): string {
  return projectAt(builder, NAMES.slice(0, count), nth);
}

/** The same among builders of any names. */
export function projectAt(builder: string, builders: readonly string[], nth = 0): string {
  const candidates = Array.from({ length: 100 }, (_, i) => `project-${i}.ci`);
  const found = candidates.filter((name) => rank(builders, name)[0] === builder)[nth];
  if (found === undefined) throw new Error(`Cannot find a project for "${builder}"`);
  return found;
}

/** Starts the program for the first `count` builders, and waits until it is ready. */
export async function startFor(
  cluster: Cluster,
  count: number,
  flags: Readonly<Record<string, string>> = {},
  options: Pick<ProgramOptions, "listeners"> = {},
): Promise<Program> {
  return await (await cluster.startProgram({ ...SHORT_TIMES, ...flagsFor(count), ...flags }, options))
    .untilReady();
}

/** The names of projects, which lead to a program. */
export class ProjectNames implements AsyncDisposable {
  readonly #cluster: Cluster;
  readonly #names: HostNames;

  private constructor(cluster: Cluster, names: HostNames) {
    this.#cluster = cluster;
    this.#names = names;
  }

  /** Names lead nowhere until a project is built. */
  static async for(cluster: Cluster): Promise<ProjectNames> {
    return new ProjectNames(cluster, await hostNames());
  }

  /** Starts a build of the project, by its name, through `program`. */
  async build(program: Program, project: string, client: ClientName = "buildctl"): Promise<Build> {
    const address = await this.address(program, project);
    return await this.#cluster.build(program, { client, project, address });
  }

  /** Where clients of the project connect: at `address`, by the project's name. */
  async address(program: Program, project: string, address = program.clientAddress): Promise<string> {
    const { hostname } = new URL(address.replace("tcp:", "http:"));
    await this.#names.set(hostname, [project]);
    return address.replace(hostname, project);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#names[Symbol.asyncDispose]();
  }
}

/** The pod that a build ran on, which it finishes first. */
export async function finishedOn(build: Build): Promise<string> {
  await build.finish();
  return (await build.projectStep()).pod;
}

/** Waits until each of the first `count` builders has gone through exactly these counts. */
export async function settleAll(
  cluster: Cluster,
  wanted: Readonly<Record<string, readonly number[]>>,
): Promise<void> {
  for (const [name, counts] of Object.entries(wanted)) await cluster.timelineOf(name).settle(counts);
}

/** Waits until so many sessions are queued, by the program's own count. */
export async function untilQueued(program: Program, count: number): Promise<void> {
  await until(
    `${count} sessions to be queued`,
    async () => await program.metric("buildkitd_autoscaler_sessions_queued") === count,
    { explain: () => program.tail() },
  );
}
