/**
 * Two whole programs in front of the same builders: each knows what the other one has there.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { SettingKey } from "../../../lib/config/settings.ts";
import { VirtualProgram } from "../../support/virtual_program.ts";

const OTHER = { hostname: "127.0.0.1", port: 8373 };

/** Two programs that know each other. Dispose of the second one first. */
async function two(settings: Partial<Record<SettingKey, string>>, builders: [string, ...string[]]) {
  const first = new VirtualProgram({ builders, settings });
  await first.start();
  const second = new VirtualProgram({ beside: first, at: OTHER, settings });
  await second.start();
  await second.pass(5_000);
  return { first, second };
}

Deno.test("two programs: each takes the sessions of the other into account", async () => {
  const { first, second } = await two({ sessionsPerReplica: "1" }, ["b1", "b2", "b3"]);
  await using _first = first;
  await using _second = second;
  const served = new Set<string | undefined>();
  for (const program of [first, second, first]) {
    const client = await program.call({ authority: "a" });
    await program.pass(5_000);
    served.add(client.servedBy);
  }
  assert.deepEqual([...served].sort(), ["b1-0", "b2-0", "b3-0"]);
});

Deno.test("two programs: freed room goes to the client that has queued for longer, in either of them", async () => {
  for (const later of [0, 1]) {
    const { first, second } = await two({ sessionsPerReplica: "1", maxSessionsPerReplica: "1" }, ["b1"]);
    await using _first = first;
    await using _second = second;
    const programs = later === 1 ? [first, second] : [second, first];
    // The builder is full with a session of the one whose own client came later.
    const running = await programs[1]!.call({ authority: "a" });
    await first.pass(5_000);
    assert.ok(running.servedBy !== undefined);
    const older = await programs[0]!.call({ authority: "b" });
    await first.pass(5_000);
    const younger = await programs[1]!.call({ authority: "c" });
    await first.pass(5_000);
    assert.deepEqual([older.servedBy, younger.servedBy], [undefined, undefined]);
    running.close();
    await first.pass(2_000);
    assert.equal(older.servedBy, "b1-0", `${later}`);
    await first.pass(10_000);
    assert.equal(younger.servedBy, undefined);
    older.close();
    await first.pass(5_000);
    assert.equal(younger.servedBy, "b1-0");
  }
});

Deno.test("two programs: room is not lost when the program whose client has queued for longer is gone", async () => {
  const { first, second } = await two({ sessionsPerReplica: "1", maxSessionsPerReplica: "1" }, ["b1"]);
  await using _first = first;
  await using _second = second;
  const running = await first.call({ authority: "a" });
  await first.pass(5_000);
  await second.call({ authority: "b" });
  await first.pass(5_000);
  const younger = await first.call({ authority: "c" });
  await first.pass(2_000);
  second.http.set("silent");
  running.close();
  await first.pass(2_500);
  assert.ok(younger.servedBy !== undefined);
});
