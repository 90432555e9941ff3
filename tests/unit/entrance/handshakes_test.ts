/**
 * Which TLS handshakes begin, and which lose their place.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ClientNetworks } from "../../../lib/entrance/client_networks.ts";
import { Handshakes, MOST_HANDSHAKES } from "../../../lib/entrance/handshakes.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";

/** Handshakes that last until they are ended, or the test finishes them. */
function stage() {
  const clock = new VirtualClock();
  const networks = new ClientNetworks();
  const handshakes = new Handshakes(clock, networks);
  const over = new AbortController();
  const begun: string[] = [];
  const ended: string[] = [];
  const finish = new Map<string, () => void>();
  const run = (name: string, hostname: string) => {
    const work = (signal: AbortSignal) => {
      begun.push(name);
      return new Promise<void>((resolve, reject) => {
        finish.set(name, resolve);
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    };
    handshakes.run(hostname, over.signal, work).catch((error) => ended.push(`${name} ${error.name}`));
  };
  return { clock, networks, over, begun, ended, finish, run };
}

Deno.test("Handshakes begins two at once, and then pauses for as long as they have computed", async () => {
  const { clock, begun, run } = stage();
  for (let i = 0; i < 6; i++) run(`${i}`, "192.0.2.1");
  assert.deepEqual(begun, [], "none at once");
  const [nowMs, setTimer] = [clock.nowMs.bind(clock), clock.setTimer.bind(clock)];
  const computeMs = [7, 900];
  let computedMs = 0;
  let seen = 0;
  clock.nowMs = () => nowMs() + computedMs;
  clock.setTimer = (ms, callback) =>
    setTimer(ms, () => {
      if (begun.length > seen) computedMs += computeMs.shift() ?? 0;
      seen = begun.length;
      callback();
    });
  await clock.advance(0);
  for (const [pauseMs, count] of [[7, 2], [50, 4]] as const) {
    assert.equal(begun.length, count);
    await clock.advance(pauseMs - 1);
    assert.equal(begun.length, count);
    await clock.advance(1);
  }
  assert.equal(begun.length, 6);
});

Deno.test("Handshakes leaves no timer behind when the last one that waited has begun", async () => {
  const { clock, begun, run } = stage();
  const nowMs = clock.nowMs.bind(clock);
  clock.nowMs = () => nowMs() + 40 * begun.length;
  run("only", "192.0.2.1");
  await clock.advance(0);
  assert.deepEqual(begun, ["only"]);
  assert.equal(clock.pending, 0);
});

Deno.test("Handshakes lets clients of networks go first that come through, and those of networks that fail last", async () => {
  const { clock, networks, begun, run } = stage();
  networks.succeeded("192.0.2.1");
  networks.failed("192.0.2.3");
  for (const host of ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1"]) run(host, host);
  await clock.advance(0);
  assert.deepEqual(begun, ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"]);
});

Deno.test("Handshakes gives all of a burst from one network their turn, and ends none", async () => {
  const { clock, begun, ended, finish, run } = stage();
  const count = 3 * MOST_HANDSHAKES;
  for (let i = 0; i < count; i++) run(`${i}`, "192.0.2.1");
  await clock.advance(0);
  assert.equal(begun.length, MOST_HANDSHAKES);
  assert.equal(clock.pending, 0, "it does not look again and again");
  for (let i = 0; i < count; i++) {
    finish.get(begun[i]!)!();
    await clock.advance(0);
  }
  assert.equal(begun.length, count);
  assert.deepEqual(ended, []);
});

Deno.test("Handshakes lets a client of another network pass, in place of the oldest one of the network that has most", async () => {
  const { clock, begun, ended, run } = stage();
  run("early", "198.51.100.1");
  for (let i = 0; i < 2 * MOST_HANDSHAKES; i++) run("crowd", `2001:db8::${i.toString(16)}`);
  await clock.advance(0);
  assert.equal(begun.length, MOST_HANDSHAKES);
  run("late", "198.51.100.2");
  await clock.advance(0);
  assert.equal(begun.at(-1), "late");
  assert.deepEqual(ended, ["crowd CrowdedOut"]);
});

Deno.test("Handshakes forgets what ends while it waits", async () => {
  const { clock, over, begun, ended, run } = stage();
  for (let i = 0; i <= MOST_HANDSHAKES; i++) run(`${i}`, "192.0.2.1");
  await clock.advance(0);
  over.abort(new Error("the end"));
  await settle();
  await clock.advance(0);
  assert.equal(begun.length, MOST_HANDSHAKES);
  assert.equal(ended.length, MOST_HANDSHAKES + 1);
  assert.equal(clock.pending, 0);
});
