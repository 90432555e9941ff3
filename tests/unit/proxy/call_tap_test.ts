/** Tests of `CallTap`: what kind of client it takes one for, and when it is done. @module */
import assert from "node:assert/strict";
import { concat } from "../../../lib/base/bytes.ts";
import { CallTap } from "../../../lib/proxy/call_tap.ts";
import { callerOf } from "../../../lib/proxy/callers.ts";
import { Http2Opening } from "../../../lib/proxy/http2_opening.ts";
import { FRAME, frame, SETTINGS_ACK } from "../../../lib/target/http2_frames.ts";
import { BEGIN, blockOf, callTo, EXPORT, headers, LOOK_UP, SOLVE, WATCH } from "../../support/calls.ts";
import { indexed, remembered } from "../../support/hpack.ts";

const stateOf = ({ first, watches, done }: CallTap) => ({ first, watches, done });
const UNKNOWN = { first: undefined, watches: false, done: false };
const NEVER = { first: "none", watches: false, done: true };
const WATCHER = { first: callTo(WATCH), watches: true, done: false };
const NO_WATCHER_ANY_MORE = { first: callTo(WATCH), watches: false, done: true };

Deno.test("CallTap is done with the first call of a client that builds", () => {
  const tap = new CallTap();
  assert.deepEqual(stateOf(tap), UNKNOWN);
  assert.equal(tap.take(BEGIN), false);
  assert.deepEqual(stateOf(tap), UNKNOWN);
  assert.equal(tap.take(headers(1, blockOf(SOLVE))), true);
  const known = { first: callTo(SOLVE), watches: false, done: true };
  assert.deepEqual(stateOf(tap), known);
  assert.equal(tap.take(headers(3, blockOf(WATCH))), false);
  assert.deepEqual(stateOf(tap), known);
});

Deno.test("CallTap goes on after look-ups, until it is known whether the client builds or watches", () => {
  const looksAround = { first: callTo(LOOK_UP), watches: false, done: false };
  for (const [next, watches] of [[SOLVE, false], [WATCH, true]] as const) {
    const tap = new CallTap();
    assert.equal(tap.take(concat([BEGIN, headers(1, blockOf(LOOK_UP))])), true);
    assert.deepEqual(stateOf(tap), looksAround);
    assert.equal(tap.take(headers(3, blockOf("/moby.buildkit.v1.Control/Info"))), false);
    assert.deepEqual(stateOf(tap), looksAround);
    assert.equal(tap.take(headers(5, blockOf(next))), true);
    assert.deepEqual(stateOf(tap), { first: callTo(LOOK_UP), watches, done: !watches });
  }
});

Deno.test("CallTap takes a watcher that looks around or delivers traces for a watcher still", () => {
  const tap = new CallTap();
  tap.take(concat([BEGIN, headers(1, blockOf(WATCH))]));
  assert.equal(tap.take(concat([headers(3, blockOf(LOOK_UP)), headers(5, blockOf(EXPORT))])), false);
  assert.deepEqual(stateOf(tap), WATCHER);
});

Deno.test("CallTap goes on for as long as all calls are a watcher's", () => {
  const tap = new CallTap();
  assert.equal(tap.take(concat([BEGIN, headers(1, blockOf(WATCH))])), true);
  assert.deepEqual(stateOf(tap), WATCHER);
  assert.equal(
    tap.take(concat([frame(FRAME.data, 0, 1, new Uint8Array(9)), headers(3, blockOf(WATCH))])),
    false,
  );
  assert.deepEqual(stateOf(tap), WATCHER);
  assert.equal(tap.take(headers(5, blockOf(SOLVE))), true);
  assert.deepEqual(stateOf(tap), NO_WATCHER_ANY_MORE);
});

Deno.test("CallTap takes a client for no watcher whose first bytes have another call as well", () => {
  for (const paths of [[WATCH, SOLVE], [WATCH, SOLVE, WATCH], [WATCH, WATCH, SOLVE]]) {
    const tap = new CallTap();
    assert.equal(
      tap.take(concat([BEGIN, ...paths.map((path, i) => headers(2 * i + 1, blockOf(path)))])),
      true,
    );
    assert.deepEqual(stateOf(tap), NO_WATCHER_ANY_MORE);
  }
});

Deno.test("CallTap takes a watcher that does anything odd for no watcher any more", () => {
  const odd = headers(3, indexed(62));
  const later = new CallTap();
  later.take(concat([BEGIN, headers(1, blockOf(WATCH))]));
  assert.equal(later.take(odd), true);
  const atOnce = new CallTap();
  assert.equal(atOnce.take(concat([BEGIN, headers(1, blockOf(WATCH)), odd])), true);
  for (const tap of [later, atOnce]) assert.deepEqual(stateOf(tap), NO_WATCHER_ANY_MORE);
});

for (const path of [WATCH, LOOK_UP]) {
  Deno.test(`CallTap takes a client for one that builds if it floods its connection after a call to ${path}`, () => {
    const tap = new CallTap();
    tap.take(concat([BEGIN, headers(1, blockOf(path))]));
    assert.deepEqual(stateOf(tap), { first: callTo(path), watches: path === WATCH, done: false });
    const empty = concat(Array<Uint8Array>(10_000).fill(frame(FRAME.data, 0, 1, new Uint8Array())));
    assert.equal(tap.take(empty), true);
    assert.deepEqual(stateOf(tap), { first: callTo(path), watches: false, done: true });
    const host = "team-a:8372";
    assert.deepEqual(callerOf(tap), { host, traceId: undefined, purpose: "build", isPatient: true });
  });
}

Deno.test("CallTap says at once that no call will be known of a client that does not speak HTTP/2", () => {
  const tap = new CallTap();
  assert.equal(tap.take(Uint8Array.of(22)), true);
  assert.deepEqual(stateOf(tap), NEVER);
  assert.equal(tap.take(concat([BEGIN, headers(1, blockOf(SOLVE))])), false);
  assert.deepEqual(stateOf(tap), NEVER);
});

Deno.test("CallTap says that no call will be known when the first one cannot be read", () => {
  const tap = new CallTap();
  assert.equal(tap.take(concat([BEGIN, headers(1, indexed(62)), headers(3, blockOf(SOLVE))])), true);
  assert.deepEqual(stateOf(tap), NEVER);
});

Deno.test("Http2Opening knows the first call while it holds, and keeps the bytes as they were", () => {
  const opening = new Http2Opening();
  const call = headers(1, blockOf(SOLVE));
  opening.take(BEGIN);
  assert.equal(opening.tap.first, undefined);
  assert.deepEqual(opening.take(concat([SETTINGS_ACK, call])).kept, [call]);
  assert.deepEqual(opening.tap.first, callTo(SOLVE));
});

Deno.test("Http2Opening knows that a client of another protocol makes no call", () => {
  const opening = new Http2Opening();
  opening.take(Uint8Array.of(22, 3, 1));
  assert.equal(opening.tap.first, "none");
});

Deno.test("Http2Opening has a tap that goes on where the hold has ended, with the same table", () => {
  const first = concat([remembered(":path", WATCH), remembered(":authority", "team-a:8372")]);
  const second = headers(3, concat([indexed(62), indexed(63)]));
  const opening = new Http2Opening();
  opening.take(concat([BEGIN, headers(1, first), second.subarray(0, 5)]));
  opening.connected();
  // What the relay still gives to the opening, until it is blind, the tap takes, too.
  opening.take(concat([second.subarray(5), SETTINGS_ACK]));
  assert.equal(opening.blind, true);
  assert.deepEqual(stateOf(opening.tap), WATCHER);
  assert.equal(opening.tap.take(headers(5, concat([indexed(63), remembered(":path", SOLVE)]))), true);
  assert.deepEqual(stateOf(opening.tap), NO_WATCHER_ANY_MORE);
});

Deno.test("Http2Opening has a tap that listens from the first byte on when a pod was there before it", () => {
  const opening = new Http2Opening();
  opening.connected();
  opening.tap.take(BEGIN);
  opening.tap.take(headers(1, blockOf(WATCH)));
  assert.deepEqual(stateOf(opening.tap), WATCHER);
});
