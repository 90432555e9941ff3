/**
 * Shows that the simulation notices when a safety rule is broken:
 *
 *     deno run -A tests/simulation/mutations.ts [--seeds 1000] [--seconds 600] [--from 1] [NAME …]
 *
 * Each change of `mutation_table.ts` is made in a copy of the program, in which the simulation then runs until a seed
 * fails; the program as it is must hold on that seed. Prints for each how many seeds that took and what failed; the exit
 * code is 1 if one survives that should not.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { brokenCopy, simulationIn } from "./broken_copy.ts";
import { MUTATIONS } from "./mutation_table.ts";

/** What came of one mutation. */
interface Verdict {
  readonly found: boolean;
  readonly what: string;
}

/** Searches for a seed that fails with this mutation and holds without. */
async function search(name: string, from: number, limits: readonly string[]): Promise<Verdict> {
  await using copy = await brokenCopy(name);
  const { run = [] } = MUTATIONS[name]!;
  const output = await simulationIn(copy.folder, ["--no-shrink", "--from", `${from}`, ...limits, ...run]);
  const failed = /^FAILED at seed (\d+), commit \w+: (.*)/m.exec(output);
  if (failed === null) {
    const seeds = /: (\d+) seeds,.*\n1 passed, 0 failed$/m.exec(output)?.[1];
    return {
      found: false,
      what: seeds === undefined ? `the run broke: ${output.trim()}` : `in ${seeds} seeds`,
    };
  }
  const [, seed, why] = failed;
  if (
    !/^1 passed, 0 failed$/m.test(await simulationIn(undefined, ["--seed", seed!, "--no-shrink", ...run]))
  ) {
    return { found: false, what: `: the program as it is fails on seed ${seed}, too` };
  }
  return { found: true, what: `${Number(seed) - from + 1} seeds (${seed}): ${why}` };
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { seeds: { type: "string" }, seconds: { type: "string" }, from: { type: "string" } },
    allowPositionals: true,
  });
  const unknown = positionals.filter((name) => !(name in MUTATIONS));
  if (unknown.length > 0) {
    await say(`No such mutation: ${unknown.join(", ")}; there are: ${Object.keys(MUTATIONS).join(", ")}`);
    return 2;
  }
  const { seeds = "1000", seconds, from = "1" } = values;
  const limits = ["--seeds", seeds, ...(seconds === undefined ? [] : ["--seconds", seconds])];
  let survivors = 0;
  for (const name of positionals.length > 0 ? positionals : Object.keys(MUTATIONS)) {
    const { found, what } = await search(name, Number(from), limits);
    const { what: rule, unseen } = MUTATIONS[name]!;
    if (!found && unseen === undefined) survivors++;
    await say(
      `${name} (${rule}): ${found ? "" : "NOT FOUND "}${what}${found || !unseen ? "" : `: ${unseen}`}`,
    );
  }
  return survivors === 0 ? 0 : 1;
}

async function say(line: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(`${line}\n`));
}

if (import.meta.main) Deno.exitCode = await main();
