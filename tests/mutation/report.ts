/**
 * What a mutation run has found, as a table by folder.
 *
 * @module
 */
import type { Outcome } from "./copy.ts";

/** What is known of a folder. */
export interface FolderResult {
  /** Its name. */
  readonly folder: string;
  /** How many mutants it has, without the harmless ones. */
  readonly mutants: number;
  /** How many survive by permission. */
  readonly harmless: number;
  /** What came of those that were tried. */
  readonly outcomes: readonly Outcome[];
}

/** The 95 % interval of a share by Wilson (1927), for a sample. */
export function wilson(hits: number, total: number): readonly [low: number, high: number] {
  if (total === 0) return [0, 1];
  const z = 1.959964;
  const share = hits / total;
  const scale = 1 + z * z / total;
  const middle = (share + z * z / (2 * total)) / scale;
  const half = z * Math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / scale;
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

/** One row for each folder, in Markdown. */
export function tableOf(results: readonly FolderResult[]): string {
  const percent = (share: number) => (100 * share).toFixed(1);
  const rows = results.map(({ folder, mutants, harmless, outcomes }) => {
    const count = (outcome: Outcome) => outcomes.filter((each) => each === outcome).length;
    const survived = count("survived");
    const tried = outcomes.length;
    const noticed = tried - survived;
    const share = tried === 0 ? "" : percent(noticed / tried);
    const interval = tried === mutants ? "" : wilson(noticed, tried).map(percent).join(" to ");
    return [
      folder,
      mutants,
      tried,
      noticed,
      count("timeout"),
      count("types"),
      survived,
      harmless,
      share,
      interval,
    ];
  });
  const titles = [
    "folder",
    "mutants",
    "tried",
    "noticed",
    "of these by time-out",
    "by types",
    "survived",
    "harmless",
    "noticed, %",
    "95 % interval",
  ];
  return [titles, titles.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}
