/**
 * Loads that are run through all contenders in turns: streams, ping-pong and connects. Each turn gives a rate, the
 * CPU time of the proxy for one unit, and the proxy's memory after it.
 *
 * @module
 */
import { type Running, type Setting, startAll } from "./contenders.ts";
import { type Contender, type Part, PEERS, type Plot, type Row } from "./figures.ts";
import { output } from "./processes.ts";

const ALL: readonly Contender[] = ["direct", "program", "Deno, bare", ...PEERS];
/** The program's runtime compiles what it finds to be called often, which takes some thousand sessions. */
export const WARM_UP_SECONDS = 2;

/** How often and how long each load is run. */
export interface Turns {
  readonly rounds: number;
  readonly seconds: number;
}

/** One kind of load. */
export interface Load {
  readonly id: string;
  readonly what: string;
  /** As the client calls it. */
  readonly mode: string;
  readonly conns: number;
}

/** How rates and costs are written. */
export interface Units {
  readonly rate: string;
  /** How many of what the client counts are one of the rate's unit. */
  readonly scale: number;
  readonly cost: string;
  /** How many of what the client counts one cost is for, and its unit in seconds. */
  readonly costOf: number;
  readonly costSeconds: number;
}

/** Of streams. */
export const BYTES: Units = { rate: "GB/s", scale: 1e9, cost: "CPU s/GB", costOf: 1e9, costSeconds: 1 };
const PIECES: Units = { rate: "k/s", scale: 1e3, cost: "CPU µs each", costOf: 1, costSeconds: 1e-6 };

/** From one to many streams, each way. */
export const STREAMS: readonly Load[] = [1, 4, 64].flatMap((conns) =>
  ["up", "down"].map((mode) => ({
    id: `streams-${mode}-${conns}`,
    what: `${conns} ${conns === 1 ? "stream" : "streams"} to the ${mode === "up" ? "backend" : "client"}`,
    mode,
    conns,
  }))
);

const PINGPONG: readonly Load[] = [1, 64, 1_000].map((conns) => ({
  id: `pingpong-${conns}`,
  what: `ping-pong on ${conns.toLocaleString("en")} ${conns === 1 ? "connection" : "connections"}`,
  mode: "pingpong",
  conns,
}));

const CONNECTS: readonly Load[] = [{
  id: "connects",
  what: "connect, echo and close, 16 at a time",
  mode: "connect",
  conns: 16,
}];

/** Bytes a second. */
export async function measureStreams(setting: Setting, turns: Turns): Promise<Part> {
  const rows = await race(setting, ALL, STREAMS, BYTES, turns);
  return {
    name: "streams",
    title: "Streams",
    meaning:
      "As many bytes as pass while a stream does nothing but send: build contexts, cache imports and exports. The second plot is the CPU time that the proxy spends on each GB: Go's splice moves bytes inside the kernel, the others copy them through user space.",
    contenders: ALL,
    rows,
    plots: [
      plot("streams", "Bytes through the proxy, in GB/s: more is better", STREAMS),
      plot("streams-cpu", "CPU seconds of the proxy for each GB: less is better", STREAMS, "-cpu"),
    ],
  };
}

/** Round trips a second. */
export async function measurePingPong(setting: Setting, turns: Turns): Promise<Part> {
  return {
    name: "pingpong",
    title: "Ping-pong",
    meaning:
      "64 bytes to the backend and back, one round trip after the other on each connection: the many small calls of a build.",
    contenders: ALL,
    rows: await race(setting, ALL, PINGPONG, PIECES, turns),
    plots: [
      plot("pingpong", "Round trips through the proxy, in thousands a second: more is better", PINGPONG),
    ],
  };
}

/** Sessions a second. */
export async function measureConnects(setting: Setting, turns: Turns): Promise<Part> {
  return {
    name: "connects",
    title: "Connects",
    meaning:
      "Whole sessions: connect, 64 bytes there and back, and the end in both directions. Nobody starts builds at such a rate; port scanners do.",
    contenders: ALL,
    rows: await race(setting, ALL, CONNECTS, PIECES, turns),
    plots: [plot("connects", "Sessions through the proxy, in thousands a second: more is better", CONNECTS)],
  };
}

/** What is drawn of these loads: their rates, or the rows with the suffix `which`. */
export function plot(name: string, title: string, loads: readonly Load[], which = ""): Plot {
  return { name, title, rows: loads.map(({ id }) => `${id}${which}`) };
}

/** All loads through all contenders in turns. */
export async function race(
  setting: Setting,
  names: readonly Contender[],
  loads: readonly Load[],
  units: Units,
  turns: Turns,
): Promise<readonly Row[]> {
  await using started = await startAll(setting, names);
  const rows: Row[] = [];
  for (const load of loads) {
    const samples = new Map(started.all.map(({ name }) => [name, [] as Turn[]]));
    for (const running of started.all) await turn(setting, running, load, WARM_UP_SECONDS);
    for (let round = 0; round < turns.rounds; round++) {
      for (const running of started.all) {
        samples.get(running.name)!.push(await turn(setting, running, load, turns.seconds));
      }
    }
    const row = (
      suffix: string,
      what: string,
      unit: string,
      of: (turn: Turn) => number | undefined,
    ): Row => ({
      id: `${load.id}${suffix}`,
      what: `${load.what}${what}`,
      unit,
      by: Object.fromEntries(
        [...samples].map(([name, all]) => [name, all.map(of).filter((value) => value !== undefined)] as const)
          .filter(([, values]) => values.length > 0),
      ),
    });
    rows.push(
      row("", "", units.rate, ({ rate }) => rate / units.scale),
      row(
        "-cpu",
        ": CPU",
        units.cost,
        ({ cpuSeconds, count }) =>
          cpuSeconds === undefined ? undefined : cpuSeconds / units.costSeconds / count * units.costOf,
      ),
      row("-memory", ": memory", "MB", ({ residentMb }) => residentMb),
    );
  }
  return rows;
}

/** What one turn gave. */
interface Turn {
  /** A second, in what the client counts. */
  readonly rate: number;
  readonly count: number;
  readonly cpuSeconds: number | undefined;
  readonly residentMb: number | undefined;
}

async function turn({ peers, tls }: Setting, running: Running, load: Load, seconds: number): Promise<Turn> {
  const { address, process } = running;
  const variables = tls === undefined ? [] : [`TLS_FILES=${tls.folder}`];
  const before = process?.cpuSeconds ?? 0;
  const said = await output("env", [
    ...variables,
    ...[peers.load, load.mode, address, `${seconds}`, `${load.conns}`],
  ]);
  const [rate = NaN, count = NaN] = said.split(" ").map(Number);
  const cpuSeconds = process === undefined ? undefined : process.cpuSeconds - before;
  return { rate, count, cpuSeconds, residentMb: process?.residentMb };
}
