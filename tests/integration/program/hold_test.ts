/**
 * The whole program: what a client sends while it is held is kept, bounded, and forwarded in order.
 *
 * @module
 */
import assert from "node:assert/strict";
import { SESSION_LIMIT_BYTES, TOTAL_LIMIT_BYTES } from "../../../lib/proxy/hold.ts";
import { NOT_READY, startProgram } from "../../support/program.ts";
import { pattern, sha256 } from "../../support/tcp_client.ts";

Deno.test("program: bytes sent before, during and after the release arrive in order", async () => {
  await using program = await startProgram({ cluster: NOT_READY });
  await program.settled();
  using client = await program.connect();
  const lines = Array.from({ length: 2_000 }, (_, i) => `line ${i}\n`);
  const whole = lines.join("");
  const sending = (async () => {
    for (const [i, line] of lines.entries()) {
      await client.send(line);
      if (i === 1_000) void program.makeReady();
    }
  })();
  const back = await client.receive(whole.length);
  await sending;
  assert.equal(new TextDecoder().decode(back), whole);
  assert.equal(program.metrics.value("hold_bytes"), 0);
});

Deno.test("program: a held client that sends more than is kept is not read any further, and loses nothing", async () => {
  await using program = await startProgram({ cluster: NOT_READY });
  await program.settled();
  const bytes = pattern(32 * 1024 * 1024);
  using client = await program.connect();
  let sent = false;
  const sending = client.send(bytes).then(() => {
    sent = true;
    return client.end();
  });
  let most = 0;
  await program.until("the session keeps all that it may", () => {
    most = Math.max(most, program.metrics.value("hold_bytes"));
    return most > SESSION_LIMIT_BYTES - 8 * 1024;
  });
  assert.ok(most <= SESSION_LIMIT_BYTES, `${most} bytes were kept`);
  await program.makeReady();
  assert.equal(sent, false, "the client felt the backpressure");
  const { bytes: received, sha256: digest } = await client.rest();
  await sending;
  assert.equal(received, bytes.length);
  assert.equal(digest, sha256(bytes));
});

Deno.test("program: all held sessions together keep no more than their bound, and lose nothing", async () => {
  await using program = await startProgram({ cluster: NOT_READY });
  await program.settled();
  const count = Math.ceil(TOTAL_LIMIT_BYTES / SESSION_LIMIT_BYTES) + 100;
  const bytes = pattern(SESSION_LIMIT_BYTES + 50_000);
  const clients = await Promise.all(Array.from({ length: count }, () => program.connect()));
  const sending = clients.map((client) => client.send(bytes).then(() => client.end()));
  let most = 0;
  await program.until("the bound", () => {
    most = Math.max(most, program.metrics.value("hold_bytes"));
    return most > 0.9 * TOTAL_LIMIT_BYTES;
  });
  await program.makeReady();
  const digest = sha256(bytes);
  const received = await Promise.all(clients.map((client) => client.rest()));
  await Promise.all(sending);
  assert.ok(received.every(({ sha256 }) => sha256 === digest));
  for (const client of clients) client.close();
  await program.logged("session_ended", count);
  // Reads that were under way when the bound was reached still bring what they have.
  const underWayBytes = count * 4 * 1024;
  assert.ok(most <= TOTAL_LIMIT_BYTES + underWayBytes, `${most} bytes were kept`);
  assert.equal(program.metrics.value("hold_bytes"), 0);
});

Deno.test("program: a held client that sends nothing is served as soon as the pod is ready", async () => {
  await using program = await startProgram({
    cluster: NOT_READY,
    serve: async (conn) => {
      await conn.write(new TextEncoder().encode("first"));
      await conn.read(new Uint8Array(1));
    },
  });
  await program.settled();
  using client = await program.connect();
  await program.held(1);
  await program.makeReady();
  assert.equal(new TextDecoder().decode(await client.receive(5)), "first");
});
