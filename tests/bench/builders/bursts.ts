/**
 * What several builders do when very many clients come at once: to the hard limit, to builders that are asleep, and before
 * pods that are all ready in one moment.
 *
 * @module
 */
import { FRAME } from "../../../lib/miniature/stub_http2.ts";
import type { Http2Client } from "../../support/http2_client.ts";
import { delay } from "../processes.ts";
import { eventually, Field, type Front, until } from "./field.ts";
import { median } from "../figures.ts";
import type { Figure } from "./figures.ts";

const BUILDERS = 20;
const HARD_LIMIT = 4;
/** How long the counts of one proxy may take to reach the others, in ms: a record is written at most once a second. */
const LAG_MS = 3_000;

const COLD_START_BAR_MS = 50;
/** A pod's own start, in ms. */
const START_MS = 500;

const RELEASE_BAR = 1.25;

/**
 * Sessions above the hard limit at the fullest daemon, when twice as many clients come as there is room for, and half of
 * those with room go again: all at once, or one every so many ms.
 */
export async function measureOvershoot(
  proxies: number,
  rounds: number,
  everyMs = 0,
): Promise<readonly Figure[]> {
  const over: number[] = [];
  await using field = await Field.open(BUILDERS, { replicas: 1 });
  const fronts: Front[] = [];
  const limits = { "max-sessions-per-replica": `${HARD_LIMIT}` };
  try {
    while (fronts.length < proxies) fronts.push(await field.start(limits));
    for (let round = 0; round < rounds; round++) {
      field.count.most.clear();
      over.push(await overshoot(field, fronts, everyMs));
      await delay(LAG_MS);
    }
  } finally {
    for (const front of fronts) await front[Symbol.asyncDispose]();
  }
  const most = Math.max(...over);
  const clients = `${2 * BUILDERS * HARD_LIMIT} clients ${
    everyMs === 0 ? "at once" : `one every ${everyMs} ms`
  }`;
  return [{
    what: `sessions above the hard limit of ${HARD_LIMIT}, proxies: ${proxies}, ${clients}`,
    bar: `<= ${proxies - 1}`,
    measured: `at most ${most} (${over.join(", ")})`,
    holds: most <= proxies - 1,
  }];
}

/** One burst: all connect, some are queued, and each seat that a daemon frees goes to one of those. */
async function overshoot(field: Field, fronts: readonly Front[], everyMs: number): Promise<number> {
  const room = BUILDERS * HARD_LIMIT;
  const { projects } = field;
  const clients = await Promise.all(
    Array.from({ length: 2 * room }, async (_, at) => {
      if (everyMs > 0) await delay(at * everyMs);
      return await fronts[at % fronts.length]!.call(projects[at % BUILDERS]);
    }),
  );
  for (const client of clients) void closeWithServer(client);
  try {
    await eventually("the builders are full", () => field.open.length >= room);
    await delay(500);
    // The daemon counts the end before anybody else hears of it.
    const ended = field.open.slice(0, room >> 1);
    for (const session of ended) {
      session.cut();
      if (everyMs > 0) await delay(everyMs);
    }
    await eventually("the freed seats are taken", () => field.open.length >= room, LAG_MS * 3);
    await delay(500);
  } finally {
    for (const client of clients) client.close();
  }
  await eventually("the sessions have ended", () => field.open.length === 0);
  field.pods.forget();
  return Math.max(0, ...[...field.count.most.values()].map((most) => most - HARD_LIMIT));
}

/** Closes the client once its server does. */
async function closeWithServer(client: Http2Client): Promise<void> {
  try {
    while (await client.next() !== null);
  } catch {
    // It was closed here, or reset there.
  }
  client.close();
}

/** What clients wait for beyond the pods' own start, when one comes for each of the builders, which are all asleep. */
async function coldStarts(builders: number, rounds: number): Promise<readonly number[]> {
  await using field = await Field.open(builders, { startMs: () => START_MS });
  await using front = await field.start({ "idle-timeout": "1s" });
  const { projects } = field;
  const { cluster } = field.stage;
  const overMs: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    await eventually(
      "the builders are asleep",
      () => cluster.pods.length === 0 && cluster.sets.every(({ replicas }) => replicas === 0),
    );
    const tookMs = await Promise.all(projects.map((project) => front.visit(project)));
    // The first round warms up.
    if (round > 0) overMs.push(...tookMs.map((ms) => ms - START_MS));
    field.pods.forget();
  }
  return overMs;
}

/** Cold starts of all builders at once, and of one alone. */
export async function measureColdStarts(rounds: number): Promise<readonly Figure[]> {
  const all = await coldStarts(BUILDERS, rounds);
  const one = await coldStarts(1, rounds);
  const show = (ms: readonly number[]) =>
    `median ${median(ms).toFixed(0)} ms, worst ${Math.max(...ms).toFixed(0)} ms`;
  return [{
    what: `${BUILDERS} cold starts at once, beyond the pods' own ${START_MS} ms : one alone`,
    bar: `<= ${COLD_START_BAR_MS} ms`,
    measured: `${show(all)} : ${show(one)}`,
    ratio: median(all) / median(one),
    holds: Math.max(...all) <= COLD_START_BAR_MS,
  }];
}

/** How long the release of held clients takes, and what the program spends on holding and releasing them. */
interface Release {
  readonly medianMs: number;
  readonly lastMs: number;
  readonly cpuSeconds: number;
}

async function release(builders: number, clients: number, main?: string): Promise<Release> {
  await using field = await Field.open(builders, { probeMs: () => 3_600_000 });
  await using front = await field.start({}, main);
  let held: Http2Client[] = [];
  try {
    held = await front.callAll(clients, field.projects);
    await field.untilRunning(builders);
    await delay(1_000);
    const waiting = held.map((client) => until(client, FRAME.data));
    const startedMs = performance.now();
    field.release();
    const tookMs = (await Promise.all(waiting)).map((ms) => ms - startedMs);
    return {
      medianMs: median(tookMs),
      lastMs: Math.max(...tookMs),
      cpuSeconds: front.process.cpuSeconds,
    };
  } finally {
    for (const client of held) client.close();
  }
}

/** Very many clients before one builder, beside another checkout if one is given; and fewer before several builders. */
export async function measureReleases(
  { one, several, rounds, main }: {
    readonly one: number;
    readonly several: number;
    readonly rounds: number;
    readonly main: string | undefined;
  },
): Promise<readonly Figure[]> {
  const turns = {
    now: [] as Release[],
    before: [] as Release[],
    many: [] as Release[],
    few: [] as Release[],
  };
  for (let round = 0; round < rounds; round++) {
    turns.now.push(await release(1, one));
    if (main !== undefined) turns.before.push(await release(1, one, main));
    turns.many.push(await release(BUILDERS, several));
    turns.few.push(await release(1, several));
  }
  const of = (which: keyof typeof turns, key: keyof Release) => median(turns[which].map((turn) => turn[key]));
  const ms = (which: keyof typeof turns) => of(which, "lastMs");
  const show = (which: keyof typeof turns) =>
    `last after ${ms(which).toFixed(0)} ms, ${of(which, "cpuSeconds").toFixed(1)} s of CPU in all`;
  const compared = turns.before.length > 0;
  const ratio = ms("now") / ms("before");
  return [
    {
      what: `${one} clients held before one builder, released at once${
        compared ? " : another checkout" : ""
      }`,
      bar: compared ? `<= ${RELEASE_BAR} times` : "",
      measured: compared ? `${show("now")} : ${show("before")}` : show("now"),
      ...(compared ? { ratio, holds: ratio <= RELEASE_BAR } : {}),
    },
    {
      what: `${several} clients held before ${BUILDERS} builders, released at once : before one`,
      bar: "",
      measured: `${show("many")} : ${show("few")}`,
      ratio: ms("many") / ms("few"),
    },
  ];
}
