/**
 * Bar plots as SVG, in light or dark as the reader's browser prefers. Text in, text out: measures nothing.
 *
 * @module
 */
import { type Contender, CONTENDERS, digits, median, type Plot, type Row } from "./figures.ts";

const WIDTH = 800;
const LEFT = 190;
const RIGHT = 90;
const BAR = 14;
const GAP = 12;
const HEAD = 64;

/** A colour of each contender on light and on dark ground. */
const COLOURS: Readonly<Record<Contender, readonly [light: string, dark: string]>> = {
  "direct": ["#8c959f", "#768390"],
  "program": ["#0969da", "#539bf5"],
  "Deno, bare": ["#8250df", "#986ee2"],
  "Go": ["#1a7f37", "#57ab5a"],
  "HAProxy": ["#bf8700", "#c69026"],
  "HAProxy, all threads": ["#9a6700", "#966600"],
  "nginx": ["#bc4c00", "#cc6b2c"],
  "empty": ["#d0d7de", "#545d68"],
};

const STYLE = (() => {
  const fills = (at: 0 | 1) => CONTENDERS.map((name, n) => `.c${n}{fill:${COLOURS[name][at]}}`).join("");
  const light =
    `text{font:12px sans-serif;fill:#1f2328}.t{font-weight:bold;font-size:14px}.r{stroke:#1f2328}${fills(0)}`;
  const dark = `text{fill:#d1d7e0}.r{stroke:#d1d7e0}${fills(1)}`;
  return `${light}@media(prefers-color-scheme:dark){${dark}}`;
})();

/** Bars of the medians, with a line from the least to the greatest value. Rows without values are left out. */
export function svg({ name, title }: Plot, rows: readonly Row[]): string {
  const named = rows.map((row) => ({ row, bars: barsOf(row) })).filter(({ bars }) => bars.length > 0);
  const most = Math.max(...named.flatMap(({ bars }) => bars.flatMap(({ values }) => values)), 0) || 1;
  const x = (value: number) => LEFT + value / most * (WIDTH - LEFT - RIGHT);
  const parts: string[] = [];
  let y = HEAD;
  for (const { row, bars } of named) {
    const middle = y + bars.length * BAR / 2 + 4;
    parts.push(
      ...wrapped(row.what).map((line, at, { length }) =>
        `<text x="${LEFT - 8}" y="${fixed(middle + (at - (length - 1) / 2) * 14)}" text-anchor="end">${
          escaped(line)
        }</text>`
      ),
    );
    for (const { contender, values } of bars) {
      parts.push(...barOf(contender, values, y, x));
      y += BAR;
    }
    y += GAP;
  }
  const shown = CONTENDERS.filter((contender) =>
    named.some(({ bars }) => bars.some((bar) => bar.contender === contender))
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" role="img" aria-labelledby="${name}-t ${name}-d">`,
    `<title id="${name}-t">${escaped(title)}</title>`,
    `<desc id="${name}-d">${escaped(described(named))}</desc>`,
    `<style>${STYLE}</style>`,
    `<text class="t" x="8" y="22">${escaped(title)}</text>`,
    ...legend(shown),
    ...parts,
    "</svg>\n",
  ].join("\n");
}

interface Bar {
  readonly contender: Contender;
  readonly values: readonly number[];
}

function barsOf({ by }: Row): readonly Bar[] {
  return CONTENDERS.flatMap((contender) => {
    const values = by[contender];
    return values === undefined || values.length === 0 ? [] : [{ contender, values }];
  });
}

function barOf(
  contender: Contender,
  values: readonly number[],
  y: number,
  x: (value: number) => number,
): readonly string[] {
  const [least, middle, most] = [Math.min(...values), median(values), Math.max(...values)].map(x);
  const line = y + BAR / 2;
  return [
    `<rect class="c${CONTENDERS.indexOf(contender)}" x="${LEFT}" y="${y + 1}" width="${
      fixed(middle! - LEFT)
    }" height="${BAR - 2}"/>`,
    `<path class="r" d="M${fixed(least!)} ${line}H${fixed(most!)}"/>`,
    `<text x="${fixed(most! + 6)}" y="${line + 4}">${digits(median(values))}</text>`,
  ];
}

function legend(contenders: readonly Contender[]): readonly string[] {
  let x = 8;
  return contenders.flatMap((contender) => {
    const at = x;
    x += 34 + contender.length * 7;
    return [
      `<rect class="c${CONTENDERS.indexOf(contender)}" x="${at}" y="34" width="12" height="12"/>`,
      `<text x="${at + 17}" y="44">${escaped(contender)}</text>`,
    ];
  });
}

/** For those who do not see it. */
function described(named: readonly { readonly row: Row; readonly bars: readonly Bar[] }[]): string {
  return named.map(({ row, bars }) =>
    `${row.what}: ${
      bars.map(({ contender, values }) => `${contender} ${digits(median(values))} ${row.unit}`).join(", ")
    }.`
  ).join(" ");
}

/** In lines that fit beside the bars. */
function wrapped(text: string): readonly string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (longer.length > 28 && lines.at(-1) !== "") lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

function fixed(value: number): string {
  return value.toFixed(1);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll(
    '"',
    "&quot;",
  );
}
