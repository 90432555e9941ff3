/**
 * The advice as a table for people, and as JSON for programs. Pure.
 *
 * @module
 */
import { formatDurationMs } from "../config/duration.ts";
import type { Price } from "../config/price.ts";
import type { Advice, Trial } from "./advice.ts";
import type { History } from "./history.ts";
import { someNames } from "./some_names.ts";

const HOUR_MS = 3_600_000;

/** What the report is made of. */
export interface AdviceReport {
  /** What was read. */
  readonly history: History;
  /** What was found. */
  readonly advice: Advice;
  /** What a pod costs, if that is set. */
  readonly price: Price | undefined;
}

/** A column: its head, and its cell of a trial. */
interface Column {
  readonly head: string;
  cell(trial: Trial): string;
}

/** For people. */
export function adviceText(report: AdviceReport): string {
  const { advice: { trials } } = report;
  const columns = columnsOf(report);
  const rows = [
    columns.map(({ head }) => head),
    ...trials.map((trial) => columns.map(({ cell }) => cell(trial))),
  ];
  const widths = columns.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  // Numbers align at their end; the mark of the last column has no width.
  const table = rows.map((row) => row.map((cell, at) => cell.padStart(widths[at]!)).join("  "));
  const marks = ["", ...trials.map(({ isSet }) => isSet ? "  (set)" : "")];
  const lines = table.map((line, at) => `${line}${marks[at]}`.trimEnd());
  return [...headerOf(report), "", ...lines, ...footerOf(trials), ""].join("\n");
}

function headerOf({ history, advice }: AdviceReport): readonly string[] {
  const { sessions, skippedLines, format, coldStartsMs, others } = history;
  const { fromMs, untilMs, startMs, startFrom } = advice;
  const waitedMs = sessions.reduce((sum, { heldMs }) => sum + heldMs, 0);
  const skipped = skippedLines === 0 ? "" : `; ${count(skippedLines, "line")} skipped`;
  const from = {
    flag: "--start-time",
    history: `the median of ${count(coldStartsMs.length, "cold start")} in the log`,
    default: "assumed; --start-time sets it",
  }[startFrom];
  return [
    `Read:        ${count(sessions.length, "session")} from ${format === "log" ? "a log" : "CSV"}${skipped}`,
    ...leftOut(others),
    `Time:        ${moment(fromMs)} to ${moment(untilMs)}, ${hours(untilMs - fromMs)} hours`,
    // A CSV need not say it.
    ...(format === "csv" && waitedMs === 0 ? [] : [`Waited then: ${minutes(waitedMs)} minutes`]),
    `Pod start:   ${formatDurationMs(Math.round(startMs))} (${from})`,
  ];
}

function leftOut(others: History["others"]): readonly string[] {
  if (others.size === 0) return [];
  const sessions = [...others.values()].reduce((sum, each) => sum + each, 0);
  const names = someNames([...others.keys()]);
  return [`Left out:    ${count(sessions, "session")} of builders that "--builders" does not name: ${names}`];
}

function columnsOf({ advice, price }: AdviceReport): readonly Column[] {
  const cost = price === undefined ? [] : [{
    head: price.currency === "" ? "cost" : price.currency,
    cell: (trial: Trial) => costOf(trial, price).cost!.toFixed(2),
  }];
  const unserved = advice.trials.some((each) => each.unserved > 0)
    ? [{ head: "not served", cell: (trial: Trial) => String(trial.unserved) }]
    : [];
  return [
    { head: "builders", cell: ({ builders }) => String(builders) },
    { head: "idle timeout", cell: ({ idleTimeoutMs }) => formatDurationMs(idleTimeoutMs) },
    { head: "pod-hours", cell: ({ podMs }) => hours(podMs) },
    { head: "of always on", cell: ({ podMs, alwaysOnMs }) => percent(podMs, alwaysOnMs) },
    ...cost,
    { head: "cold starts", cell: ({ coldStarts }) => String(coldStarts) },
    { head: "minutes waited", cell: ({ waitedMs }) => minutes(waitedMs) },
    { head: "95% waited up to", cell: ({ p95WaitMs }) => seconds(p95WaitMs) },
    { head: "longest wait", cell: ({ longestWaitMs }) => seconds(longestWaitMs) },
    ...unserved,
  ];
}

function footerOf(trials: readonly Trial[]): readonly string[] {
  return trials.some(({ unserved }) => unserved > 0)
    ? ["", "not served: the client left before there was a pod, or its time was up"]
    : [];
}

/** For programs. Durations are in ms, moments in RFC 3339. */
export function adviceJson({ history, advice, price }: AdviceReport): string {
  const { sessions, skippedLines, format, coldStartsMs, others } = history;
  const { fromMs, untilMs, startMs, startFrom, trials } = advice;
  const report = {
    format,
    sessions: sessions.length,
    skippedLines,
    leftOut: [...others].map(([builder, sessions]) => ({ builder, sessions })),
    from: iso(fromMs),
    until: iso(untilMs),
    startMs,
    startFrom,
    coldStarts: coldStartsMs.length,
    trials: trials.map((trial) => ({ ...wholeMs(trial), ...costOf(trial, price) })),
  };
  return `${JSON.stringify(report, undefined, 2)}\n`;
}

/** Durations in whole ms. */
function wholeMs(trial: Trial): Trial {
  const rounded = Object.entries(trial).map(([name, value]) =>
    [name, typeof value === "number" ? Math.round(value) : value] as const
  );
  return { ...trial, ...Object.fromEntries(rounded) };
}

function costOf(
  { podMs }: Trial,
  price: Price | undefined,
): { readonly cost?: number; readonly currency?: string } {
  if (price === undefined) return {};
  return { cost: Number((podMs / HOUR_MS * price.perHour).toFixed(2)), currency: price.currency };
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** To the minute. */
function moment(ms: number): string {
  return `${iso(ms).slice(0, 16).replace("T", " ")} UTC`;
}

function hours(ms: number): string {
  return (ms / HOUR_MS).toFixed(2);
}

function minutes(ms: number): string {
  return (ms / 60_000).toFixed(1);
}

function seconds(ms: number): string {
  return formatDurationMs(Math.round(ms / 100) * 100);
}

function percent(part: number, whole: number): string {
  return `${(whole === 0 ? 0 : part / whole * 100).toFixed(1)}%`;
}
