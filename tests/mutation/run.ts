/**
 * The mutation run: puts one small mistake at a time into the program, and sees whether a test notices.
 *
 *     deno task mutate [--folder scaler] [--file lib/scaler/decide.ts] [--sample 60] [--seed 1] [--jobs 2] [--thorough]
 *     deno task mutate --id 1a2b3c4d
 *
 * Each mutant is tried with the unit and property tests that see its file, nearest first, then with the type checker, and
 * with the integration tests of its folder, if it has any; with `--thorough`, one that survives is tried with the rest of
 * integration and simulation as well. Prints each survivor as it is found, and a table at the end. `--id` shows one mutant
 * and the output of its tests. The exit code is 2 when an entry of `allowed/` fits nothing.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { sourceFiles } from "../repo/source.ts";
import { seededRandom } from "../support/seeded_random.ts";
import { sortOut } from "./allowed.ts";
import { type Baselines, Copy, type Outcome } from "./copy.ts";
import { folderOf, importGraph, testsOf } from "./import_graph.ts";
import { diffOf, type Mutant, mutantsOf } from "./operators.ts";
import { tableOf } from "./report.ts";

const FOLDERS = [
  "proxy",
  "route",
  "target",
  "scaler",
  "ha",
  "kube",
  "config",
  "ops",
  "check",
  "app",
];

/** Whether mutants of this file are made. */
export function isMutated(path: string): boolean {
  return path === "lib/app.ts" || (FOLDERS.includes(folderOf(path)) && /^lib\/\w+\//.test(path));
}

/** `count` of these, chosen by `seed` alone; all if there are fewer. */
export function sampleOf<T>(all: readonly T[], count: number, seed: number): readonly T[] {
  const random = seededRandom(seed);
  const rest = [...all];
  const chosen: T[] = [];
  while (chosen.length < count && rest.length > 0) {
    chosen.push(...rest.splice(random.integer(0, rest.length - 1), 1));
  }
  return chosen;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      folder: { type: "string", multiple: true, default: FOLDERS },
      file: { type: "string", multiple: true },
      id: { type: "string", multiple: true },
      sample: { type: "string" },
      seed: { type: "string", default: "1" },
      jobs: { type: "string", default: "2" },
      thorough: { type: "boolean", default: false },
    },
  });
  const files = await sourceFiles(new URL("../../", import.meta.url));
  const texts = new Map(files.map(({ path, text }) => [path, text]));
  const graph = importGraph(files);
  const all = files.filter(({ path }) => isMutated(path)).flatMap(({ path, text }) => mutantsOf(path, text));
  const { wanted, harmless, stale } = sortOut(all, texts);
  for (const entry of stale) {
    await say(`Cannot find a mutant that fits an entry of tests/mutation/allowed: ${JSON.stringify(entry)}`);
  }
  if (stale.length > 0) return 2;

  const { id: ids } = values;
  const isChosen = ({ path, id }: Mutant) =>
    ids?.includes(id) ?? values.file?.includes(path) ?? values.folder.includes(folderOf(path));
  const candidates = Map.groupBy(
    (ids === undefined ? wanted : all).filter(isChosen),
    ({ path }) => folderOf(path),
  );
  const sample = Number(values.sample ?? Infinity);
  const chosen = [...candidates].map(([folder, mutants]) =>
    [folder, sampleOf(mutants, sample, Number(values.seed))] as const
  );
  const queue = chosen.flatMap(([, mutants]) => mutants);
  if (queue.length === 0) {
    await say(
      "Cannot find a mutant that is asked for: want a file or folder of lib, or an id of this checkout",
    );
    return 2;
  }
  if (ids !== undefined) await say(queue.map((mutant) => describe(mutant, texts)).join("\n"));

  const outcomes = await tryAll(queue, {
    jobs: Number(values.jobs),
    stagesOf: ({ path }) => testsOf(path, graph, values.thorough),
    found: (mutant, outcome) => outcome === "survived" ? say(describe(mutant, texts)) : Promise.resolve(),
    ...(ids === undefined ? {} : { show: (output) => void say(output) }),
  });
  const results = chosen.map(([folder, mutants]) => ({
    folder,
    mutants: candidates.get(folder)!.length,
    harmless: harmless.filter(isChosen).filter(({ path }) => folderOf(path) === folder).length,
    outcomes: mutants.map((mutant) => outcomes.get(mutant)!),
  }));
  await say(tableOf(results));
  return 0;
}

interface Plan {
  readonly jobs: number;
  readonly stagesOf: (mutant: Mutant) => readonly (readonly string[])[];
  readonly found: (mutant: Mutant, outcome: Outcome) => Promise<void>;
  readonly show?: (output: string) => void;
}

/** Tries all of them, in several copies at once. */
async function tryAll(mutants: readonly Mutant[], plan: Plan): Promise<ReadonlyMap<Mutant, Outcome>> {
  const baselines: Baselines = new Map();
  const outcomes = new Map<Mutant, Outcome>();
  const copies = await Promise.all(Array.from({ length: plan.jobs }, () => Copy.make(baselines)));
  const remove = () => Promise.all(copies.map((copy) => copy[Symbol.asyncDispose]()));
  const interrupted = () => void remove().finally(() => Deno.exit(130));
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, interrupted);
  const queue = mutants.values();
  try {
    await Promise.all(copies.map(async (copy) => {
      for (const mutant of queue) {
        const outcome = await copy.try(mutant, plan.stagesOf(mutant), plan.show);
        outcomes.set(mutant, outcome);
        await plan.found(mutant, outcome);
      }
    }));
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(signal, interrupted);
    await remove();
  }
  return outcomes;
}

function describe(mutant: Mutant, texts: ReadonlyMap<string, string>): string {
  const { id, path, line, operator } = mutant;
  return `${path}:${line} ${operator} (${id})\n${diffOf(texts.get(path)!, mutant)}`;
}

async function say(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await Deno.stdout.write(rest));
}

if (import.meta.main) Deno.exitCode = await main();
