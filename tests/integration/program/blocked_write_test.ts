/**
 * The whole program: sessions of which one side has ended. Those whose bytes nobody takes end after 15 minutes, those that
 * carry something go on. Time is moved by the test.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Conn } from "../../../lib/base/network.ts";
import { writeAll } from "../../../lib/miniature/bytes.ts";
import { HANG_MS } from "../../support/deadline.ts";
import { type Program, startProgram } from "../../support/program.ts";
import { pattern, sha256 } from "../../support/tcp_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const MINUTE_MS = 60_000;

async function start(serve: (conn: Conn) => Promise<void>) {
  const clock = new VirtualClock();
  // Clients that say nothing are served at once, as nobody waits for an HTTP request: time stands still.
  const settings = { answerHttp: "false" };
  const program = await startProgram({ clock, cluster: { replicas: 1 }, settings, serve });
  await program.settled();
  return { clock, program };
}

const ended = (program: Program) => program.log.of("session_ended").length > 0;

/** Moves time on until the session has ended, which is 15 minutes after the last byte has moved. */
async function untilEnded(program: Program, clock: VirtualClock): Promise<void> {
  const untilMs = performance.now() + HANG_MS;
  while (!ended(program) && performance.now() < untilMs) await clock.advance(MINUTE_MS);
}

/** Sends until the connection breaks. */
async function flood(conn: Conn): Promise<void> {
  const bytes = pattern(256 * 1024);
  for (;;) await writeAll(conn, bytes);
}

Deno.test("sessions: a client that has ended and takes no more bytes ends its session, although a write waits", async () => {
  const { clock, program } = await start(flood);
  await using _ = program;
  using client = await program.connect();
  await client.receive(1);
  await client.end();
  await untilEnded(program, clock);
  const { outcome, reason } = await program.logged("session_ended");
  assert.deepEqual([outcome, reason], ["idle_timeout", "Silent for 15m0s after one side had ended"]);
  await program.until("no session at the pod", () => program.pods.open === 0);
});

Deno.test("sessions: a daemon that has ended and takes no more bytes ends its session, although a write waits", async () => {
  const hangs = Promise.withResolvers<void>();
  const { clock, program } = await start(async (conn) => {
    await conn.closeWrite();
    await hangs.promise;
  });
  await using _ = program;
  using client = await program.connect();
  const sending = client.send(pattern(64 * 1024 * 1024)).catch(() => {});
  await untilEnded(program, clock);
  const { outcome, reason } = await program.logged("session_ended");
  assert.deepEqual([outcome, reason], ["idle_timeout", "Silent for 15m0s after one side had ended"]);
  hangs.resolve();
  client.close();
  await sending;
  await program.until("no session at the pod", () => program.pods.open === 0);
});

for (const who of ["client", "daemon"] as const) {
  Deno.test(`sessions: after the ${who} has ended the other side goes on for as long as it sends something`, async () => {
    const pod = Promise.withResolvers<Conn>();
    const hangs = Promise.withResolvers<void>();
    const { clock, program } = await start(async (conn) => {
      pod.resolve(conn);
      await hangs.promise;
    });
    await using _ = program;
    using client = await program.connect();
    await client.send("hello");
    const conn = await pod.promise;
    assert.equal(await conn.read(new Uint8Array(10)), 5);
    if (who === "client") await client.end();
    else await conn.closeWrite();
    assert.equal(
      who === "client" ? await conn.read(new Uint8Array(1)) : (await client.rest()).bytes,
      who === "client" ? null : 0,
    );
    for (let i = 0; i < 2; i++) {
      await clock.advance(10 * MINUTE_MS);
      if (who === "client") {
        await writeAll(conn, Uint8Array.of(i));
        assert.deepEqual(await client.receive(1), Uint8Array.of(i));
      } else {
        await client.send(Uint8Array.of(i));
        assert.equal(await conn.read(new Uint8Array(1)), 1);
      }
      assert.ok(!ended(program), `after ${10 * (i + 1)} minutes`);
    }
    client.close();
    hangs.resolve();
    await program.until("no session at the pod", () => program.pods.open === 0);
  });
}

Deno.test("sessions: a client that has ended and takes bytes slowly gets them all", async () => {
  const bytes = pattern(18 * 1024 * 1024);
  const { clock, program } = await start(async (conn) => {
    await writeAll(conn, bytes);
    await conn.closeWrite();
  });
  await using _ = program;
  using client = await program.connect();
  assert.deepEqual(await client.receive(1), bytes.slice(0, 1));
  await client.end();
  // The kernel lets a write go on only after a good part of what it has buffered was taken, up to some 2 MB.
  const stepBytes = 6 * 1024 * 1024;
  for (let at = 1; at < bytes.length; at += stepBytes) {
    await clock.advance(8 * MINUTE_MS);
    const step = await client.receive(Math.min(stepBytes, bytes.length - at));
    assert.equal(sha256(step), sha256(bytes.slice(at, at + stepBytes)));
  }
  await client.rest();
  assert.equal((await program.logged("session_ended"))["outcome"], "completed");
});
