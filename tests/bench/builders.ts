/**
 * What many builders behind one address cost, beside one builder: routes and plans, connections, first answers, memory,
 * requests to the API, the hard limit under a burst, cold starts, and the release of clients that were held. Clients,
 * daemons and API server live in this process, the programs in processes of their own; all share the machine, so times
 * mean something only beside each other, and are measured in turns.
 *
 *     deno run -A tests/bench/builders.ts [--quick] [--against DIRECTORY] [PART...]
 *
 * `--against` names another checkout, to compare the release of held clients with. The parts are route, plan, connects,
 * latency, memory, requests, overshoot, cold and release; all of them by default. Exits with 1 when a bar does not hold.
 * Needs Linux.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { measureColdStarts, measureOvershoot, measureReleases } from "./builders/bursts.ts";
import { type Figure, table } from "./builders/figures.ts";
import { measurePlan, measureRoute } from "./builders/routing.ts";
import { measureConnects, measureLatency, measureMemory, measureRequests } from "./builders/warm.ts";
import { descriptorLimit } from "./processes.ts";
import { say } from "./say.ts";
import { v8Flags } from "./stage.ts";

/** Clients that are held in front of one builder, if there are descriptors for them. */
const HELD = 9_000;
/** Those in front of several. */
const HELD_BEFORE_SEVERAL = 1_000;
/** Between two clients that do not come at once, in ms. */
const PACED_MS = 100;
/** Descriptors that are needed for other things than clients. */
const OTHER_DESCRIPTORS = 500;

/** How many clients can be held: each needs two descriptors in this process, and two in the program. */
function held(isQuick: boolean): number {
  const descriptors = descriptorLimit();
  const most = Math.floor((descriptors - OTHER_DESCRIPTORS) / 2);
  const wanted = isQuick ? HELD / 3 : HELD;
  if (most < wanted) say(`${descriptors} descriptors: only ${most} clients are held, not ${wanted}`);
  return Math.min(wanted, most);
}

function conditions(): string {
  const program = Deno.env.get("AUTOSCALER_BIN") === undefined
    ? ["deno", Deno.version.deno, "run", ...v8Flags()].join(" ")
    : "compiled";
  const load = Deno.loadavg().map((load) => load.toFixed(1)).join(" ");
  return `program: ${program}; ${navigator.hardwareConcurrency} CPUs, load ${load}\n`;
}

/** The parts, each with what it takes. */
function parts(isQuick: boolean, main: string | undefined): Record<string, () => Promise<readonly Figure[]>> {
  const often = (full: number, quick: number) => isQuick ? quick : full;
  return {
    route: () => measureRoute(often(5_000, 1_000)),
    plan: () => Promise.resolve(measurePlan(often(400, 100))),
    connects: () => measureConnects(often(7, 3), often(2_000, 1_000)),
    latency: () => measureLatency(often(500, 100)),
    memory: () => measureMemory(often(3, 1)),
    requests: () => measureRequests(often(60_000, 30_000)),
    overshoot: async () => [
      ...await measureOvershoot(1, often(5, 2)),
      ...await measureOvershoot(3, often(5, 2)),
      ...await measureOvershoot(3, often(3, 1), PACED_MS),
    ],
    cold: () => measureColdStarts(often(5, 2)),
    release: () =>
      measureReleases({
        one: held(isQuick),
        several: HELD_BEFORE_SEVERAL,
        rounds: often(3, 1),
        main,
      }),
  };
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { quick: { type: "boolean", default: false }, against: { type: "string" } },
    allowPositionals: true,
  });
  const { quick, against } = values;
  say(conditions());
  const all = parts(quick, against === undefined ? undefined : `${against}/main.ts`);
  const wanted = positionals.length === 0 ? Object.keys(all) : positionals;
  const figures: Figure[] = [];
  for (const part of wanted) {
    const measure = all[part];
    if (measure === undefined) throw new Error(`There is no part "${part}": ${Object.keys(all).join(", ")}`);
    const found = await measure();
    for (const { what, measured } of found) say(`${what}: ${measured}`);
    figures.push(...found);
  }
  say(`\n${table(figures)}`);
  return figures.every(({ holds }) => holds !== false) ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
