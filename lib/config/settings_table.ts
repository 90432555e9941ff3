/**
 * Generates the tables of `docs/settings.md` from the table of settings. Pure.
 *
 * @module
 */
import { settingRows, TOPICS } from "./settings.ts";

/** {@link settingsTable} writes between these lines of `docs/settings.md`. */
export const SETTINGS_MARKERS = ["<!-- settings:start -->", "<!-- settings:end -->"] as const;

/** A Markdown table for each topic, with one row for each setting. */
export function settingsTable(): string {
  const topics = Object.entries(TOPICS).map(([topic, title]) => {
    const rows = settingRows().filter(([, setting]) => setting.topic === topic).map(([, setting]) => {
      const { flag, variable, type, default: preset, help } = setting;
      return [code(flag), code(variable), preset === undefined ? "-" : code(preset), type.range, help];
    });
    return [`**${title}**`, "", ...table(["Flag", "Variable", "Default", "Values", "What it does"], rows)]
      .join("\n");
  });
  return topics.join("\n\n");
}

/** The lines of a Markdown table. Bars in cells are escaped. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}

/**
 * Replaces what is between the markers of `document` by `content`, with `gap` around it. @throws Error when a marker is
 * missing
 */
export function replaceBetween(
  document: string,
  [start, end]: readonly [string, string],
  content: string,
  gap = "\n\n",
): string {
  const from = document.indexOf(start);
  const to = document.indexOf(end);
  if (from < 0 || to < from) throw new Error(`Cannot find "${start}" and "${end}" in the document`);
  return `${document.slice(0, from + start.length)}${gap}${content}${gap}${document.slice(to)}`;
}

function code(text: string): string {
  return `\`${text}\``;
}
