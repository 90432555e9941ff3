/**
 * What several builders cost while all of their pods run: connections, first answers, memory, requests to the API.
 *
 * @module
 */
import { delay, freePort } from "../processes.ts";
import { Field, type Front } from "./field.ts";
import { median } from "../figures.ts";
import { type Figure, quantile } from "./figures.ts";

const BUILDERS = 20;
const PROXIES = 3;
/** Clients that connect at a time. */
const CLIENTS = 16;
/** How long a process may take to come to rest before its memory is looked at, in ms. */
const SETTLE_MS = 6_000;

const CONNECTS_BAR = 0.9;
const LATENCY_BAR_MS = 1;
const MEMORY_BAR_MB = 2;
const REQUESTS_BAR = 6;

/** One turn: connect, echo, close, by several clients at a time. */
async function connects(front: Front, projects: readonly (string | undefined)[], ms: number): Promise<Turn> {
  const startedMs = performance.now();
  const cpuSeconds = front.process.cpuSeconds;
  let count = 0;
  await Promise.all(Array.from({ length: CLIENTS }, async () => {
    while (performance.now() - startedMs < ms) await front.visit(projects[count++ % projects.length]);
  }));
  return {
    perSecond: count / (performance.now() - startedMs) * 1_000,
    cpuMs: (front.process.cpuSeconds - cpuSeconds) / count * 1_000,
  };
}

interface Turn {
  readonly perSecond: number;
  /** CPU time of the program for each connection. */
  readonly cpuMs: number;
}

/** One builder and several of them, in turns. */
export async function measureConnects(rounds: number, turnMs: number): Promise<readonly Figure[]> {
  await using one = await Field.open(1, { replicas: 1 });
  await using many = await Field.open(BUILDERS, { replicas: 1 });
  await using single = await one.start();
  await using several = await many.start();
  const turns = { single: [] as Turn[], several: [] as Turn[] };
  for (let round = 0; round <= rounds; round++) {
    const first = await connects(single, many.projects, turnMs);
    const second = await connects(several, many.projects, turnMs);
    one.pods.forget();
    many.pods.forget();
    // The first turn of each warms up.
    if (round === 0) continue;
    turns.single.push(first);
    turns.several.push(second);
  }
  const of = (which: keyof typeof turns, key: keyof Turn) => median(turns[which].map((turn) => turn[key]));
  const ratio = of("several", "perSecond") / of("single", "perSecond");
  const costs = of("several", "cpuMs") / of("single", "cpuMs");
  return [
    {
      what: `connect + echo + close by name, ${CLIENTS} at a time, ${BUILDERS} builders : 1`,
      bar: `>= ${CONNECTS_BAR}`,
      measured: `${of("several", "perSecond").toFixed(0)} : ${of("single", "perSecond").toFixed(0)} a second`,
      ratio,
      holds: ratio >= CONNECTS_BAR,
    },
    {
      what: "  CPU time of the program for each of these",
      bar: "",
      measured: `${of("several", "cpuMs").toFixed(2)} : ${of("single", "cpuMs").toFixed(2)} ms`,
      ratio: costs,
    },
  ];
}

/** From the connect to the first answer: one builder, one with a listener of its own for a project, several by name. */
export async function measureLatency(rounds: number): Promise<readonly Figure[]> {
  await using one = await Field.open(1, { replicas: 1 });
  await using many = await Field.open(BUILDERS, { replicas: 1 });
  await using single = await one.start();
  const listener = `127.0.0.1:${freePort("127.0.0.1")}`;
  await using listening = await one.start({ listeners: `project team-a=${listener}` });
  await using several = await many.start();
  const { projects } = many;
  const ms = { single: [] as number[], listening: [] as number[], several: [] as number[] };
  for (let round = -50; round < rounds; round++) {
    const project = projects[(round + 50) % BUILDERS];
    const all = {
      single: await single.visit(project),
      listening: await listening.visit(project, listener),
      several: await several.visit(project),
    };
    if (round < 0) continue;
    for (const [which, took] of Object.entries(all)) ms[which as keyof typeof ms].push(took);
  }
  const against = (which: "single" | "listening", name: string): Figure => {
    const added = median(ms.several) - median(ms[which]);
    return {
      what: `warm first answer, ${BUILDERS} builders by name, added to ${name}`,
      bar: `<= ${LATENCY_BAR_MS} ms`,
      measured: `${added.toFixed(2)} ms (${median(ms.several).toFixed(2)}, p99 ${
        quantile(ms.several, 0.99).toFixed(1)
      } : ${median(ms[which]).toFixed(2)}, p99 ${quantile(ms[which], 0.99).toFixed(1)})`,
      ratio: median(ms.several) / median(ms[which]),
      holds: added <= LATENCY_BAR_MS,
    };
  };
  return [against("single", "1 builder"), against("listening", "1 builder with a listener")];
}

/** Resident memory at rest, with one builder and with several. */
export async function measureMemory(rounds: number): Promise<readonly Figure[]> {
  const mb = { single: [] as number[], several: [] as number[] };
  await using one = await Field.open(1, { replicas: 1 });
  await using many = await Field.open(BUILDERS, { replicas: 1 });
  for (let round = 0; round < rounds; round++) {
    await using single = await one.start();
    await using several = await many.start();
    await delay(SETTLE_MS);
    mb.single.push(single.process.residentMb);
    mb.several.push(several.process.residentMb);
  }
  const each = (median(mb.several) - median(mb.single)) / (BUILDERS - 1);
  return [{
    what: `memory of a builder at rest, ${BUILDERS} builders : 1`,
    bar: `<= ${MEMORY_BAR_MB} MB`,
    measured: `${each.toFixed(2)} MB (${median(mb.several).toFixed(1)} : ${median(mb.single).toFixed(1)} MB)`,
    ratio: median(mb.several) / median(mb.single),
    holds: each <= MEMORY_BAR_MB,
  }];
}

/** What several idle proxies ask the API for. Records are renewed every 30 s: the time should be a multiple of that. */
export async function measureRequests(ms: number): Promise<readonly Figure[]> {
  await using field = await Field.open(BUILDERS, { replicas: 1 });
  const fronts: Front[] = [];
  try {
    while (fronts.length < PROXIES) fronts.push(await field.start());
    await delay(SETTLE_MS);
    const { requests } = field.stage.cluster.api;
    requests.length = 0;
    await delay(ms);
    const perSecond = requests.length / ms * 1_000;
    const kinds = Map.groupBy(requests, ({ verb, subject }) => `${verb} ${subject.split("/").pop()}`);
    const shown = [...kinds].map(([kind, { length }]) => `${kind} ${(length / ms * 1_000).toFixed(1)}`);
    return [{
      what: `API requests a second at rest, ${BUILDERS} builders, ${PROXIES} proxies`,
      bar: `<= ${REQUESTS_BAR}`,
      measured: `${perSecond.toFixed(1)} (${shown.join(", ")})`,
      holds: perSecond <= REQUESTS_BAR,
    }];
  } finally {
    for (const front of fronts) await front[Symbol.asyncDispose]();
  }
}
