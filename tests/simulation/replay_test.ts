/**
 * What `advise` replays is what was: the log of a simulated run, replayed with the same settings and the start times that
 * its pods had, gives the timeline of replicas that the run had.
 *
 * The runs have one proxy, no faults and no watchers. With several builders, no connections belong together (no log says
 * which do), and none goes to the least used builder or to the next one (which that is may change within a millisecond).
 * Clients come whenever they like. Whether one that comes in the very moment of a scale-down still finds the pod is decided by milliseconds that
 * no log has: runs in which one does are left out, and few may be.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers";
import { settingsWith } from "../../lib/advise/advice.ts";
import type { History } from "../../lib/advise/history.ts";
import { readHistory } from "../../lib/advise/read_history.ts";
import { replaySessions } from "../../lib/advise/replay.ts";
import { poolsOf } from "../../lib/config/builders.ts";
import { parseSettings } from "../../lib/config/parse_settings.ts";
import { type SettingKey, type Settings } from "../../lib/config/settings.ts";
import { type FaultName, FAULTS } from "./faults.ts";
import { draw, type Options, simulate } from "./simulate.ts";

/** A change of the count of one builder, and when, in ms. */
interface Change {
  readonly builder: string;
  readonly atMs: number;
  readonly from: number;
  readonly to: number;
}

/**
 * How far the two may be apart, in ms: each request of the program takes up to 4 ms there and back in a simulation, a
 * scale-down is a handful of them, and the log has whole milliseconds.
 */
const TOLERANCE_MS = 100;

/** Not a multiple of the seconds for which clients wait and pause. */
const IDLE_TIMEOUT = "7300ms";

/** A record of the log. */
interface LogRecord {
  readonly atMs: number;
  readonly code: string;
  // deno-lint-ignore no-explicit-any
  readonly fields: any;
}

/** A run, as its log tells it. */
interface Run {
  readonly settings: Settings;
  readonly records: readonly LogRecord[];
  readonly history: History;
  readonly changes: readonly Change[];
}

async function run(own: Omit<Options, "without" | "print">): Promise<Run> {
  const records: LogRecord[] = [];
  const options: Options = {
    proxies: 1,
    watchers: 0,
    aim: 0,
    durationMs: 240_000,
    ...own,
    settings: { ...own.settings, readiness: "pod" },
    without: new Set(Object.keys(FAULTS) as FaultName[]),
    print: (line) => {
      const [, at, code, fields] = /^ *([0-9.]+) proxy1: \w+ (\w+) (\{.*)$/.exec(line) ?? [];
      if (fields !== undefined) records.push({ atMs: Number(at), code: code!, fields: JSON.parse(fields) });
    },
  };
  const { violation } = await simulate(options);
  assert.equal(violation, undefined, `seed ${own.seed}`);
  const flags = new Map(Object.entries(draw(options).plan.settings) as [SettingKey, string][]);
  const settings = parseSettings({ flags, variables: {} });
  const history = await readHistory(
    async function* () {
      for (const { atMs, code, fields } of records) {
        yield JSON.stringify({ time: new Date(atMs).toISOString(), code, ...fields });
      }
    }(),
  );
  const changes = records.filter(({ code }) => code === "scaled").map(({ atMs, fields }) => ({
    builder: fields.builder ?? settings.stsName,
    atMs,
    from: fields.from,
    to: fields.to,
  }));
  return { settings, records, history, changes };
}

/** Whether a client comes to a builder within the tolerance of its scale-down. */
function isClose({ settings, records }: Run): boolean {
  const ended = records.filter(({ code }) => code === "session_ended");
  return [...Map.groupBy(ended, ({ fields }) => fields.builder).values()].some((sessions) => {
    const inOrder = sessions.map(({ atMs, fields }) => ({ startMs: atMs - fields.durationMs, endMs: atMs }))
      .sort((a, b) => a.startMs - b.startMs);
    let lastMs = -Infinity;
    return inOrder.some(({ startMs, endMs }) => {
      const idleMs = startMs - lastMs;
      lastMs = Math.max(endMs, lastMs);
      return Math.abs(idleMs - settings.idleTimeoutMs.base) <= TOLERANCE_MS;
    });
  });
}

/**
 * How long the starts of each pod took, from the write of the count until the proxy saw it ready, in ms. A pod that the
 * controller had not deleted yet is there still, and so is ready when it serves its first session.
 */
function startTimes({ records, changes }: Run): ReadonlyMap<string, number[]> {
  const usable = records.flatMap(({ atMs, code, fields }) => {
    if (code === "pod_observed" && fields.ready) return [{ pod: fields.pod, atMs }];
    if (code !== "session_ended") return [];
    return [{ pod: fields.pod, atMs: atMs - fields.durationMs + fields.heldMs }];
  });
  const times = new Map<string, number[]>();
  for (const { builder, atMs, from, to } of changes) {
    for (let ordinal = from; ordinal < to; ordinal++) {
      const pod = `${builder}-${ordinal}`;
      const fromMs = usable.filter((each) => each.pod === pod && each.atMs >= atMs).map((each) => each.atMs);
      times.set(pod, [...times.get(pod) ?? [], Math.min(...fromMs) - atMs]);
    }
  }
  return times;
}

async function replayed(past: Run, idleTimeoutMs: number): Promise<readonly Change[]> {
  const { settings, history: { sessions } } = past;
  const starts = startTimes(past);
  const changes: Change[] = [];
  const names = poolsOf(settings)[0]!.builders.map(({ name }) => name);
  await replaySessions({
    sessions,
    settings: settingsWith(settings, names, idleTimeoutMs),
    startMs: (pod) => starts.get(pod)?.shift() ?? 0,
    untilMs: sessions.at(-1)!.startMs + 3_600_000,
    turn: () => new Promise((resolve) => void setImmediate(resolve)),
    onCount: (change) => changes.push(change),
  });
  return changes;
}

/** What differs, in words; undefined if nothing does. */
function difference(was: readonly Change[], is: readonly Change[]): string | undefined {
  const found = Map.groupBy(is, ({ builder }) => builder);
  const wanted = Map.groupBy(was, ({ builder }) => builder);
  for (const builder of new Set([...found.keys(), ...wanted.keys()])) {
    const [ours, theirs] = [found.get(builder) ?? [], wanted.get(builder) ?? []];
    if (ours.length !== theirs.length) {
      return `${builder}: found ${ours.length} changes, want ${theirs.length}`;
    }
    for (const [at, want] of theirs.entries()) {
      const have = ours[at]!;
      if (have.to !== want.to || Math.abs(have.atMs - want.atMs) > TOLERANCE_MS) {
        return `${builder}, change ${at}: found ${JSON.stringify(have)}, want ${JSON.stringify(want)}`;
      }
    }
  }
  return undefined;
}

/** Compares runs of these seeds, and says how many, and how many changes they had. */
async function compare(
  seeds: number,
  optionsOf: (seed: number) => Omit<Options, "seed">,
): Promise<{ readonly runs: number; readonly changes: number }> {
  let runs = 0;
  let changes = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const past = await run({ ...optionsOf(seed), seed });
    if (isClose(past)) continue;
    runs++;
    changes += past.changes.length;
    const { base } = past.settings.idleTimeoutMs;
    assert.equal(difference(past.changes, await replayed(past, base)), undefined, `seed ${seed}`);
    // The comparison sees a replay that scales down at another time.
    const later = await replayed(past, base + 2 * TOLERANCE_MS);
    assert.notEqual(difference(past.changes, later), undefined, `seed ${seed}`);
  }
  return { runs, changes };
}

Deno.test("replaySessions() gives the timelines that simulated runs of one builder had", async () => {
  const { runs, changes } = await compare(16, () => ({
    builders: 1,
    replicas: 1,
    settings: { idleTimeoutMs: IDLE_TIMEOUT },
  }));
  assert.ok(runs >= 12, `${runs} runs were compared`);
  assert.ok(changes >= 60, `${changes} changes were compared`);
});

Deno.test("replaySessions() gives the timelines that simulated runs of several builders had", async () => {
  const placements = ["affinity", "packed"];
  const { runs, changes } = await compare(16, (seed) => ({
    builders: 3,
    replicas: 1 + Math.floor(seed / 2) % 2,
    traces: false,
    settings: {
      idleTimeoutMs: IDLE_TIMEOUT,
      // No pod takes so long that it is stuck after half of this.
      readyWaitTimeoutMs: "120s",
      placement: placements[seed % 2]!,
    },
  }));
  assert.ok(runs >= 12, `${runs} runs were compared`);
  assert.ok(changes >= 200, `${changes} changes were compared`);
});
