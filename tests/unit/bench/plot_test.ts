/**
 * The plots: well-formed, readable without eyes, and true to scale.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Row } from "../../bench/figures.ts";
import { svg } from "../../bench/plot.ts";

const PLOT = { name: "streams", title: "Bytes < 1 & more", rows: ["a"] };

function row(by: Row["by"], what = "1 stream"): Row {
  return { id: "a", what, unit: "GB/s", by };
}

/** The names of the elements that are open where none should be, or that end in the wrong place. */
function faults(text: string): readonly string[] {
  const open: string[] = [];
  const wrong: string[] = [];
  for (const [tag, slash, name, end] of text.matchAll(/<(\/?)([a-z]+)(?: [\w:-]+="[^"<]*")*(\/?)>/g)) {
    if (slash === "/" && open.pop() !== name) wrong.push(tag);
    if (slash === "" && end === "") open.push(name!);
  }
  const rest = text.replaceAll(/<(\/?)([a-z]+)(?: [\w:-]+="[^"<]*")*(\/?)>/g, "");
  return [...open, ...wrong, ...rest.match(/[<>]|&(?!(?:amp|lt|gt|quot);)/g) ?? []];
}

function widths(text: string): readonly number[] {
  return [...text.matchAll(/<rect class="c\d" x="190" y="\d+" width="([\d.]+)"/g)].map(([, width]) =>
    Number(width)
  );
}

Deno.test("svg() is well-formed and escapes every text", () => {
  const text = svg(PLOT, [row({ program: [1, 2], Go: [1] }, 'a "b" <c> & d')]);
  assert.deepEqual(faults(text), []);
  assert.match(text, /<title id="streams-t">Bytes &lt; 1 &amp; more<\/title>/);
  assert.match(text, /a &quot;b&quot; &lt;c&gt; &amp; d/);
});

Deno.test("svg() says in its description what it shows, and who describes it", () => {
  const text = svg(PLOT, [row({ program: [1, 2, 3], Go: [4] })]);
  assert.match(text, /role="img" aria-labelledby="streams-t streams-d"/);
  assert.match(text, /<desc id="streams-d">1 stream: program 2\.00 GB\/s, Go 4\.00 GB\/s\.<\/desc>/);
});

Deno.test("svg() draws the medians to scale", () => {
  const [program, go] = widths(svg(PLOT, [row({ program: [1, 2, 3], Go: [4] })]));
  assert.equal(go, 520);
  assert.equal(program, 260);
});

Deno.test("svg() has colours for light and dark ground", () => {
  const text = svg(PLOT, [row({ program: [1] })]);
  assert.match(text, /\.c1\{fill:#0969da\}.*@media\(prefers-color-scheme:dark\)\{.*\.c1\{fill:#539bf5\}/);
});

Deno.test("svg() leaves out rows without values, and bears zeros", () => {
  const text = svg(PLOT, [row({}, "nothing"), row({ program: [0] }, "zero")]);
  assert.doesNotMatch(text, /nothing/);
  assert.doesNotMatch(text, /NaN|Infinity/);
  assert.deepEqual(widths(text), [0]);
});
