/**
 * Runs the simulation by hand and in CI:
 *
 *     deno run -A tests/simulation/run.ts --seeds 1000 | --seconds 300 | --seed 42 [--trace]
 *
 * `--from` sets the first seed; without it, it is drawn. `--without a,b`, `--proxies`, `--clients` and `--duration` (ms)
 * make a run smaller, as a failure's replay command says. Prints a summary; a failure prints its seed, the commit, the
 * smallest run that still fails, the end of its trace and the command that repeats it, and makes the exit code 1.
 * `--keep-going` does not stop at the first.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { type FaultName, FAULTS } from "./faults.ts";
import { replayArguments, shrink } from "./shrink.ts";
import { type Options, type Outcome, simulate } from "./simulate.ts";

/** Lines of a failing run's trace that are printed. */
const LINES = 120;

/** What all runs together have seen. */
interface Sum {
  seeds: number;
  simulatedMs: number;
  sessions: number;
  served: number;
  lostToFaults: number;
  scaleUps: number;
  scaleDowns: number;
  failures: number;
  readonly exceptions: Record<string, number>;
}

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    seconds: { type: "string" },
    seed: { type: "string" },
    from: { type: "string" },
    without: { type: "string" },
    proxies: { type: "string" },
    clients: { type: "string" },
    duration: { type: "string" },
    trace: { type: "boolean" },
    "keep-going": { type: "boolean" },
    "no-shrink": { type: "boolean" },
  },
});

async function main(): Promise<number> {
  const startedMs = performance.now();
  const seconds = Number(values.seconds ?? Infinity);
  const seeds = values.seed !== undefined
    ? 1
    : Number(values.seeds ?? (values.seconds === undefined ? 100 : Infinity));
  const first = Number(values.seed ?? values.from ?? Math.floor(Math.random() * 1_000_000_000));
  const sum: Sum = {
    seeds: 0,
    simulatedMs: 0,
    sessions: 0,
    served: 0,
    lostToFaults: 0,
    scaleUps: 0,
    scaleDowns: 0,
    failures: 0,
    exceptions: {},
  };
  for (let seed = first; seed < first + seeds; seed++) {
    const outcome = await simulate(optionsOf(seed));
    add(sum, outcome);
    if (outcome.violation !== undefined) {
      await report(outcome);
      if (!values["keep-going"]) break;
    }
    if (performance.now() - startedMs > seconds * 1000) break;
  }
  const elapsed = (performance.now() - startedMs) / 1000;
  const exceptions = Object.entries(sum.exceptions).map(([why, count]) => `${count} × ${why}`);
  say(
    `${sum.seeds} seeds from ${first}, ${(sum.simulatedMs / 3_600_000).toFixed(2)} simulated hours in ` +
      `${
        elapsed.toFixed(0)
      } s: ${sum.sessions} connections (${sum.served} served, ${sum.lostToFaults} lost to faults), ` +
      `${sum.scaleUps} scale-ups, ${sum.scaleDowns} scale-downs; sessions exposed by the named exceptions: ` +
      `${exceptions.join(", ") || "none"}; ${sum.failures} failed`,
  );
  return sum.failures === 0 ? 0 : 1;
}

function optionsOf(seed: number): Options {
  const number = (name: "proxies" | "clients" | "duration") =>
    values[name] === undefined ? undefined : Number(values[name]);
  const proxies = number("proxies"), clients = number("clients"), durationMs = number("duration");
  const names = (values.without ?? "").split(",").filter((name): name is FaultName => name in FAULTS);
  return {
    seed,
    without: new Set(names),
    ...(proxies === undefined ? {} : { proxies }),
    ...(clients === undefined ? {} : { clients }),
    ...(durationMs === undefined ? {} : { durationMs }),
    ...(values.trace ? { print: say } : {}),
  };
}

function add(sum: Sum, { report, simulatedMs, violation }: Outcome): void {
  sum.seeds++;
  sum.simulatedMs += simulatedMs;
  if (violation !== undefined) sum.failures++;
  for (const key of ["sessions", "served", "lostToFaults", "scaleUps", "scaleDowns"] as const) {
    sum[key] += report[key];
  }
  for (const [why, count] of Object.entries(report.exceptions)) {
    sum.exceptions[why] = (sum.exceptions[why] ?? 0) + count;
  }
}

async function report(outcome: Outcome): Promise<void> {
  say(`FAILED at seed ${outcome.options.seed}, commit ${await commit()}: ${outcome.violation}`);
  const smallest = values["no-shrink"] ? outcome : await shrink(outcome);
  say(
    `Smallest run: ${smallest.plan.proxies} proxies, ${smallest.plan.clients} clients, ` +
      `faults ${smallest.faults.join(", ") || "none"}: ${smallest.violation}`,
  );
  for (const line of smallest.trace.slice(-LINES)) say(`  ${line}`);
  say(`Again: deno run -A tests/simulation/run.ts ${replayArguments(smallest)} --trace`);
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

Deno.exit(await main());
