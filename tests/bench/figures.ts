/**
 * The figures of the benchmark: rows of measured values by contender, the statistics over them, and the verdict of a bar.
 * Pure: measures nothing and prints nothing.
 *
 * @module
 */

/**
 * What is measured side by side. `direct` is no proxy at all, `Deno, bare` the least that a proxy on the program's runtime
 * can be, and `empty` a compiled program that only waits.
 */
export const CONTENDERS = [
  "direct",
  "program",
  "Deno, bare",
  "Go",
  "HAProxy",
  "HAProxy, all threads",
  "nginx",
  "empty",
] as const;

/** One of them. */
export type Contender = typeof CONTENDERS[number];

/** The proxies of others. */
export const PEERS: readonly Contender[] = ["Go", "HAProxy", "HAProxy, all threads", "nginx"];

/** One quantity, measured several times on each contender. */
export interface Row {
  /** What bars refer to it by, unique in a run. */
  readonly id: string;
  /** What was measured, for the reader. */
  readonly what: string;
  /** Of all its values. */
  readonly unit: string;
  /** The values, in the order in which they were measured. A contender that could not be measured is missing. */
  readonly by: Readonly<Partial<Record<Contender, readonly number[]>>>;
}

/** Rows that belong together: one section of the document. */
export interface Part {
  /** Its name on the command line. */
  readonly name: string;
  /** The heading. */
  readonly title: string;
  /** What the figures mean, as a paragraph in Markdown. */
  readonly meaning: string;
  /** The columns. One whose contender no row has says "not installed". */
  readonly contenders: readonly Contender[];
  /** The rows of the table. */
  readonly rows: readonly Row[];
  /** Which of the rows are drawn, as the names and titles of the plots with the ids of their rows. */
  readonly plots: readonly Plot[];
}

/** One picture. Its rows share a unit. */
export interface Plot {
  /** The file's name, without its ending. */
  readonly name: string;
  /** What it shows. */
  readonly title: string;
  /** Its rows, by their ids. */
  readonly rows: readonly string[];
}

/** The value in the middle, or the mean of the two there. `NaN` without values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? NaN;
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? NaN) + upper) / 2 : upper;
}

/** With as many digits as mean something. */
export function digits(value: number): string {
  const places = value === 0 || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(places);
}

/** The median, and in brackets the least and the greatest if there are several values. */
export function range(values: readonly number[]): string {
  if (values.length === 1) return digits(values[0]!);
  return `${digits(median(values))} (${digits(Math.min(...values))}–${digits(Math.max(...values))})`;
}

/** What must hold for the program's median in a row. */
export type Bar =
  & {
    /** The row's id. */
    readonly row: string;
    /** An aim is told, but fails nothing. */
    readonly isAim?: boolean;
  }
  & (
    /** As a ratio to the greatest of the medians of these. */
    | { readonly beside: readonly Contender[]; readonly atLeast: number }
    /** As a ratio to the median of this one. */
    | { readonly beside: readonly [Contender]; readonly atMost: number }
    /** As a difference to the median of this one, in the row's unit. */
    | { readonly above: Contender; readonly atMost: number }
    /** As it is, in the row's unit. */
    | { readonly atMost: number }
  );

/** What became of a bar. */
export interface Verdict {
  /** The row that it is about. */
  readonly row: Row;
  /** What must hold. */
  readonly bar: string;
  /** What was found, or why nothing was. */
  readonly found: string;
  /** The same of the bare relay, which shows what the runtime permits; undefined if it was not measured. */
  readonly bare: string | undefined;
  /** Whether the bar holds. False if a contender is missing that it needs. */
  readonly holds: boolean;
  /** Whether it is only an aim. */
  readonly isAim: boolean;
}

/** The verdicts on all bars whose rows were measured. */
export function verdicts(bars: readonly Bar[], rows: readonly Row[]): readonly Verdict[] {
  return bars.flatMap((bar) => {
    const row = rows.find(({ id }) => id === bar.row);
    return row === undefined ? [] : [{ row, isAim: bar.isAim ?? false, ...judge(bar, row) }];
  });
}

function judge(bar: Bar, row: Row): Pick<Verdict, "bar" | "found" | "bare" | "holds"> {
  const others = "above" in bar ? [bar.above] : "beside" in bar ? bar.beside : [];
  const text = described(bar, row.unit);
  const missing = ["program" as const, ...others].filter((name) => row.by[name] === undefined);
  if (missing.length > 0) {
    return { bar: text, found: `not measured: ${missing.join(", ")}`, bare: undefined, holds: false };
  }
  const other = Math.max(...others.map((name) => median(row.by[name]!)));
  const of = (values: readonly number[]) =>
    "above" in bar ? median(values) - other : "beside" in bar ? median(values) / other : median(values);
  const written = (value: number) =>
    "beside" in bar ? `${value.toFixed(2)} times` : `${digits(value)} ${row.unit}`;
  const found = of(row.by.program!);
  const bare = row.by["Deno, bare"];
  return {
    bar: text,
    found: written(found),
    bare: bare && written(of(bare)),
    holds: "atLeast" in bar ? found >= bar.atLeast : found <= bar.atMost,
  };
}

function described(bar: Bar, unit: string): string {
  const limit = "atLeast" in bar ? "at least" : "at most";
  if (!("beside" in bar)) {
    return `at most ${bar.atMost} ${unit}${"above" in bar ? ` above the ${bar.above} program` : ""}`;
  }
  const times = ("atLeast" in bar ? bar.atLeast : bar.atMost).toFixed(1);
  return `${limit} ${times} times ${bar.beside.length === 1 ? bar.beside[0] : "the best peer"}`;
}
