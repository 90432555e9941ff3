/** Tests of the agreement's rules for one proxy. @module */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Agreement,
  closedFrom,
  isNewer,
  NOTHING_SEEN,
  placeableBelow,
  promise,
  see,
} from "../../../lib/scaler/agreement.ts";

const at = (version: string, replicas: number): Agreement => see(NOTHING_SEEN, { version, replicas });

Deno.test("isNewer() compares versions as integers of any size", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 1n << 80n }), fc.bigInt({ min: 1n, max: 1n << 80n }), (a, b) => {
      assert.equal(isNewer(String(a), String(b)), a > b);
    }),
  );
});

Deno.test("isNewer() is false for versions that are not integers", () => {
  for (const odd of ["", "0", "01", "abc", "-5", "1.5", "999x"]) {
    assert.equal(isNewer(odd, "5"), false);
    assert.equal(isNewer("5", odd), false);
  }
});

Deno.test("see() ignores what is not newer", () => {
  const agreement = at("10", 1);
  assert.equal(see(agreement, { version: "9", replicas: 0 }), agreement);
  assert.equal(see(agreement, { version: "10", replicas: 0 }), agreement);
});

Deno.test("placeableBelow() is the count that was seen, and nothing before one was", () => {
  assert.equal(placeableBelow(NOTHING_SEEN), 0);
  assert.equal(placeableBelow(at("10", 2)), 2);
});

Deno.test("promise() closes the ordinals until a newer version is seen, and takes over its count in the same step", () => {
  const promised = promise(at("10", 2), { below: 0, version: "10" });
  assert.equal(placeableBelow(promised), 0);
  assert.equal(placeableBelow(see(promised, { version: "10", replicas: 2 })), 0);
  assert.equal(placeableBelow(see(promised, { version: "11", replicas: 2 })), 2);
  assert.equal(placeableBelow(see(promised, { version: "11", replicas: 0 })), 0);
});

Deno.test("promise() on a version that is newer than what was seen outlives the versions before it", () => {
  const promised = promise(at("10", 2), { below: 0, version: "12" });
  assert.equal(placeableBelow(see(promised, { version: "11", replicas: 2 })), 0);
  assert.equal(placeableBelow(see(promised, { version: "13", replicas: 2 })), 2);
});

Deno.test("promise() replaces no other promise: the lowest one closes", () => {
  const one = promise(at("10", 3), { below: 0, version: "10" });
  const two = promise(one, { below: 2, version: "10" });
  assert.equal(closedFrom(two.promises), 0);
  const three = promise(promise(at("10", 3), { below: 2, version: "10" }), { below: 0, version: "10" });
  assert.equal(closedFrom(three.promises), 0);
  const side = promise(promise(at("10", 3), { below: 0, version: "10" }), { below: 2, version: "12" });
  assert.equal(placeableBelow(see(side, { version: "11", replicas: 3 })), 2);
});

Deno.test("promise() on an old version has no effect", () => {
  assert.equal(placeableBelow(promise(at("10", 1), { below: 0, version: "9" })), 1);
});

Deno.test("promise() keeps at most one promise a version, however many are made", () => {
  let agreement = at("10", 3);
  for (let i = 0; i < 100; i++) {
    agreement = promise(agreement, { below: i % 3, version: String(10 + (i % 4)) });
  }
  assert.equal(agreement.promises.length, 4);
});
