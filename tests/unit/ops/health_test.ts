/**
 * Health reports.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type CheckResult, Health, type Probe } from "../../../lib/ops/health.ts";

function health(...checks: [string, Probe[], () => CheckResult][]): Health {
  const made = new Health();
  for (const [name, probes, check] of checks) made.add({ name, probes, check });
  return made;
}

Deno.test("Health.report() is ok while every check of the probe passes", () => {
  const made = health(
    ["accept", ["live"], () => ({ ok: true, detail: "3 sessions" })],
    ["shutdown", ["ready"], () => ({ ok: false, reason: "shutting down" })],
  );
  assert.deepEqual(made.report("live"), {
    ok: true,
    brief: "ok",
    verbose: "[+]accept ok: 3 sessions\nlivez check passed",
  });
  assert.deepEqual(made.report("ready"), {
    ok: false,
    brief: "shutdown: shutting down",
    verbose: "[-]shutdown failed: shutting down\nreadyz check failed",
  });
});

Deno.test("Health.report() leaves out the checks that are excluded by name", () => {
  const made = health(
    ["cluster", ["ready"], () => ({ ok: true })],
    ["shutdown", ["ready"], () => ({ ok: false, reason: "shutting down" })],
  );
  assert.deepEqual(made.report("ready", ["shutdown", "unknown"]), {
    ok: true,
    brief: "ok",
    verbose: "[+]cluster ok\n[+]shutdown excluded: ok\nreadyz check passed",
  });
  assert.equal(made.report("ready", ["cluster"]).ok, false);
});

Deno.test("Health.report() lists every reason, and looks anew each time", () => {
  let up = false;
  const made = health(
    ["a", ["live", "ready"], () => up ? { ok: true } : { ok: false, reason: "down" }],
    ["b", ["ready"], () => {
      throw new Error("broken");
    }],
  );
  assert.equal(made.report("ready").brief, "a: down\nb: broken");
  assert.equal(made.report("live").brief, "a: down");
  up = true;
  assert.equal(made.report("live").brief, "ok");
  assert.equal(made.report("ready").verbose, "[+]a ok\n[-]b failed: broken\nreadyz check failed");
});
