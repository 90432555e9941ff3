/**
 * Memory of the contenders with connections that do nothing, what opening them costs, and the memory of an empty program on
 * the same runtime, which the program is compared with. All rest for the same time before their memory is read.
 *
 * @module
 */
import { type Setting, start } from "./contenders.ts";
import { type Contender, type Part, PEERS, type Row } from "./figures.ts";
import { Background, delay, descriptorLimit, Kept, output } from "./processes.ts";
import { compileBeside } from "./same_runtime.ts";

const OTHERS: readonly Contender[] = ["Deno, bare", ...PEERS];
const COUNTS = [1_000, 9_000] as const;
const SHORT_SESSIONS = 20_000;

/** How memory is measured. */
export interface Rest {
  /** How often the program is. */
  readonly rounds: number;
  /** How long a process rests before its memory is read, in ms. V8 gives memory back some 8 s after the work. */
  readonly restMs: number;
}

/** The memory of empty programs after the rest, in MB. @throws as {@link compileBeside} does */
export async function measureEmpty(folder: string, { rounds, restMs }: Rest): Promise<readonly number[]> {
  const program = await compileBeside(folder, "empty", "setInterval(() => {}, 3_600_000);\n");
  await using processes = new AsyncDisposableStack();
  const all = Array.from(
    { length: rounds },
    () => processes.use(new Background("the empty program", `${folder}/empty.log`, program, [])),
  );
  await delay(restMs);
  return all.map(({ residentMb }) => residentMb);
}

/** Memory with idle sessions. */
export async function measureIdle(
  setting: Setting,
  rest: Rest,
  emptyMb: () => Promise<readonly number[]>,
): Promise<Part> {
  const found = new Map<string, Partial<Record<Contender, number[]>>>();
  const note = (id: string, name: Contender, mb: number) => {
    const row = found.get(id) ?? {};
    found.set(id, row);
    (row[name] ??= []).push(mb);
  };
  for (let round = 0; round < rest.rounds; round++) await idle(setting, "program", rest, note);
  for (const other of OTHERS) await idle(setting, other, rest, note);
  await afterwards(setting, rest, note);
  const empty = await emptyMb();
  const row = (id: string, what: string): Row => ({ id, what, unit: "MB", by: found.get(id) ?? {} });
  const compared = (id: string, what: string): Row => ({
    id,
    what,
    unit: "MB",
    by: { ...found.get(id), empty },
  });
  const sessions = (count: number) => `${count.toLocaleString("en")} idle sessions`;
  return {
    name: "idle",
    title: "Memory of idle sessions",
    meaning:
      "Resident memory, after each session has carried 4 KiB each way. Most of what the program takes when idle is the runtime, which the column of an empty program shows. A dash: Go's splice needs six descriptors for each session, and the limit of open files did not allow that many.",
    contenders: ["program", "empty", ...OTHERS],
    rows: [
      compared("idle-0", "memory without sessions"),
      ...COUNTS.map((count) => compared(`idle-${count}`, `memory with ${sessions(count)}`)),
      {
        id: "idle-cpu",
        what: `CPU of ${sessions(COUNTS.at(-1)!)}, from the first connect to the rest`,
        unit: "CPU s",
        by: found.get("idle-cpu") ?? {},
      },
      row("idle-large", `memory with ${sessions(1_000)}, after 1 MiB each way on each`),
      row("idle-after", `memory after ${SHORT_SESSIONS.toLocaleString("en")} short sessions`),
    ],
    plots: [{
      name: "idle",
      title: "Resident memory with idle sessions, in MB: less is better",
      rows: ["idle-0", ...COUNTS.map((count) => `idle-${count}`)],
    }],
  };
}

type Note = (id: string, name: Contender, mb: number) => void;

/** One contender, with more and more sessions. */
async function idle(setting: Setting, name: Contender, { restMs }: Rest, note: Note): Promise<void> {
  const running = await start(setting, name);
  if (running === undefined) return;
  await using process = running.process!;
  await delay(restMs);
  note("idle-0", name, process.residentMb);
  const cpuSeconds = process.cpuSeconds;
  await using kept = new AsyncDisposableStack();
  let open = 0;
  for (const count of COUNTS) {
    if (count * descriptorsOf(name) > descriptorLimit()) return;
    kept.use(await Kept.open(setting.peers.load, ["idle", running.address, `${count - open}`, "4096"]));
    open = count;
    await delay(restMs);
    note(`idle-${count}`, name, process.residentMb);
  }
  note("idle-cpu", name, process.cpuSeconds - cpuSeconds);
}

/** Of one session: its two sockets. Go's splice(2) also keeps two ends of a pipe for each direction. */
function descriptorsOf(name: Contender): number {
  return name === "Go" ? 6 : 2;
}

/** What sessions leave behind: the program only. */
async function afterwards(setting: Setting, { restMs }: Rest, note: Note): Promise<void> {
  const { load } = setting.peers;
  {
    const { address, process } = await setting.stage.startProgram();
    await using _program = process;
    await using _kept = await Kept.open(load, ["idle", address, "1000", `${1 << 20}`]);
    await delay(restMs);
    note("idle-large", "program", process.residentMb);
  }
  const { address, process } = await setting.stage.startProgram();
  await using _program = process;
  await output(load, ["sessions", address, `${SHORT_SESSIONS}`, "16"]);
  await delay(restMs);
  note("idle-after", "program", process.residentMb);
}
