/**
 * The figures as Markdown: a section for each part, with its plots and its table, and a table of the bars. Also puts
 * them between the markers of a document. Text in, text out.
 *
 * @module
 */
import { type Contender, CONTENDERS, type Part, range, type Row, type Verdict } from "./figures.ts";

const BEGIN = "<!-- figures: written by `deno task bench --write` -->";
const END = "<!-- end of the figures -->";

/** A table in Markdown, its columns aligned. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = head.map((_, column) => Math.max(3, ...lines.map((line) => line[column]!.length)));
  const [first, ...others] = lines.map((line) =>
    `| ${line.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`
  );
  return [first, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...others].join("\n");
}

/** The rows of one part, one column for each contender. */
export function partTable({ contenders, rows }: Part): string {
  const isThere = (name: Contender) => rows.some(({ by }) => by[name] !== undefined);
  const cell = ({ by }: Row, name: Contender) => {
    const values = by[name];
    return values !== undefined ? range(values) : isThere(name) ? "–" : "not installed";
  };
  const shown = CONTENDERS.filter((name) => contenders.includes(name));
  return table(
    ["", "unit", ...shown],
    rows.map((row) => [row.what, row.unit, ...shown.map((name) => cell(row, name))]),
  );
}

/** What became of the bars. */
export function verdictTable(verdicts: readonly Verdict[]): string {
  return table(
    ["", "bar", "found", "Deno, bare", "verdict"],
    verdicts.map(({ row, bar, found, bare, holds, isAim }) => [
      row.what,
      isAim ? `aim: ${bar}` : bar,
      found,
      bare ?? "–",
      holds ? "holds" : isAim ? "missed" : "**fails**",
    ]),
  );
}

/** All of a run. `conditions` are lines of a list; `address` gives where a plot is, as seen from the document. */
export function report(
  conditions: readonly string[],
  parts: readonly Part[],
  verdicts: readonly Verdict[],
  address: (name: string) => string,
): string {
  const sections = parts.map((part) =>
    [
      `### ${part.title}`,
      part.meaning,
      ...part.plots.map(({ name, title }) => `![${title}](${address(name)})`),
      partTable(part),
    ].join("\n\n")
  );
  return [
    `## Figures of one run\n\n${conditions.map((line) => `- ${line}`).join("\n")}`,
    `### Bars\n\n${verdictTable(verdicts)}`,
    ...sections,
  ].join("\n\n");
}

/** The document with this between its markers. @throws Error if it has no markers */
export function filledIn(document: string, text: string): string {
  const from = document.indexOf(BEGIN);
  const to = document.indexOf(END, from);
  if (from < 0 || to < 0) throw new Error(`Cannot write the figures: want the lines "${BEGIN}" and "${END}"`);
  return `${document.slice(0, from + BEGIN.length)}\n\n${text}\n\n${document.slice(to)}`;
}
