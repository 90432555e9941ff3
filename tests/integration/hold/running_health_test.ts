/**
 * The whole program: the health of a daemon that has sessions, and sessions that carry nothing. Time is moved by the test.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Network } from "../../../lib/base/network.ts";
import { denoNetwork } from "../../../lib/proxy/deno_network.ts";
import { HealthDaemon, type HealthHabit } from "../../support/health_daemons.ts";
import { NOT_READY, type Program, startProgram } from "../../support/program.ts";
import { settleWithSockets, VirtualClock } from "../../support/virtual_clock.ts";
import type { TcpClient } from "../../support/tcp_client.ts";

const INTERVAL_MS = 5_000;
const CHECK_TIMEOUT_MS = 4_000;

class World implements AsyncDisposable {
  readonly clock: VirtualClock;
  readonly daemon: HealthDaemon;
  readonly #program: Program;

  private constructor(program: Program, clock: VirtualClock, daemon: HealthDaemon) {
    this.#program = program;
    this.clock = clock;
    this.daemon = daemon;
  }

  /** A program with one session, on a pod that has said SERVING and whose condition is true. */
  static async start(
    network: Network = denoNetwork,
  ): Promise<{ world: World; program: Program; first: TcpClient }> {
    const clock = new VirtualClock(settleWithSockets);
    const daemon = new HealthDaemon("serving");
    const program = await startProgram({
      clock,
      network,
      cluster: NOT_READY,
      settings: { readiness: "auto" },
      serve: daemon.serve,
      before: (world) => daemon.onChange = () => world.changed(),
      debug: true,
    });
    await program.settled();
    const first = await program.connect();
    if (await first.echo("first") !== "first") throw new Error("the echo differs");
    await program.makeReady();
    await program.until(
      "the condition",
      () => program.log.of("pod_observed").at(-1)?.fields["ready"] === true,
    );
    return { world: new World(program, clock, daemon), program, first };
  }

  /** Lets the next check begin and end, and more of them if somebody waits. */
  async check(habit: HealthHabit): Promise<void> {
    this.daemon.habit = habit;
    const { begun } = this.daemon;
    await this.clock.advance(INTERVAL_MS);
    await this.#program.until("the next check", () => this.daemon.begun > begun);
    if (habit === "silent") await this.clock.advance(CHECK_TIMEOUT_MS);
    await this.#program.until("its end", () => this.daemon.over > begun);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }
}

for (const habit of ["not_serving", "silent", "tls"] as const) {
  Deno.test(`health: three checks in a row that are ${habit} take a pod out for newcomers only, and one SERVING brings it back`, async () => {
    const { world, program, first } = await World.start();
    await using _ = world;
    using _first = first;
    for (let i = 0; i < 2; i++) await world.check(habit);
    using second = await program.connect();
    assert.equal(await second.echo("after two"), "after two");
    await world.check(habit);
    await program.logged("pod_health_check_failed");
    using third = await program.connect();
    await third.send("third");
    await program.held(1);
    assert.equal(await first.echo("untouched"), "untouched");
    assert.equal(await second.echo("untouched"), "untouched");
    await world.check(habit);
    assert.equal(program.metrics.value("sessions_held"), 1, "whatever the condition says");
    await world.check("serving");
    assert.equal(new TextDecoder().decode(await third.receive(5)), "third");
    await program.logged("pod_health_check_failed_recovered");
    assert.equal(program.log.of("pod_health_check_failed").length, 1);
    assert.equal(program.log.of("pod_health_unsupported").length, 0);
  });
}

Deno.test("health: after a crash the daemon is asked at once for a client that waits, not when the next check is due", async () => {
  const { world, program, first } = await World.start();
  await using _ = world;
  await world.check("serving");
  program.cluster.kubelet.crash("buildkitd-0");
  first.close();
  await program.until("a successor", () => program.pods.started.length === 2);
  await program.until(
    "the program sees the crash",
    () => program.log.of("pod_observed").at(-1)?.fields["ready"] === false,
  );
  using second = await program.connect();
  // No time passes but that which the test lets pass.
  assert.equal(await second.echo("second"), "second");
  assert.equal(program.pods.started[0]!.uid, program.pods.started[1]!.uid);
});

Deno.test("health: missed checks that are not consecutive do not take the pod out", async () => {
  const { world, program, first } = await World.start();
  await using _ = world;
  using _first = first;
  for (let round = 0; round < 3; round++) {
    await world.check("not_serving");
    await world.check("not_serving");
    await world.check("serving");
  }
  using second = await program.connect();
  assert.equal(await second.echo("second"), "second");
  assert.equal(program.log.of("pod_health_check_failed").length, 0);
});

Deno.test("health: a check that fails for local reasons does not count as missed", async () => {
  let fails = false;
  let failed = 0;
  const network: Network = {
    listen: (address) => denoNetwork.listen(address),
    connect(address, signal) {
      if (!fails) return denoNetwork.connect(address, signal);
      failed++;
      return Promise.reject(Object.assign(new Error("Too many open files"), { code: "EMFILE" }));
    },
  };
  const { world, program, first } = await World.start(network);
  await using _ = world;
  using _first = first;
  fails = true;
  for (const before = failed; failed < before + 5;) await world.clock.advance(INTERVAL_MS);
  fails = false;
  using second = await program.connect();
  assert.equal(await second.echo("second"), "second");
  assert.equal(program.log.of("pod_health_check_failed").length, 0);
});

Deno.test("health: a pod without sessions is not asked", async () => {
  const { world, program, first } = await World.start();
  await using _ = world;
  await world.check("serving");
  first.close();
  await program.until("no session", () => program.metrics.value("sessions_open") === 0);
  const { begun } = world.daemon;
  await world.clock.advance(60_000);
  assert.equal(world.daemon.begun, begun);
  using second = await program.connect();
  assert.equal(await second.echo("second"), "second");
  await world.check("serving");
});

async function warm(sessionIdleTimeoutMs: string) {
  const clock = new VirtualClock(settleWithSockets);
  const program = await startProgram({ clock, cluster: { replicas: 1 }, settings: { sessionIdleTimeoutMs } });
  await program.settled();
  const client = await program.connect();
  assert.equal(await client.echo("hello"), "hello");
  return { clock, program, client };
}

Deno.test("--session-idle-timeout: a session that carries something now and then stays, one that is silent is closed", async () => {
  const { clock, program, client } = await warm("15m");
  await using _ = program;
  using __ = client;
  for (let i = 0; i < 3; i++) {
    await clock.advance(13 * 60_000);
    assert.equal(await client.echo("still here"), "still here");
  }
  await clock.advance(17 * 60_000);
  assert.equal((await client.rest()).bytes, 0);
  const { outcome, reason, pod } = await program.logged("session_ended");
  assert.deepEqual([outcome, reason, pod], [
    "idle_timeout",
    "Silent for 15m0s (--session-idle-timeout)",
    "buildkitd-0",
  ]);
  await program.until("no session at the pod", () => program.pods.open === 0);
});

for (const who of ["client", "daemon"] as const) {
  Deno.test(`sessions: when the ${who} has ended and nothing more comes, the other side is not waited for for ever`, async () => {
    const clock = new VirtualClock(settleWithSockets);
    const hangs = Promise.withResolvers<void>();
    const program = await startProgram({
      clock,
      cluster: { replicas: 1 },
      serve: async (conn) => {
        if (who === "daemon") await conn.closeWrite();
        await hangs.promise;
      },
    });
    await using _ = program;
    await program.settled();
    using client = await program.connect();
    await client.send("hello");
    await program.until("a session at the pod", () => program.pods.open === 1);
    if (who === "client") await client.end();
    else await client.rest();
    await clock.advance(14 * 60_000);
    assert.equal(program.metrics.value("sessions_open"), 1);
    await clock.advance(3 * 60_000);
    const { outcome, reason } = await program.logged("session_ended");
    assert.deepEqual([outcome, reason], ["idle_timeout", "Silent for 15m0s after one side had ended"]);
    hangs.resolve();
  });
}

Deno.test("--session-idle-timeout: by default a session may be silent for ever", async () => {
  const { clock, program, client } = await warm("0s");
  await using _ = program;
  using __ = client;
  await clock.advance(3_600_000);
  assert.equal(await client.echo("still here"), "still here");
});
