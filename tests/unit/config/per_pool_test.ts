/**
 * Settings that pools may differ in.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { perPool, valueFor } from "../../../lib/config/per_pool.ts";
import { settingRows } from "../../../lib/config/settings.ts";
import { duration, integer } from "../../../lib/config/value_types.ts";

const timeout = perPool(duration(1), "2m0s");

function pools(values: Readonly<Record<string, number>>): ReadonlyMap<string, number> {
  return new Map(Object.entries(values));
}

Deno.test("perPool() takes a value for all pools, then others, and its default where only pools have one", () => {
  const right: readonly (readonly [string, number, Readonly<Record<string, number>>])[] = [
    ["5m", 300_000, {}],
    ["5m,arm64=15m", 300_000, { arm64: 900_000 }],
    ["5m, arm64 = 15m , a-1=1s", 300_000, { arm64: 900_000, "a-1": 1000 }],
    ["arm64=15m", 120_000, { arm64: 900_000 }],
    ["arm64=15m, gpu=1m", 120_000, { arm64: 900_000, gpu: 60_000 }],
  ];
  for (const [text, base, own] of right) {
    assert.deepEqual(timeout.parse(text), { base, pools: pools(own) }, text);
  }
});

Deno.test("perPool() refuses other values, names and orders, and a pool twice", () => {
  const wrong = [
    "",
    "x",
    "5m,",
    "5m,x",
    "5m,6m",
    "arm64=1m,5m",
    "5m,=1m",
    "5m,Arm=1m",
    "5m,arm64=",
    "arm64=x",
  ];
  for (const text of [...wrong, "5m,arm64=0s", "0s", "5m,a=1m,a=2m", "5m,a=1m=2m", "=5m"]) {
    assert.equal(timeout.parse(text), undefined, text);
  }
});

Deno.test("perPool() says what it wants of the first bad value, and how values of pools are written", () => {
  assert.equal(timeout.want("x"), 'a duration such as "2m0s"');
  assert.equal(timeout.want("0s"), "a duration from 1ms to 8760h0m0s");
  const list = ' for all pools, then "pool=value" for some of them';
  assert.equal(timeout.want("5m, a=x"), `a duration such as "2m0s"${list}`);
  assert.equal(timeout.want("a=0s"), `a duration from 1ms to 8760h0m0s${list}`);
  assert.equal(timeout.want("5m,6m"), `a duration such as "2m0s"${list}`);
});

Deno.test("perPool() is otherwise the type of one value", () => {
  const count = perPool(integer(0, 9), "4");
  assert.deepEqual([count.range, count.rangeOfOne, count.placeholder], [
    "0 to 9; per pool",
    "0 to 9",
    "number",
  ]);
  assert.deepEqual(count.schema, { type: "integer", minimum: 0, maximum: 9 });
  assert.deepEqual(timeout.limits, ["1ms", "8760h0m0s"]);
  assert.equal(
    timeout.format({ base: 60_000, pools: pools({ arm64: 1000, gpu: 2000 }) }),
    "1m0s, arm64=1s, gpu=2s",
  );
});

Deno.test("perPool() parses what it has formatted", () => {
  const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?$/);
  const own = fc.uniqueArray(fc.tuple(name, fc.integer({ min: 1, max: 1e6 })), {
    selector: ([pool]) => pool,
  });
  fc.assert(fc.property(fc.integer({ min: 1, max: 1e6 }), own, (base, entries) => {
    const value = { base, pools: new Map(entries) };
    assert.deepEqual(timeout.parse(timeout.format(value)), value);
  }));
});

Deno.test("valueFor() is the pool's own value, also if that is 0, else that of all", () => {
  const value = { base: 4, pools: pools({ arm64: 0 }) };
  assert.deepEqual(["", "arm64", "gpu"].map((pool) => valueFor(value, pool)), [4, 0, 4]);
});

Deno.test("each setting that pools may differ in falls back to its own default", () => {
  const rows = settingRows().filter(([, { type }]) => type.rangeOfOne !== undefined);
  assert.deepEqual(rows.map(([, { flag }]) => flag), [
    "--idle-timeout",
    "--ready-wait-timeout",
    "--min-replicas",
    "--sessions-per-replica",
    "--max-sessions-per-replica",
    "--queue-timeout",
  ]);
  for (const [, { type, flag, default: preset }] of rows) {
    assert.equal(type.format(type.parse(`arm64=${preset}`)), `${preset}, arm64=${preset}`, flag);
  }
});
