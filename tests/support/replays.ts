/**
 * Past sessions, and what other settings would have done with them.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { settingsWith } from "../../lib/advise/advice.ts";
import type { PastSession } from "../../lib/advise/history.ts";
import { type Replayed, replaySessions } from "../../lib/advise/replay.ts";
import { parseSettings } from "../../lib/config/parse_settings.ts";
import type { SettingKey, Settings } from "../../lib/config/settings.ts";

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60_000;

/** Resolves when everything has run that can run without time passing. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** The defaults but for these flags. */
export function settingsOf(own: Partial<Record<SettingKey, string>> = {}): Settings {
  return parseSettings({ flags: new Map(Object.entries(own) as [SettingKey, string][]), variables: {} });
}

/** A session that was served at once. */
export function past(startMs: number, durationMs: number, more: Partial<PastSession> = {}): PastSession {
  return { startMs, durationMs, heldMs: 0, wasServed: true, ...more };
}

/** How to replay. */
export interface ReplayWith {
  readonly idleTimeoutMs?: number;
  readonly startMs?: number | ((pod: string) => number);
  readonly untilMs?: number;
  readonly builders?: readonly string[];
  readonly settings?: Partial<Record<SettingKey, string>>;
}

/** Replays sessions, and says when the count of which builder changed: `12s b1 0->1`. */
export async function replay(
  sessions: readonly PastSession[],
  { idleTimeoutMs = MINUTE_MS, startMs = 0, untilMs = 60 * MINUTE_MS, builders = ["b1"], settings = {} }:
    ReplayWith = {},
): Promise<Replayed & { readonly timeline: readonly string[]; readonly alwaysOnMs: number }> {
  const timeline: string[] = [];
  const replayed = await replaySessions({
    sessions,
    settings: settingsWith(settingsOf(settings), builders, idleTimeoutMs),
    startMs: typeof startMs === "number" ? () => startMs : startMs,
    untilMs,
    turn,
    onCount: ({ atMs, builder, from, to }) => timeline.push(`${atMs / SECOND_MS}s ${builder} ${from}->${to}`),
  });
  const alwaysOnMs = replayed.peakPods * (replayed.untilMs - sessions[0]!.startMs);
  return { ...replayed, alwaysOnMs, timeline };
}
