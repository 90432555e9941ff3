/**
 * Tests of the price of a pod.
 *
 * @module
 */
import assert from "node:assert/strict";
import { price } from "../../../lib/config/price.ts";

Deno.test("price takes a number, with a currency or without", () => {
  assert.deepEqual(price.parse("0.34"), { perHour: 0.34, currency: "" });
  assert.deepEqual(price.parse("12 EUR"), { perHour: 12, currency: "EUR" });
  for (
    const text of [
      "",
      "-1",
      "1.",
      ".5",
      "1e3",
      "0,34",
      "0.34EUR",
      "0.34 eur",
      "0.34 EURO",
      "EUR 1",
      " 1",
      "1234567",
    ]
  ) {
    assert.equal(price.parse(text), undefined, text);
  }
});

Deno.test("price writes what it parses, and its schema takes what it parses", () => {
  const schema = new RegExp(price.schema.type === "string" ? price.schema.pattern! : "never");
  for (const text of ["0.34", "12 EUR", "0"]) {
    assert.equal(price.format(price.parse(text)), text);
    assert.match(text, schema);
  }
  assert.match("", schema, "the chart's default");
  assert.doesNotMatch("0.34EUR", schema);
});
