/**
 * The whole program: when a pod may take its first session, by its condition, by its daemon's own word, or by either.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Clock } from "../../../lib/base/clock.ts";
import { fastClock } from "../../support/fast_clock.ts";
import { HealthDaemon, type HealthHabit } from "../../support/health_daemons.ts";
import { NOT_READY, type Program, startProgram } from "../../support/program.ts";

type Mode = "auto" | "pod" | "grpc";

/** Checks that a daemon does not answer take 4 s each. */
const FASTER = 50;

async function start(
  readiness: Mode,
  habit: HealthHabit,
  clock?: Clock,
): Promise<{ program: Program; daemon: HealthDaemon }> {
  const daemon = new HealthDaemon(habit);
  const program = await startProgram({
    cluster: NOT_READY,
    // Nothing here is about the time that a client waits, which is short on a fast clock.
    settings: { readiness, readyWaitTimeoutMs: "24h" },
    serve: daemon.serve,
    before: (world) => daemon.onChange = () => world.changed(),
    debug: true,
    ...(clock === undefined ? {} : { clock }),
  });
  await program.settled();
  return { program, daemon };
}

async function untilSeenReady(program: Program): Promise<void> {
  await program.makeReady();
  await program.until(
    "the program sees the condition",
    () => program.log.of("pod_observed").at(-1)?.fields["ready"] === true,
  );
}

/** No session at the pod that is no health check. One that has only connected is told apart when its first bytes come. */
async function noneServed(program: Program, daemon: HealthDaemon): Promise<void> {
  await program.until("only health checks at the pod", () => program.pods.sessions.length === daemon.begun);
}

for (const mode of ["auto", "grpc"] as const) {
  Deno.test(`--readiness ${mode}: a daemon that says SERVING gets its session before its condition is true`, async () => {
    const { program, daemon } = await start(mode, "serving");
    await using _ = program;
    using client = await program.connect();
    assert.equal(await client.echo("hello"), "hello");
    assert.ok(daemon.begun >= 1);
    assert.equal(program.log.of("pod_health_check_passed").length, 1);
    assert.equal(program.log.of("pod_observed").some(({ fields }) => fields["ready"] === true), false);
  });

  Deno.test(`--readiness ${mode}: a daemon that says NOT_SERVING gets no session until it says otherwise`, async () => {
    const { program, daemon } = await start(mode, "not_serving", fastClock(FASTER));
    await using _ = program;
    using client = await program.connect();
    await client.send("hello");
    await program.until("some checks", () => daemon.over >= 5);
    await noneServed(program, daemon);
    await program.held(1);
    daemon.habit = "serving";
    assert.equal(new TextDecoder().decode(await client.receive(5)), "hello");
    assert.equal(program.log.of("pod_health_unsupported").length, 0);
  });
}

for (const habit of ["not_serving", "silent", "unimplemented"] as const) {
  Deno.test(`--readiness pod: the condition alone decides, of a daemon that is ${habit}, and nobody asks it`, async () => {
    const { program, daemon } = await start("pod", habit);
    await using _ = program;
    using client = await program.connect();
    await program.until(
      "the program sees the pod",
      () => program.log.of("pod_observed").some(({ fields }) => String(fields["addresses"]) !== ""),
    );
    await program.held(1);
    await untilSeenReady(program);
    assert.equal(await client.echo("hello"), "hello");
    assert.equal(daemon.begun, 0);
  });
}

for (const habit of ["unimplemented", "tls"] as const) {
  Deno.test(`--readiness auto: of a daemon that is ${habit} the condition decides, and the log says so once`, async () => {
    const { program, daemon } = await start("auto", habit);
    await using _ = program;
    using client = await program.connect();
    await client.send("hello");
    const { pod, then } = await program.logged("pod_health_unsupported");
    assert.deepEqual([pod, then], ["buildkitd-0", "the pod's condition decides"]);
    await program.held(1);
    await noneServed(program, daemon);
    const checks = daemon.begun;
    await untilSeenReady(program);
    assert.equal(new TextDecoder().decode(await client.receive(5)), "hello");
    using second = await program.connect();
    assert.equal(await second.echo("second"), "second");
    assert.equal(daemon.begun, checks, "it is not asked again");
    assert.equal(program.log.of("pod_health_unsupported").length, 1);
  });

  Deno.test(`--readiness grpc: a daemon that is ${habit} never gets a session, and the log says so`, async () => {
    const { program, daemon } = await start("grpc", habit);
    await using _ = program;
    using client = await program.connect();
    await client.send("hello");
    const { then } = await program.logged("pod_health_unsupported");
    assert.equal(then, "the pod becomes ready only by an answer SERVING (--readiness grpc)");
    await untilSeenReady(program);
    await program.held(1);
    await noneServed(program, daemon);
  });
}

Deno.test("--readiness auto: of a daemon that takes connections and never answers the condition decides", async () => {
  const { program, daemon } = await start("auto", "silent", fastClock(FASTER));
  await using _ = program;
  using client = await program.connect();
  await client.send("hello");
  await program.until("two checks without an answer", () => daemon.over >= 2);
  await program.held(1);
  await noneServed(program, daemon);
  await untilSeenReady(program);
  assert.equal(new TextDecoder().decode(await client.receive(5)), "hello");
});

Deno.test("--readiness grpc: a daemon that takes connections and never answers gets no session until it does", async () => {
  const { program, daemon } = await start("grpc", "silent", fastClock(FASTER));
  await using _ = program;
  using client = await program.connect();
  await client.send("hello");
  await untilSeenReady(program);
  const before = daemon.over;
  await program.until("two more checks without an answer", () => daemon.over >= before + 2);
  await program.held(1);
  await noneServed(program, daemon);
  daemon.habit = "serving";
  assert.equal(new TextDecoder().decode(await client.receive(5)), "hello");
});
