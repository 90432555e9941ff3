/**
 * The benchmark: what the program costs beside no proxy, Go's `io.Copy`, HAProxy and nginx, how much memory it needs, and
 * how soon clients that wait are served. Everything runs on this machine's loopback, so its figures mean something only
 * beside each other: contenders are measured in turns and compared as ratios of medians.
 *
 *     deno task bench [PART...] [--rounds N] [--seconds N] [--quick] [--write] [--gate] [--buildkitd]
 *
 * The parts are streams, pingpong, connects, tls, idle, held, cold and crashes; all of them by default. `AUTOSCALER_BIN`
 * names a compiled program; without it the checkout is compiled first. `--write` puts all figures into
 * `docs/performance.md`. `--gate` exits with 1 when a bar does not hold. `--buildkitd` lets a real buildkitd crash. Exit
 * codes: 0 done, 1 failed, 2 wrong usage. Needs Linux and Go, and for all columns Debian's packages haproxy, nginx and
 * libnginx-mod-stream.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { run } from "../../.ci/commands.ts";
import { BARS } from "./bars.ts";
import { type Installed, installedPeers, type Setting, takesTls } from "./contenders.ts";
import { measureCrashes } from "./crashes.ts";
import { type Part, verdicts } from "./figures.ts";
import { measureColdStarts, measureHolds } from "./held.ts";
import { measureEmpty, measureIdle, type Rest } from "./memory.ts";
import { buildPeers, type Peers } from "./peers.ts";
import { svg } from "./plot.ts";
import { descriptorLimit } from "./processes.ts";
import { measureConnects, measurePingPong, measureStreams, type Turns, WARM_UP_SECONDS } from "./races.ts";
import { filledIn, partTable, report, verdictTable } from "./report.ts";
import { compileBeside } from "./same_runtime.ts";
import { say } from "./say.ts";
import { programVersion, Stage } from "./stage.ts";
import { measureTls } from "./tls.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BARE = `${ROOT}tests/bench/peers/bare.js`;
const DOCUMENT = `${ROOT}docs/performance.md`;
const PLOTS = "performance";
/** What 9,000 sessions need, in the program and in the process of the clients and daemons. */
const DESCRIPTORS = 18_500;

/** A mistake of the caller's. */
class UsageError extends Error {}

/** How much is measured. */
interface Plan {
  readonly turns: Turns;
  readonly rest: Rest;
  readonly coldStarts: number;
  readonly crashes: number;
}

const FULL: Plan = {
  turns: { rounds: 5, seconds: 0.7 },
  rest: { rounds: 3, restMs: 10_000 },
  coldStarts: 15,
  crashes: 10,
};
const QUICK: Plan = {
  turns: { rounds: 2, seconds: 0.3 },
  rest: { rounds: 1, restMs: 1_000 },
  coldStarts: 5,
  crashes: 3,
};

/** What was asked for. */
interface Asked {
  readonly plan: Plan;
  /** All if empty. */
  readonly parts: readonly string[];
  readonly write: boolean;
  readonly gate: boolean;
  readonly buildkitd: boolean;
}

/** All that parts are measured with. */
interface Bench {
  readonly asked: Asked;
  readonly folder: string;
  readonly peers: Peers;
  readonly installed: Installed;
  /** Compiles `peers/bare.js`, once. */
  readonly bare: () => Promise<string>;
  /** Memory of the empty program, measured once. */
  readonly emptyMb: () => Promise<readonly number[]>;
}

/** The parts in the order in which they run. */
const PARTS: Readonly<Record<string, (bench: Bench) => Promise<Part>>> = {
  streams: (bench) => onStage(bench, (setting) => measureStreams(setting, bench.asked.plan.turns)),
  pingpong: (bench) => onStage(bench, (setting) => measurePingPong(setting, bench.asked.plan.turns)),
  connects: (bench) => onStage(bench, (setting) => measureConnects(setting, bench.asked.plan.turns)),
  tls: (bench) => onStage(bench, (setting) => measureTls(setting, bench.asked.plan.turns)),
  idle: (bench) => onStage(bench, (setting) => measureIdle(setting, bench.asked.plan.rest, bench.emptyMb)),
  held: ({ folder, peers, asked, emptyMb }) => measureHolds(folder, peers, asked.plan.rest, emptyMb),
  cold: ({ folder, asked }) => measureColdStarts(folder, asked.plan.coldStarts),
  crashes: ({ folder, asked }) => measureCrashes(folder, asked.plan.crashes, asked.buildkitd),
};

/** In front of one ready pod, which is the Go backend. */
async function onStage(
  { folder, peers, installed, bare }: Bench,
  measure: (setting: Setting) => Promise<Part>,
): Promise<Part> {
  await using stage = await Stage.open(folder, peers.backend);
  return await measure({ stage, peers, installed, folder, bare });
}

/** One list item for each thing that a reader has to know of a run. */
async function conditions({ peers, installed, asked: { plan } }: Bench): Promise<readonly string[]> {
  const cpu = /^model name\s*:\s*(.+)$/m.exec(await Deno.readTextFile("/proc/cpuinfo"))?.[1] ?? "unknown CPU";
  const cpus = navigator.hardwareConcurrency;
  const load = Deno.loadavg();
  const version = (package_: string, found: string | undefined, threads: string) =>
    found === undefined ? `${package_} is NOT INSTALLED` : `${package_} ${found} with ${threads}`;
  const tls = await takesTls()
    ? ""
    : ` TLS needs a newer one, so that part runs the sources on deno ${Deno.version.deno}.`;
  return [
    `Program: ${await programVersion()}, compiled, one thread.${tls}`,
    `Go proxy: ${peers.go}, as many threads as there are CPUs.`,
    `${version("HAProxy", installed.haproxy, "one thread, and with as many as there are CPUs")}.`,
    `${version("nginx", installed.nginx, "one worker")}.`,
    `Machine: ${cpus} CPUs (${cpu}), Linux ${
      /^\d+\.\d+/.exec(Deno.osRelease())
    }. Clients, proxy and backend share it, over loopback.`,
    `Load average at the start: ${load.map((value) => value.toFixed(1)).join(", ")}.${
      load[0]! > cpus / 2 ? " The machine was busy with other work, so the figures vary more than usual." : ""
    }`,
    `Rates: medians (and ranges) of ${plan.turns.rounds} turns of ${plan.turns.seconds} s through each, in alternation, after one of ${WARM_UP_SECONDS} s that does not count.`,
    `Memory: resident (\`VmRSS\`, 1 MB is 10^6 bytes) after ${
      plan.rest.restMs / 1_000
    } s of rest; fresh starts of the program: ${plan.rest.rounds}.`,
  ];
}

/** The names of flags and parts, understood. @throws UsageError */
function understand(args: readonly string[]): Asked {
  const { values, positionals: parts } = parse(args);
  const unknown = parts.find((part) => PARTS[part] === undefined);
  if (unknown !== undefined) {
    throw new UsageError(`Cannot measure "${unknown}": want ${Object.keys(PARTS).join(", ")}`);
  }
  if (values.write && parts.length > 0) {
    throw new UsageError("Cannot write some parts only: leave out --write, or the names of parts");
  }
  const plan = values.quick ? QUICK : FULL;
  const positive = (name: "rounds" | "seconds", fallback: number, isWhole: boolean) => {
    const value = Number(values[name] ?? fallback);
    if (value > 0 && value < 1_000 && (!isWhole || Number.isInteger(value))) return value;
    throw new UsageError(
      `Cannot use --${name} "${values[name]}": want a ${
        isWhole ? "whole " : ""
      }number above 0 and below 1000`,
    );
  };
  const turns = {
    rounds: positive("rounds", plan.turns.rounds, true),
    seconds: positive("seconds", plan.turns.seconds, false),
  };
  const { write, gate, buildkitd } = values;
  return { plan: { ...plan, turns }, parts, write, gate, buildkitd };
}

function parse(args: readonly string[]) {
  const flag = { type: "boolean", default: false } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        rounds: { type: "string" },
        seconds: { type: "string" },
        quick: flag,
        write: flag,
        gate: flag,
        buildkitd: flag,
      },
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** Compiles the checkout unless a program is named. */
async function chooseProgram(): Promise<void> {
  if (Deno.env.has("AUTOSCALER_BIN")) return;
  say((await run(Deno.execPath(), ["task", "--quiet", "compile"], { cwd: ROOT })).trim());
  Deno.env.set("AUTOSCALER_BIN", `${ROOT}dist/buildkitd-autoscaler`);
}

/** @throws Error if this process, and those that it starts, may not open as many files as 9,000 sessions need */
function checkDescriptors(): void {
  const found = descriptorLimit();
  if (found >= DESCRIPTORS) return;
  throw new Error(
    `Cannot open 9,000 sessions: found the limit ${found}, want "ulimit -n ${DESCRIPTORS}" before`,
  );
}

async function writeDocument(text: string, parts: readonly Part[]): Promise<void> {
  const files = [DOCUMENT];
  await Deno.writeTextFile(DOCUMENT, filledIn(await Deno.readTextFile(DOCUMENT), text));
  await Deno.mkdir(`${ROOT}docs/${PLOTS}`, { recursive: true });
  for (const { plots, rows } of parts) {
    for (const plot of plots) {
      const path = `${ROOT}docs/${PLOTS}/${plot.name}.svg`;
      await Deno.writeTextFile(path, svg(plot, rows.filter(({ id }) => plot.rows.includes(id))));
      files.push(path);
    }
  }
  await run(Deno.execPath(), ["fmt", "--quiet", ...files], { cwd: ROOT });
}

async function measure(bench: Bench): Promise<number> {
  const { asked } = bench;
  const about = await conditions(bench);
  say(`\n${about.join("\n")}\n`);
  const parts: Part[] = [];
  let failures = 0;
  for (const [name, part] of Object.entries(PARTS)) {
    if (asked.parts.length > 0 && !asked.parts.includes(name)) continue;
    const startedMs = performance.now();
    try {
      const measured = await part(bench);
      parts.push(measured);
      const seconds = (performance.now() - startedMs) / 1_000;
      say(`${measured.title} (${seconds.toFixed(0)} s)\n\n${partTable(measured)}\n`);
    } catch (error) {
      // The others are worth having.
      failures++;
      say(`FAILED: ${name}: ${(error as Error).message}\n`);
    }
  }
  const found = verdicts(BARS, parts.flatMap(({ rows }) => rows));
  say(`Bars\n\n${verdictTable(found)}`);
  if (failures > 0) {
    say(
      `${failures} ${failures === 1 ? "part" : "parts"} failed${asked.write ? ": nothing is written" : ""}`,
    );
    return 1;
  }
  if (asked.write) {
    await writeDocument(report(about, parts, found, (name) => `${PLOTS}/${name}.svg`), parts);
  }
  return asked.gate && found.some(({ holds, isAim }) => !holds && !isAim) ? 1 : 0;
}

async function main(args: readonly string[]): Promise<number> {
  const asked = understand(args);
  checkDescriptors();
  await chooseProgram();
  const folder = await Deno.makeTempDir({ prefix: "buildkitd-autoscaler-bench-" });
  try {
    let empty: Promise<readonly number[]> | undefined;
    let bare: Promise<string> | undefined;
    return await measure({
      asked,
      folder,
      peers: await buildPeers(),
      installed: await installedPeers(),
      bare: () => bare ??= Deno.readTextFile(BARE).then((source) => compileBeside(folder, "bare", source)),
      emptyMb: () => empty ??= measureEmpty(folder, asked.plan.rest),
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    const { message } = error as Error;
    Deno.stderr.writeSync(new TextEncoder().encode(`${message}\n`));
    Deno.exit(error instanceof UsageError ? 2 : 1);
  }
}
