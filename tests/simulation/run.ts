/**
 * Runs the simulation by hand and in CI:
 *
 *     deno task simulate --seeds 1000 | --seconds 300 | --seed 42 [--trace]
 *
 * `--from` sets the first seed; without it, it is drawn. `--without a,b`, `--proxies`, `--clients`, `--watchers`,
 * `--backlog`, `--builders`, `--replicas` and `--duration` (ms) make a run smaller, as a failure's replay command says. Prints a summary; a failure prints its seed, the commit, the
 * smallest run that still fails, the end of its trace and the command that repeats it, and makes the exit code 1.
 * `--keep-going` does not stop at the first, `--no-shrink` leaves it as it is. The last line counts all seeds together
 * as one test, but each that failed.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { messageOf } from "../../lib/base/errors.ts";
import { type FaultName, FAULTS } from "./faults.ts";
import { replayArguments, shrink, SIZES } from "./shrink.ts";
import { type Options, type Outcome, simulate } from "./simulate.ts";

/** Lines of a failing run's trace that are printed. */
const LINES = 120;

const FLAGS = {
  seeds: { type: "string" },
  seconds: { type: "string" },
  seed: { type: "string" },
  from: { type: "string" },
  without: { type: "string" },
  proxies: { type: "string" },
  clients: { type: "string" },
  watchers: { type: "string" },
  backlog: { type: "string" },
  builders: { type: "string" },
  replicas: { type: "string" },
  duration: { type: "string" },
  trace: { type: "boolean" },
  "keep-going": { type: "boolean" },
  "no-shrink": { type: "boolean" },
} as const;

type NumberFlag = "seeds" | "seconds" | "seed" | "from" | "duration" | typeof SIZES[number];

/** What is wrong with the arguments. */
class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What is to be done. */
interface Work {
  readonly first: number;
  readonly seeds: number;
  readonly seconds: number;
  readonly keepGoing: boolean;
  readonly shrinks: boolean;
  optionsOf(seed: number): Options;
}

/** @throws UsageError */
function parse(args: readonly string[]): Work {
  const { values } = parsed(args);
  const number = (name: NumberFlag) => {
    const text = values[name];
    if (text !== undefined && !/^\d{1,15}$/.test(text)) {
      throw new UsageError(`Cannot parse "--${name}": found "${text}", want a whole number`);
    }
    return text === undefined ? undefined : Number(text);
  };
  const names = (values.without ?? "").split(",").filter((name) => name !== "");
  const unknown = names.filter((name) => !(name in FAULTS));
  if (unknown.length > 0) {
    throw new UsageError(
      `Cannot parse "--without": found "${unknown.join(",")}", want some of: ${
        Object.keys(FAULTS).join(", ")
      }`,
    );
  }
  const seed = number("seed"), seconds = number("seconds");
  const sizes = Object.fromEntries(
    SIZES.map((name) => [name, number(name)]).filter(([, value]) => value !== undefined),
  );
  const durationMs = number("duration");
  return {
    first: seed ?? number("from") ?? Math.floor(Math.random() * 1_000_000_000),
    seeds: seed !== undefined ? 1 : number("seeds") ?? (seconds === undefined ? 100 : Infinity),
    seconds: seconds ?? Infinity,
    keepGoing: values["keep-going"] ?? false,
    shrinks: !values["no-shrink"],
    optionsOf: (seed) => ({
      seed,
      without: new Set(names as FaultName[]),
      ...sizes,
      ...(durationMs === undefined ? {} : { durationMs }),
      ...(values.trace ? { print: say } : {}),
    }),
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: FLAGS });
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

/** What all runs together have seen. */
interface Sum {
  seeds: number;
  simulatedMs: number;
  sessions: number;
  served: number;
  lostToFaults: number;
  toldWhy: number;
  scaleUps: number;
  scaleDowns: number;
  failures: number;
  readonly exceptions: Record<string, number>;
}

async function main(args: readonly string[]): Promise<number> {
  const startedMs = performance.now();
  const { first, seeds, seconds, keepGoing, shrinks, optionsOf } = parse(args);
  const sum: Sum = {
    seeds: 0,
    simulatedMs: 0,
    sessions: 0,
    served: 0,
    lostToFaults: 0,
    toldWhy: 0,
    scaleUps: 0,
    scaleDowns: 0,
    failures: 0,
    exceptions: {},
  };
  const revision = await commit();
  for (let seed = first; seed < first + seeds; seed++) {
    const outcome = await simulate(optionsOf(seed));
    add(sum, outcome);
    if (outcome.violation !== undefined) {
      await report(outcome, revision, shrinks);
      if (!keepGoing) break;
    }
    if (performance.now() - startedMs > seconds * 1000) break;
  }
  const elapsed = ((performance.now() - startedMs) / 1000).toFixed(0);
  const exceptions = Object.entries(sum.exceptions).map(([why, count]) => `${count} × ${why}`);
  say(
    `Seeds ${first} to ${first + sum.seeds - 1} at commit ${revision}: ${sum.seeds} seeds, ` +
      `${
        (sum.simulatedMs / 3_600_000).toFixed(2)
      } simulated hours in ${elapsed} s; ${sum.sessions} connections ` +
      `(${sum.served} served, ${sum.lostToFaults} lost to faults, ${sum.toldWhy} told why), ${sum.scaleUps} scale-ups, ` +
      `${sum.scaleDowns} scale-downs; sessions exposed by the named exceptions: ${
        exceptions.join(", ") || "none"
      }`,
  );
  say(`${sum.failures === 0 ? 1 : 0} passed, ${sum.failures} failed`);
  return sum.failures === 0 ? 0 : 1;
}

function add(sum: Sum, { report, simulatedMs, violation }: Outcome): void {
  sum.seeds++;
  sum.simulatedMs += simulatedMs;
  if (violation !== undefined) sum.failures++;
  for (const key of ["sessions", "served", "lostToFaults", "toldWhy", "scaleUps", "scaleDowns"] as const) {
    sum[key] += report[key];
  }
  for (const [why, count] of Object.entries(report.exceptions)) {
    sum.exceptions[why] = (sum.exceptions[why] ?? 0) + count;
  }
}

async function report(outcome: Outcome, revision: string, shrinks: boolean): Promise<void> {
  say(`FAILED at seed ${outcome.options.seed}, commit ${revision}: ${outcome.violation}`);
  const smallest = shrinks ? await shrink(outcome) : outcome;
  const { plan: { proxies, clients, durationMs }, faults, hash, violation } = smallest;
  say(
    `Smallest run: ${proxies} proxies, ${clients} clients, ${durationMs} ms, faults ${
      faults.join(", ") || "none"
    }, trace ${hash}: ${violation}`,
  );
  for (const line of smallest.trace.slice(-LINES)) say(`  ${line}`);
  say(`Again: deno task simulate ${replayArguments(smallest)} --no-shrink`);
}

async function commit(): Promise<string> {
  try {
    const { stdout } = await new Deno.Command("git", { args: ["rev-parse", "--short", "HEAD"] }).output();
    return new TextDecoder().decode(stdout).trim() || "unknown";
  } catch {
    return "unknown";
  }
}

function say(line: string): void {
  const bytes = new TextEncoder().encode(`${line}\n`);
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(Deno.stdout.writeSync(rest));
}

try {
  Deno.exitCode = await main(Deno.args);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  say(error.message);
  Deno.exitCode = 2;
}
