/**
 * The bounds on connections that are on their way to a session.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ARRIVAL_LIMIT_MS, Arrivals, CrowdedOut } from "../../../lib/entrance/arrivals.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";

/** Arrivals that last until they are ended. */
function stage(most: number) {
  const clock = new VirtualClock();
  const arrivals = new Arrivals(clock, () => most);
  const over = new AbortController();
  const ended: string[] = [];
  const admit = (name: string, hostname: string) => {
    const work = (signal: AbortSignal) =>
      new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    arrivals.admit(hostname, over.signal, work).catch((error) => ended.push(`${name} ${error.name}`));
  };
  return { clock, arrivals, over, ended, admit };
}

Deno.test("Arrivals ends the oldest of the address that has most", async () => {
  const { arrivals, over, ended, admit } = stage(4);
  admit("first", "192.0.2.1");
  for (const name of ["a", "b", "c"]) admit(name, "203.0.113.7");
  admit("second", "192.0.2.2");
  await settle();
  assert.deepEqual(ended, ["a CrowdedOut"]);
  for (const name of ["d", "e"]) admit(name, "203.0.113.7");
  await settle();
  assert.deepEqual(ended, ["a CrowdedOut", "b CrowdedOut", "c CrowdedOut"]);
  assert.equal(arrivals.count, 4);
  over.abort(new Error("the end"));
  await settle();
  assert.equal(arrivals.count, 0);
});

Deno.test("Arrivals counts the addresses of an IPv6 /64 as one, and an IPv4 address within IPv6 as itself", async () => {
  const { ended, admit } = stage(5);
  admit("alone", "2001:db8:0:1::1");
  admit("a", "192.0.2.1");
  admit("b", "::ffff:192.0.2.1");
  admit("c", "2001:db8::1");
  admit("d", "2001:db8::ffff:2%eth0");
  admit("e", "2001:db8:0:0:ffff:ffff:ffff:ffff");
  admit("f", "2001:db8::3");
  await settle();
  assert.deepEqual(ended, ["a CrowdedOut", "c CrowdedOut"]);
});

Deno.test("Arrivals ends one of a network whose connections fail before one of a network whose connections come through", async () => {
  const { arrivals, over, ended, admit } = stage(70);
  await arrivals.admit("192.0.2.1", over.signal, () => Promise.resolve());
  await assert.rejects(arrivals.admit("192.0.2.2", over.signal, () => Promise.reject(new Error("it fails"))));
  for (let i = 0; i < 60; i++) admit("proven", "192.0.2.1");
  admit("failed", "192.0.2.2");
  for (let i = 0; i < 10; i++) admit("fresh", `198.51.100.${i}`);
  await settle();
  assert.deepEqual(ended, ["failed CrowdedOut"]);
});

Deno.test("Arrivals ends what takes too long, and gives its place back", async () => {
  const { clock, arrivals, ended, admit } = stage(4);
  admit("slow", "192.0.2.1");
  await clock.advance(ARRIVAL_LIMIT_MS - 1);
  assert.deepEqual(ended, []);
  await clock.advance(1);
  assert.deepEqual(ended, ["slow TimeoutError"]);
  assert.equal(arrivals.count, 0);
});

Deno.test("Arrivals gives what the work gives, and keeps nothing of it", async () => {
  const { arrivals, over } = stage(1);
  for (let i = 0; i < 3; i++) {
    assert.equal(await arrivals.admit("192.0.2.1", over.signal, () => Promise.resolve(i)), i);
  }
  assert.equal(arrivals.count, 0);
  const failing = arrivals.admit("192.0.2.1", over.signal, () => Promise.reject(new CrowdedOut("x")));
  await assert.rejects(failing, CrowdedOut);
  assert.equal(arrivals.count, 0);
});
