/** Tests of reading the fields of a kubeconfig: each type where each other one is wanted. @module */
import assert from "node:assert/strict";
import { asFields, FieldReader, Problems } from "../../../lib/kube/fields.ts";

const VALUES: Readonly<Record<string, unknown>> = {
  text: "a",
  "empty text": "",
  "a number": 1,
  "the number 0": 0,
  "a boolean": true,
  "the boolean false": false,
  "a list": ["a"],
  "an object": { a: 1 },
  null: null,
  undefined: undefined,
};
const NOTHING = ["empty text", "null", "undefined"];
const NAMES: Readonly<Record<string, string>> = {
  "the number 0": "a number",
  "the boolean false": "a boolean",
};

function readerOf(fields: Record<string, unknown>, path = "users[0]") {
  const problems = new Problems();
  return { reader: new FieldReader(problems, "/k", path, fields), problems };
}

const METHODS = {
  text: {
    takes: { text: "a" },
    absent: undefined,
    wants: (what: string) => /list|object/.test(what) ? "want text" : "want text, put it in quotes",
    otherwise: undefined,
  },
  flag: {
    takes: { "a boolean": true, "the boolean false": false },
    absent: false,
    wants: () => "want true or false",
    otherwise: false,
  },
  list: { takes: { "a list": ["a"] }, absent: [], wants: () => "want a list", otherwise: [] },
  object: { takes: {}, absent: undefined, wants: () => "want an object", otherwise: undefined },
} as const;

for (const [method, { takes, absent, wants, otherwise }] of Object.entries(METHODS)) {
  for (const [what, value] of Object.entries(VALUES)) {
    if (method === "object" && what === "an object") continue;
    Deno.test(`FieldReader.${method}() of ${what}`, () => {
      const { reader, problems } = readerOf({ x: value });
      const got = reader[method as keyof typeof METHODS]("x");
      if (NOTHING.includes(what)) {
        assert.deepEqual(got, absent);
        assert.equal(reader.has("x"), false);
        assert.deepEqual(problems.lines, []);
        return;
      }
      assert.equal(reader.has("x"), true);
      if (what in takes) {
        assert.deepEqual(got, (takes as Record<string, unknown>)[what]);
        assert.deepEqual(problems.lines, []);
        return;
      }
      assert.deepEqual(got, otherwise);
      assert.deepEqual(problems.lines, [
        `Cannot use kubeconfig "/k": field "users[0].x": found ${NAMES[what] ?? what}, ${wants(what)}`,
      ]);
    });
  }
}

Deno.test("FieldReader.texts() and objects() take what fits and name each element that does not", () => {
  for (const [path, prefix] of [["", ""], ["users[0]", "users[0]."]] as const) {
    const { reader, problems } = readerOf({ x: ["a", 1, { b: 2 }, null, [], "c"] }, path);
    const k = `Cannot use kubeconfig "/k": field "${prefix}`;
    assert.deepEqual(reader.texts("x"), ["a", "c"]);
    assert.deepEqual(problems.lines, [
      `${k}x[1]": found a number, want text, put it in quotes`,
      `${k}x[2]": found an object, want text, put it in quotes`,
      `${k}x[3]": found nothing, want text, put it in quotes`,
      `${k}x[4]": found a list, want text, put it in quotes`,
    ]);
    problems.lines.length = 0;
    assert.deepEqual(reader.objects("x").map((one) => [one.path, one.fields]), [[`${prefix}x[2]`, { b: 2 }]]);
    assert.deepEqual(problems.lines, [
      `${k}x[0]": found text, want an object`,
      `${k}x[1]": found a number, want an object`,
      `${k}x[3]": found nothing, want an object`,
      `${k}x[4]": found a list, want an object`,
      `${k}x[5]": found text, want an object`,
    ]);
  }
});

Deno.test("FieldReader.object() and empty() go on from the path of the field", () => {
  for (const [path, prefix] of [["", ""], ["users[0]", "users[0]."]] as const) {
    const { reader, problems } = readerOf({ x: { y: 1 } }, path);
    const inner = reader.object("x")!;
    assert.deepEqual([inner.file, inner.path, inner.fields], ["/k", `${prefix}x`, { y: 1 }]);
    inner.problem("y", "found a fault");
    assert.deepEqual(problems.lines, [`Cannot use kubeconfig "/k": field "${prefix}x.y": found a fault`]);
  }
  const empty = readerOf({}).reader.empty("user");
  assert.deepEqual([empty.path, empty.fields], ["users[0].user", {}]);
});

Deno.test("Problems names a file as a whole, and asFields() takes nothing but an object", () => {
  const problems = new Problems();
  problems.file("/k", "found nothing");
  assert.deepEqual(problems.lines, ['Cannot use kubeconfig "/k": found nothing']);
  const taken = Object.entries(VALUES).filter(([, value]) => asFields(value) !== undefined);
  assert.deepEqual(taken, [["an object", { a: 1 }]]);
});
