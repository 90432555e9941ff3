/**
 * What `advise` replays is what was: the log of a simulated run, replayed with the same settings and the start times that
 * its pods had, gives the timeline of replicas that the run had.
 *
 * The runs have one proxy, one builder of one pod, no faults and no watchers. Clients come whenever they like: whether one
 * that comes in the very moment of a scale-down still finds the pod is decided by milliseconds that no log has. Runs in which
 * one does are left out, and few may be.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers";
import { settingsWith } from "../../lib/advise/advice.ts";
import type { History } from "../../lib/advise/history.ts";
import { readHistory } from "../../lib/advise/read_history.ts";
import { replaySessions } from "../../lib/advise/replay.ts";
import { parseSettings } from "../../lib/config/parse_settings.ts";
import { type SettingKey, type Settings } from "../../lib/config/settings.ts";
import { type FaultName, FAULTS } from "./faults.ts";
import { draw, type Options, simulate } from "./simulate.ts";

/** A change of the count, and when, in ms. */
interface Change {
  readonly atMs: number;
  readonly to: number;
}

/**
 * How far the two may be apart, in ms: each request of the program takes up to 4 ms there and back in a simulation, a
 * scale-down is a handful of them, and the log has whole milliseconds.
 */
const TOLERANCE_MS = 50;

const SEEDS = 24;

/** A run, as its log tells it. */
interface Run {
  readonly settings: Settings;
  readonly history: History;
  readonly changes: readonly Change[];
}

async function run(seed: number): Promise<Run> {
  const records: { readonly atMs: number; readonly code: string; readonly fields: string }[] = [];
  const options: Options = {
    seed,
    without: new Set(Object.keys(FAULTS) as FaultName[]),
    proxies: 1,
    builders: 1,
    replicas: 1,
    watchers: 0,
    aim: 0,
    durationMs: 240_000,
    print: (line) => {
      const [, at, code, fields] = /^ *([0-9.]+) proxy1: \w+ (\w+) (\{.*)$/.exec(line) ?? [];
      if (fields !== undefined) records.push({ atMs: Number(at), code: code!, fields });
    },
  };
  const { violation } = await simulate(options);
  assert.equal(violation, undefined, `seed ${seed}`);
  const lines = records.map(({ atMs, code, fields }) =>
    JSON.stringify({ time: new Date(atMs).toISOString(), code, ...JSON.parse(fields) })
  );
  const flags = new Map(Object.entries(draw(options).plan.settings) as [SettingKey, string][]);
  return {
    settings: parseSettings({ flags, variables: {} }),
    history: await readHistory(
      async function* () {
        yield* lines;
      }(),
    ),
    changes: records.filter(({ code }) => code === "scaled")
      .map(({ atMs, fields }) => ({ atMs, to: JSON.parse(fields).to })),
  };
}

/** Whether a client comes within the tolerance of a scale-down. */
function isClose({ settings, history: { sessions } }: Run): boolean {
  let lastMs = Infinity;
  return sessions.some(({ startMs, durationMs }) => {
    const idleMs = startMs - lastMs;
    lastMs = Math.max(startMs + durationMs, lastMs === Infinity ? 0 : lastMs);
    return Math.abs(idleMs - settings.idleTimeoutMs.base) <= TOLERANCE_MS;
  });
}

/** How long each pod took from the write of the count until its first session was served, in ms. */
function startTimes({ history: { sessions }, changes }: Run): readonly number[] {
  const servedMs = sessions.filter(({ wasServed }) => wasServed)
    .map(({ startMs, heldMs }) => startMs + heldMs);
  return changes.filter(({ to }) => to > 0).map(({ atMs }) =>
    Math.min(...servedMs.filter((ms) => ms >= atMs)) - atMs
  );
}

async function replayed(past: Run, idleTimeoutMs: number): Promise<readonly Change[]> {
  const { settings, history: { sessions } } = past;
  const starts = startTimes(past);
  const changes: Change[] = [];
  let started = 0;
  await replaySessions({
    sessions,
    settings: settingsWith(settings, [settings.stsName], idleTimeoutMs),
    startMs: () => starts[started++] ?? 0,
    untilMs: sessions.at(-1)!.startMs + 3_600_000,
    turn: () => new Promise((resolve) => void setImmediate(resolve)),
    onCount: ({ atMs, to }) => changes.push({ atMs, to }),
  });
  return changes;
}

/** What differs, in words; undefined if nothing does. */
function difference(was: readonly Change[], is: readonly Change[]): string | undefined {
  if (was.length !== is.length) return `found ${is.length} changes, want ${was.length}`;
  for (const [at, change] of was.entries()) {
    const other = is[at]!;
    if (other.to !== change.to || Math.abs(other.atMs - change.atMs) > TOLERANCE_MS) {
      return `change ${at}: found ${JSON.stringify(other)}, want ${JSON.stringify(change)}`;
    }
  }
  return undefined;
}

Deno.test("replaySessions() gives the timelines that simulated runs had", async () => {
  let compared = 0;
  let changes = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const past = await run(seed);
    if (isClose(past)) continue;
    compared++;
    changes += past.changes.length;
    const { base } = past.settings.idleTimeoutMs;
    assert.equal(difference(past.changes, await replayed(past, base)), undefined, `seed ${seed}`);
    // The comparison sees a replay that scales down at another time.
    assert.notEqual(difference(past.changes, await replayed(past, base + 2 * TOLERANCE_MS)), undefined);
  }
  console.log({ compared, changes });
  assert.ok(compared >= SEEDS / 2, `${compared} runs were compared`);
  assert.ok(changes >= 10 * compared, `${changes} changes were compared`);
});
