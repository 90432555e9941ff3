/**
 * The benchmark: what the program costs next to a plain Go `io.Copy` proxy, and how much memory it needs. Everything
 * runs on this machine's loopback, so its figures mean something only beside each other: speeds are measured in turns,
 * once through the one and once through the other proxy, and compared as the ratio of the medians.
 *
 *     deno run -A tests/bench/run.ts [--rounds N] [--seconds N] [speed|memory]
 *
 * Exits with 1 when a bar does not hold. Needs Linux and Go.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { buildPeers, type Peers } from "./peers.ts";
import { Background, connectOnce, delay, freePort, Kept, output } from "./processes.ts";
import { Stage, v8Flags } from "./stage.ts";

/** Our relay may be this many times slower. */
const SLOWER_BAR = 1.3;
/** How long a process may take to come to rest before its memory is looked at, in ms. */
const SETTLE_MS = 6_000;

/** One row of the table. */
interface Row {
  readonly what: string;
  readonly cells: readonly string[];
  /** Undefined where there is no bar. */
  readonly holds?: boolean;
}

/** A load that is run through both proxies in turns. */
interface Speed {
  readonly what: string;
  readonly unit: string;
  /** Units of what the client prints. */
  readonly scale: number;
  readonly mode: string;
  readonly conns: number;
  readonly barred: boolean;
}

const SPEEDS: readonly Speed[] = [
  { what: "1 stream, to the backend", unit: "GB/s", scale: 1e9, mode: "up", conns: 1, barred: true },
  { what: "1 stream, to the client", unit: "GB/s", scale: 1e9, mode: "down", conns: 1, barred: true },
  { what: "64 connections, ping-pong", unit: "k/s", scale: 1e3, mode: "pingpong", conns: 64, barred: true },
  { what: "1 connection, ping-pong", unit: "k/s", scale: 1e3, mode: "pingpong", conns: 1, barred: false },
  {
    what: "connect + echo + close, 16 at a time",
    unit: "k/s",
    scale: 1e3,
    mode: "connect",
    conns: 16,
    barred: false,
  },
];

async function measureSpeeds(folder: string, peers: Peers, rounds: number, seconds: number): Promise<Row[]> {
  await using stage = await Stage.open(folder, peers.backend);
  const ours = await stage.startProgram();
  await using _program = ours.process;
  const port = freePort("127.0.0.1");
  const plain = `127.0.0.1:${port}`;
  await using peer = new Background("the plain proxy", `${folder}/proxy.log`, peers.proxy, [
    plain,
    stage.backendAddress,
  ]);
  await peer.until(() => connectOnce("127.0.0.1", port));

  const rows: Row[] = [];
  for (const { what, unit, scale, mode, conns, barred } of SPEEDS) {
    const run = async (address: string, process: Background) => {
      const cpu = process.cpuSeconds;
      const figure = Number(await output(peers.load, [mode, address, `${seconds}`, `${conns}`])) / scale;
      return { figure, cpuSeconds: process.cpuSeconds - cpu };
    };
    // The first turn of each warms up and does not count.
    const all = { ours: [] as Turn[], plain: [] as Turn[] };
    for (let round = 0; round <= rounds; round++) {
      const turns = { plain: await run(plain, peer), ours: await run(ours.address, ours.process) };
      if (round === 0) continue;
      all.plain.push(turns.plain);
      all.ours.push(turns.ours);
    }
    const slower = median(all.plain, "figure") / median(all.ours, "figure");
    rows.push({
      what: `${what}, ${unit}`,
      cells: [
        range(all.ours.map(({ figure }) => figure)),
        range(all.plain.map(({ figure }) => figure)),
        slower.toFixed(2),
        `${median(all.ours, "cpuSeconds").toFixed(1)} / ${median(all.plain, "cpuSeconds").toFixed(1)}`,
        barred ? `<= ${SLOWER_BAR}` : "-",
      ],
      ...(barred ? { holds: slower <= SLOWER_BAR } : {}),
    });
    say(`  ${what}: ${slower.toFixed(2)} times slower`);
  }
  return rows;
}

/** What one turn gave. */
interface Turn {
  readonly figure: number;
  readonly cpuSeconds: number;
}

function median(turns: readonly Turn[], of: keyof Turn): number {
  return middle(turns.map((turn) => turn[of]));
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function range(values: readonly number[]): string {
  const digits = middle(values) < 10 ? 2 : 1;
  const show = (value: number) => value.toFixed(digits);
  return `${show(middle(values))} (${show(Math.min(...values))}-${show(Math.max(...values))})`;
}

/** Memory with connections that do nothing, each count on a program of its own. */
async function measureMemory(folder: string, peers: Peers): Promise<Row[]> {
  const rows: Row[] = [];
  const add = (what: string, mb: number, bar?: number) => {
    say(`  ${what}: ${mb.toFixed(1)} MB`);
    rows.push({
      what,
      cells: [mb.toFixed(1), bar === undefined ? "-" : `< ${bar}`],
      ...(bar === undefined ? {} : { holds: mb < bar }),
    });
  };
  {
    await using stage = await Stage.open(folder, peers.backend);
    const settled = async (process: Background) => {
      await delay(SETTLE_MS);
      return process.residentMb;
    };
    {
      const { address, process } = await stage.startProgram();
      await using _program = process;
      add("idle", await settled(process), 65);
      await using _kept = await Kept.open(peers.load, ["idle", address, "1000", "4096"]);
      add("1,000 idle sessions, after 4 KiB each way on each", await settled(process), 100);
    }
    {
      const { address, process } = await stage.startProgram();
      await using _program = process;
      await using _kept = await Kept.open(peers.load, ["idle", address, "1000", `${1 << 20}`]);
      add("1,000 idle sessions, after 1 MiB each way on each", await settled(process), 100);
    }
    {
      const { address, process } = await stage.startProgram();
      await using _program = process;
      await output(peers.load, ["sessions", address, "1000", "16"]);
      add("idle, after 1,000 short sessions", await settled(process));
      for (const total of [21_000, 41_000]) {
        await output(peers.load, ["sessions", address, "20000", "16"]);
        add(`idle, after ${total.toLocaleString("en")} short sessions`, await settled(process));
      }
    }
  }
  {
    await using stage = await Stage.open(folder, undefined);
    const { address, process } = await stage.startProgram();
    await using _program = process;
    await using _kept = await Kept.open(peers.load, ["held", address, "5000"]);
    await delay(SETTLE_MS);
    add("5,000 held connections, HTTP/2", process.residentMb, 200);
  }
  return rows;
}

async function conditions(peers: Peers, rounds: number, seconds: number): Promise<string> {
  const cpu = /^model name\s*:\s*(.+)$/m.exec(await Deno.readTextFile("/proc/cpuinfo"))?.[1] ?? "unknown CPU";
  const program = Deno.env.get("AUTOSCALER_BIN") === undefined
    ? ["deno", Deno.version.deno, "run", ...v8Flags()].join(" ")
    : "compiled";
  return [
    `program:  ${program}; JSON log at level info into a file; API server without TLS`,
    `peers:    ${peers.go}, default GOMAXPROCS`,
    `machine:  ${navigator.hardwareConcurrency} CPUs (${cpu}), Linux ${Deno.osRelease()}, load ${
      Deno.loadavg().map((load) => load.toFixed(1)).join(" ")
    }`,
    `          client, proxy and backend share it, over loopback`,
    `speeds:   medians (and range) of ${rounds} turns of ${seconds} s through each proxy, in alternation`,
    `memory:   VmRSS of the process, ${SETTLE_MS / 1000} s after the last event`,
  ].join("\n");
}

function table(head: readonly string[], rows: readonly Row[]): string {
  const verdict = ({ holds }: Row) => holds === undefined ? "-" : holds ? "holds" : "DOES NOT HOLD";
  const lines = [head, ...rows.map((row) => [row.what, ...row.cells, verdict(row)])];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const text = lines.map((line) =>
    line.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()
  );
  return [text[0], widths.map((width) => "-".repeat(width)).join("  "), ...text.slice(1)].join("\n");
}

function say(text: string): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(Deno.stdout.writeSync(rest));
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    options: { rounds: { type: "string", default: "7" }, seconds: { type: "string", default: "1.5" } },
    allowPositionals: true,
  });
  const rounds = Number(values.rounds);
  const seconds = Number(values.seconds);
  const wants = (part: string) => positionals.length === 0 || positionals.includes(part);
  const peers = await buildPeers();
  const folder = await Deno.makeTempDir({ prefix: "buildkitd-autoscaler-bench-" });
  say(`${await conditions(peers, rounds, seconds)}\n`);
  try {
    const speeds = wants("speed") ? await measureSpeeds(folder, peers, rounds, seconds) : [];
    const memory = wants("memory") ? await measureMemory(folder, peers) : [];
    if (speeds.length > 0) {
      const head = ["speed", "program", "io.Copy", "times slower", "CPU s a turn", "bar", "verdict"];
      say(`\n${table(head, speeds)}`);
    }
    if (memory.length > 0) say(`\n${table(["memory", "MB", "bar", "verdict"], memory)}`);
    return [...speeds, ...memory].every(({ holds }) => holds !== false) ? 0 : 1;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main());
