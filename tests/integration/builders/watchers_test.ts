/**
 * The whole program and clients that only watch the history of builds, in front of one builder and of several.
 *
 * @module
 */
import assert from "node:assert/strict";
import { LOOK_UP, SOLVE, WATCH } from "../../support/calls.ts";
import { bytesOf, call } from "../../support/http2_client.ts";
import { VirtualProgram } from "../../support/virtual_program.ts";

const SETTINGS = { idleTimeoutMs: "60s", readyWaitTimeoutMs: "5m" };

for (
  const { what, builders } of [
    { what: "one builder", builders: undefined },
    { what: "several builders", builders: ["b1", "b2"] },
  ] as const
) {
  const options = {
    ...(builders === undefined ? {} : { builders: [...builders] as [string, ...string[]] }),
    settings: SETTINGS,
  };
  const replicas = ({ cluster }: VirtualProgram) => cluster.sets.reduce((sum, set) => sum + set.replicas, 0);

  Deno.test(`watchers in front of ${what} wake no pod, are held for hours, and see the next one`, async () => {
    await using program = new VirtualProgram(options);
    await program.start();
    const watchers = [];
    for (let i = 0; i < 20; i++) watchers.push(await program.call({ path: WATCH }));
    await program.pass(6 * 3_600_000);
    assert.equal(replicas(program), 0);
    assert.equal(program.metrics.value("sessions_open"), 20);
    assert.equal(program.metrics.value("sessions_held"), 0, "they take no place from those that need a pod");
    assert.equal(program.log.of("session_ended").length, 0);
    const client = await program.call();
    await program.pass(3_000);
    assert.ok(client.servedBy !== undefined);
    for (const watcher of watchers) assert.ok(watcher.servedBy !== undefined);
  });

  Deno.test(`watchers in front of ${what} keep no pod awake: the scale-down closes them, and no build`, async () => {
    await using program = new VirtualProgram(options);
    await program.start();
    const build = await program.call();
    await program.pass(3_000);
    const early = await program.call({ path: WATCH });
    await program.pass(3_000);
    assert.ok(early.servedBy !== undefined);
    await program.pass(600_000);
    assert.equal(replicas(program), 1);
    build.close();
    await program.pass(58_000);
    assert.equal(replicas(program), 1);
    assert.equal(early.ended, undefined);
    await program.pass(60_000);
    assert.equal(replicas(program), 0);
    assert.ok(early.ended !== undefined);
    early.close();
    await program.pass(10_000);
    assert.equal(program.log.of("session_ended").length, 2);
  });

  Deno.test(`a watcher in front of ${what} that builds while it is held wakes a pod and is served`, async () => {
    await using program = new VirtualProgram(options);
    await program.start();
    const client = await program.call({ path: WATCH });
    await program.pass(3_600_000);
    assert.equal(replicas(program), 0);
    await client.send(bytesOf(...call(3, "build", { path: SOLVE })));
    await program.pass(3_000);
    assert.equal(replicas(program), 1);
    assert.ok(client.servedBy !== undefined);
    await program.pass(600_000);
    assert.equal(replicas(program), 1, "it counts");
  });

  Deno.test(`a client in front of ${what} that looks around first and then watches keeps no pod awake`, async () => {
    await using program = new VirtualProgram(options);
    await program.start();
    const client = await program.call({ path: LOOK_UP });
    await program.pass(3_000);
    assert.equal(replicas(program), 1);
    await client.send(bytesOf(...call(3, "watch", { path: WATCH })));
    await program.pass(200_000);
    assert.equal(replicas(program), 0);
  });

  Deno.test(`a seated watcher in front of ${what} that builds, byte by byte, counts before the call is whole`, async () => {
    await using program = new VirtualProgram(options);
    await program.start();
    const build = await program.call();
    await program.pass(3_000);
    const watcher = await program.call({ path: WATCH });
    await program.pass(1_000);
    assert.ok(watcher.servedBy !== undefined);
    build.close();
    await program.pass(30_000);
    for (const byte of bytesOf(...call(3, "build", { path: SOLVE }))) {
      await watcher.send(Uint8Array.of(byte));
      await program.pass(1);
    }
    await program.pass(600_000);
    assert.equal(replicas(program), 1);
    assert.equal(watcher.ended, undefined);
  });

  Deno.test(`watchers in front of ${what} do not take the room of builds`, async () => {
    await using program = new VirtualProgram({
      ...options,
      settings: { ...SETTINGS, sessionsPerReplica: "1", maxSessionsPerReplica: "1" },
    });
    await program.start();
    const build = await program.call();
    await program.pass(3_000);
    for (let i = 0; i < 5; i++) await program.call({ path: WATCH });
    await program.pass(1_000);
    assert.equal(program.metrics.value("sessions_held"), 0);
    assert.equal(program.metrics.value("sessions_queued"), 0);
    build.close();
    await program.pass(1_000);
    const next = await program.call();
    await program.pass(1_000);
    assert.equal(next.servedBy, build.servedBy);
  });
}
