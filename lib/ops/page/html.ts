/**
 * HTML by template: whatever is put into it is escaped, unless it was made by a template itself. Pure.
 *
 * @module
 */
import { UNPRINTABLE } from "../../base/unprintable.ts";

/** A piece of HTML that is safe to show. */
export class Html {
  /** The markup. */
  readonly markup: string;

  /** Use {@link html}: this takes the markup as it is. */
  constructor(markup: string) {
    this.markup = markup;
  }
}

/** What a template takes. Lists are joined; nothing is shown of `undefined` and `false`. */
export type Value = Html | string | number | undefined | false | readonly Value[];

/** A piece of HTML. Put attributes' values in double quotes. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Html {
  return new Html(parts.reduce((markup, part, at) => markup + markupOf(values[at - 1]) + part));
}

function markupOf(value: Value): string {
  if (value === undefined || value === false) return "";
  if (value instanceof Html) return value.markup;
  if (typeof value === "number") return String(value);
  return typeof value === "string" ? escape(value) : value.map(markupOf).join("");
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** A text as HTML. Unprintable characters are shown as U+FFFD. */
export function escape(text: string): string {
  return text.replace(UNPRINTABLE, (run) => "\ufffd".repeat([...run].length))
    .replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

/** A list that is shown in part: the rest can be unfolded. `id` keeps it unfolded when it changes. */
export function folded<T>(
  items: readonly T[],
  shown: number,
  id: string,
  draw: (items: readonly T[], caption: string) => Html,
  caption: string,
): Html {
  const rest = items.slice(shown);
  return html`${draw(items.slice(0, shown), caption)}${
    rest.length > 0 &&
    html`<details id="${id}"><summary>${rest.length} more</summary>${draw(rest, "Earlier")}</details>`
  }`;
}
