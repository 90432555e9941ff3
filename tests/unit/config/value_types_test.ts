/** Tests of the types of settings' values: bounds, what is said of what is none, and how values are written. @module */
import assert from "node:assert/strict";
import {
  address,
  boolean,
  choice,
  duration,
  integer,
  label,
  subdomain,
  text,
  type ValueType,
} from "../../../lib/config/value_types.ts";

/** Texts with the value that each stands for, or `undefined`. */
function parses<T>(type: ValueType<T>, expected: Readonly<Record<string, T | undefined>>): void {
  for (const [given, value] of Object.entries(expected)) assert.deepEqual(type.parse(given), value, given);
}

Deno.test("duration() takes from its least up to a year, both included", () => {
  const type = duration(1_000);
  parses(type, {
    "1s": 1_000,
    "999ms": undefined,
    "8760h": 31_536_000_000,
    "8760h0m0.001s": undefined,
    x: undefined,
  });
  parses(duration(0), { "0s": 0, "0": 0, "-1ns": undefined });
  assert.equal(type.want("x"), 'a duration such as "2m0s"');
  assert.equal(type.want("1ms"), "a duration from 1s to 8760h0m0s");
  assert.deepEqual([type.range, duration(0).range], ["duration, at least 1s", "duration"]);
  assert.deepEqual(type.limits, ["1s", "8760h0m0s"]);
  assert.equal(type.format(90_000), "1m30s");
});

Deno.test("integer() takes digits within bounds, both included", () => {
  const type = integer(2, 40);
  parses(type, {
    "2": 2,
    "40": 40,
    "007": 7,
    "1": undefined,
    "41": undefined,
    "3.0": undefined,
    "+3": undefined,
    "": undefined,
  });
  parses(integer(0, 1e15), { "999999999999999": 999999999999999, "0000000000000001": undefined });
  assert.deepEqual([type.range, type.want("x"), type.format(3)], [
    "2 to 40",
    "a whole number from 2 to 40",
    "3",
  ]);
  assert.deepEqual(type.schema, { type: "integer", minimum: 2, maximum: 40 });
});

Deno.test("choice() takes its words in any case", () => {
  const type = choice("level", ["debug", "info", "warn"]);
  parses(type, { debug: "debug", INFO: "info", Warn: "warn", w: undefined, "": undefined });
  assert.deepEqual([type.placeholder, type.range, type.choices], ["level", "debug, info, warn", [
    "debug",
    "info",
    "warn",
  ]]);
  assert.deepEqual([type.want("x"), type.format("info")], ['"debug", "info" or "warn"', "info"]);
  assert.deepEqual(type.schema, { type: "string", enum: ["debug", "info", "warn"] });
});

Deno.test("boolean takes true and false in any case", () => {
  parses(boolean, {
    true: true,
    FALSE: false,
    yes: undefined,
    "1": undefined,
    "": undefined,
    toString: undefined,
  });
  assert.deepEqual([boolean.range, boolean.want("x"), boolean.format(false)], [
    "true, false",
    '"true" or "false"',
    "false",
  ]);
  assert.deepEqual(boolean.schema, { type: "boolean" });
});

Deno.test("text() takes anything, and writes nothing for nothing", () => {
  const type = text("path");
  parses(type, { "": "", "a b": "a b" });
  assert.deepEqual([type.placeholder, type.range, type.want("x")], ["path", "path", "a path"]);
  assert.deepEqual([type.format("x"), type.format(undefined), type.schema], ["x", "", { type: "string" }]);
});

const LONGEST = "a".repeat(63);
Deno.test("label takes up to 63 characters, with a letter or digit at both ends", () => {
  const right = ["a", "7", "a-b", "0a", LONGEST];
  const wrong = ["", "A", "-a", "a-", "a.b", "a_b", `${LONGEST}a`, "a\n"];
  parses(
    label,
    Object.fromEntries([...right.map((name) => [name, name]), ...wrong.map((name) => [name, undefined])]),
  );
  assert.match(label.want("x"), /^up to 63 of/);
  assert.equal(label.format("a"), "a");
});

Deno.test("subdomain takes labels with dots between, up to 253 characters", () => {
  const longest = [LONGEST, LONGEST, LONGEST, "a".repeat(61)].join(".");
  const right = ["a", "a.b-c.0", longest];
  const wrong = ["", ".", "a.", ".a", "a..b", "a.-b", "a.B", `${longest}a`, `${LONGEST}a.b`];
  parses(
    subdomain,
    Object.fromEntries([...right.map((name) => [name, name]), ...wrong.map((name) => [name, undefined])]),
  );
  assert.match(subdomain.want("x"), /^up to 253 of/);
  assert.equal(subdomain.format("a.b"), "a.b");
});

Deno.test("every type has a word for --help and a range for the documents", () => {
  const types = { address, label, subdomain, duration: duration(0), number: integer(0, 1) };
  const words = Object.entries(types).map(([name, { placeholder, range }]) => [name, placeholder, range]);
  assert.deepEqual(words, [
    ["address", "address", "address"],
    ["label", "name", "DNS label"],
    ["subdomain", "name", "DNS name"],
    ["duration", "duration", "duration"],
    ["number", "number", "0 to 1"],
  ]);
  assert.deepEqual(address.format({ hostname: "::", port: 80 }), ":80");
  assert.match(address.want("x"), /^an address such as ":8080"/);
});
