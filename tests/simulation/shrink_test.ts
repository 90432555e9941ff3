/**
 * Tests that a failure of the simulation can be worked with: it shrinks, and its command repeats it. The failure is real:
 * the program is run with a safety rule broken.
 *
 * @module
 */
import assert from "node:assert/strict";
import { brokenCopy, simulationIn } from "./broken_copy.ts";

/** Where to look for a run that shows that nobody was asked: one of every 20 does. */
const SEEDS = ["--from", "21", "--seeds", "200"];

Deno.test("shrink() makes a failing run smaller, and the command that is printed repeats it exactly", async () => {
  await using copy = await brokenCopy("no-second-phase");
  const output = await simulationIn(copy.folder, SEEDS);
  const found = partsOf(output);
  const seed = /^FAILED at seed (\d+),/m.exec(output)?.[1];
  assert.ok(seed, output);
  const whole = partsOf(await simulationIn(copy.folder, ["--seed", seed, "--no-shrink"]));
  assert.equal(found.kind, whole.kind);
  assert.ok(found.faults.length < whole.faults.length, output);
  assert.ok(found.proxies <= whole.proxies && found.clients <= whole.clients, output);
  assert.ok(found.durationMs < whole.durationMs, output);

  const command = /^Again: deno task simulate (.*)$/m.exec(output)?.[1]?.split(" ");
  assert.ok(command, output);
  const again = partsOf(await simulationIn(copy.folder, command));
  assert.deepEqual(again, found);
});

/** What `run.ts` says of a failure. */
function partsOf(output: string) {
  const line = /^Smallest run: (\d+) proxies, (\d+) clients, (\d+) ms, faults (.*), trace (\w+): (.*)$/m.exec(
    output,
  );
  assert.ok(line, output);
  const [, proxies, clients, durationMs, faults, hash, violation] = line;
  return {
    proxies: Number(proxies),
    clients: Number(clients),
    durationMs: Number(durationMs),
    faults: faults === "none" ? [] : faults!.split(", "),
    hash,
    violation,
    kind: violation!.replace(/\d+/g, "N"),
  };
}
