/**
 * A table of the status page. Each column says what is in its head and in its cells, so that the two cannot differ. Pure.
 *
 * @module
 */
import { type Html, html, type Value } from "./html.ts";

/** A column. The first of a table names its rows. */
export interface Column<Row> {
  /** What its head says. */
  readonly head: string;
  /** `number`: set to the right. `free`: its text may break anywhere. */
  readonly kind?: "number" | "free";
  /** What it has of a row; `at`: of which one. */
  readonly cell: (row: Row, at: number) => Value;
}

/** How a table may look otherwise. */
export interface TableLook<Row> {
  /** No wider than it has to be. */
  readonly isNarrow?: boolean;
  /** Whether a row stands out. */
  readonly isSet?: (row: Row) => boolean;
}

/** The table. A column that is `false` or `undefined` is left out. */
export function table<Row>(
  caption: Value,
  rows: readonly Row[],
  columns: readonly (Column<Row> | false | undefined)[],
  { isNarrow = false, isSet = () => false }: TableLook<Row> = {},
): Html {
  const shown = columns.filter((column) => column !== false && column !== undefined);
  const head = shown.map(({ head, kind = "text" }) =>
    html`<th scope="col" class="${kind === "number" ? kind : "text"}">${head}</th>`
  );
  const cells = (row: Row, at: number) =>
    shown.map(({ kind = "text", cell }, i) =>
      i === 0 ? html`<th scope="row">${cell(row, at)}</th>` : html`<td class="${kind}">${cell(row, at)}</td>`
    );
  const body = rows.map((row, at) =>
    html`<tr class="${isSet(row) ? "set" : "plain"}">${cells(row, at)}</tr>`
  );
  return html`
    <div class="scroll">
      <table class="${isNarrow ? "narrow" : "wide"}">
        <caption>${caption}</caption>
        <thead>
          <tr>${head}</tr>
        </thead>
        <tbody>${body}</tbody>
      </table>
    </div>
  `;
}
