/**
 * The figures of `builders.ts`: how each is written down, compared with its bar, and shown; and the little statistics that
 * they need. Pure.
 *
 * @module
 */
import { table as markdown } from "../report.ts";

/** One row of the table. */
export interface Figure {
  /** What was measured. */
  readonly what: string;
  /** What must hold; empty where it is only told. */
  readonly bar: string;
  /** What was found. */
  readonly measured: string;
  /** Beside what it is compared with, where it is. */
  readonly ratio?: number;
  /** Undefined where there is no bar. */
  readonly holds?: boolean;
}

/** The value that this share of the values does not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

/** The figures as a table. */
export function table(figures: readonly Figure[]): string {
  const verdict = (holds: boolean | undefined) => holds === undefined ? "-" : holds ? "ok" : "MISSED";
  return markdown(
    ["figure", "bar", "measured", "ratio", "ok"],
    figures.map(({ what, bar, measured, ratio, holds }) => [
      what,
      bar === "" ? "-" : bar,
      measured,
      ratio === undefined ? "-" : ratio.toFixed(2),
      verdict(holds),
    ]),
  );
}
