/** Tests of finding the name that somebody has mistyped. @module */
import assert from "node:assert/strict";
import fc from "fast-check";
import { editDistance, nearest } from "../../../lib/config/nearest.ts";

const EDITS: readonly (readonly [string, string, number])[] = [
  ["", "", 0],
  ["", "abc", 3],
  ["abc", "", 3],
  ["abc", "abc", 0],
  ["abc", "abd", 1],
  ["abc", "ab", 1],
  ["abc", "xabc", 1],
  ["ab", "ba", 1],
  ["abcd", "bacd", 1],
  ["abcd", "acbd", 1],
  ["abcd", "abdc", 1],
  ["ca", "abc", 3],
  ["abab", "baba", 2],
  ["kitten", "sitting", 3],
];
for (const [a, b, edits] of EDITS) {
  Deno.test(`editDistance() of "${a}" and "${b}" is ${edits}`, () => {
    assert.equal(editDistance(a, b), edits);
    assert.equal(editDistance(b, a), edits);
  });
}

const word = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 6 });

/** All texts that one edit makes of `text`. */
function edited(text: string): Set<string> {
  const all = new Set<string>();
  for (let i = 0; i <= text.length; i++) {
    for (const letter of "abc") {
      all.add(text.slice(0, i) + letter + text.slice(i));
      if (i < text.length) all.add(text.slice(0, i) + letter + text.slice(i + 1));
    }
    if (i < text.length) all.add(text.slice(0, i) + text.slice(i + 1));
    if (i + 1 < text.length) all.add(text.slice(0, i) + text[i + 1] + text[i] + text.slice(i + 2));
  }
  return all;
}

Deno.test("editDistance() is 1 for what one edit makes, and for nothing else", () => {
  fc.assert(fc.property(word, word, (a, b) => {
    assert.equal(editDistance(a, b) <= 1, a === b || edited(a).has(b));
    for (const near of edited(a)) assert.equal(editDistance(a, near), near === a ? 0 : 1);
  }));
});

Deno.test("nearest() takes up to a third of a word's letters for mistakes, without the prefix", () => {
  assert.equal(nearest("abx", ["abc"]), "abc");
  assert.equal(nearest("axx", ["abc"]), undefined);
  assert.equal(nearest("abcdxx", ["abcdef"]), "abcdef");
  assert.equal(nearest("abcxxx", ["abcdef"]), undefined);
  assert.equal(nearest("--axx", ["--abc"], "--"), undefined);
  assert.equal(nearest("--abx", ["--abc"], "--"), "--abc");
  assert.equal(nearest("abx", ["--abc"], "--"), "--abc", "without the prefix, too");
});

Deno.test("nearest() names the one with the fewest edits, and the first of equals", () => {
  assert.equal(nearest("abcdef", ["abcdxx", "abcdex", "abcdey"]), "abcdex");
  assert.equal(nearest("abcdef", []), undefined);
});
