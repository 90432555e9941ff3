/**
 * Tests of HTML by template: nothing that is put into it becomes markup.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { escape, html } from "../../../lib/ops/page/html.ts";

Deno.test("html escapes what is put into it, in text and in attributes", () => {
  const name = `<img src=x onerror="alert('&')">`;
  const escaped = "&lt;img src=x onerror=&quot;alert(&#39;&amp;&#39;)&quot;&gt;";
  assert.equal(html`<p title="${name}">${name}</p>`.markup, `<p title="${escaped}">${escaped}</p>`);
});

Deno.test("html takes pieces, lists, numbers and nothing", () => {
  const items = ["a<", "b"].map((item) => html`<li>${item}</li>`);
  assert.equal(
    html`<ul>${items}</ul>${3}${undefined}${false}${""}`.markup,
    "<ul><li>a&lt;</li><li>b</li></ul>3",
  );
});

Deno.test("escape() shows control characters, changes of direction and what is invisible", () => {
  assert.equal(
    escape("a\u0000\u001b[2J\n\u202egnp.exe\u2066\u200b\ufeff\u3164\u{e0041}ä→"),
    "a��[2J��gnp.exe�����ä→",
  );
});

Deno.test("escape() leaves no character that markup is made of, and is undone by entities alone", () => {
  const entities = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'" } as const;
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    const escaped = escape(text);
    assert.ok(!/[<>"']/.test(escaped));
    const back = escaped.replace(
      /&(?:amp|lt|gt|quot|#39);/g,
      (entity) => entities[entity as keyof typeof entities],
    );
    assert.equal([...back].length, [...text].length);
    for (const [at, character] of [...back].entries()) {
      assert.ok(character === [...text][at] || character === "�");
    }
  }));
});
