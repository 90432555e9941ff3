/**
 * The whole program: what is carried once a session has its pod: half-closes, ends, resets, large transfers.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import net from "node:net";
import type { Conn } from "../../../lib/base/network.ts";
import { writeAll } from "../../../lib/miniature/bytes.ts";
import { startProgram } from "../../support/program.ts";
import type { Serve } from "../../support/server_pods.ts";
import { pattern, resettable, sha256 } from "../../support/tcp_client.ts";

async function readAll(conn: Conn): Promise<string> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(64 * 1024);
  for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
    hash.update(buffer.subarray(0, n));
  }
  return hash.digest("hex");
}

function start(serve: Serve) {
  return startProgram({ serve, cluster: { replicas: 1 } });
}

Deno.test("program: a client that half-closes still gets its answer", async () => {
  await using program = await start(async (conn) => {
    await writeAll(conn, new TextEncoder().encode(await readAll(conn)));
  });
  await program.settled();
  using client = await program.connect();
  const bytes = pattern(300_000);
  await client.send(bytes);
  await client.end();
  assert.equal(new TextDecoder().decode(await client.receive(64)), sha256(bytes));
  assert.equal(await client.ending(), "fin");
  assert.equal((await program.logged("session_ended"))["outcome"], "completed");
});

Deno.test("program: a server that half-closes still receives the client's bytes", async () => {
  const heard = Promise.withResolvers<string>();
  await using program = await start(async (conn) => {
    await writeAll(conn, new TextEncoder().encode("bye"));
    await conn.closeWrite();
    heard.resolve(await readAll(conn));
  });
  await program.settled();
  using client = await program.connect();
  assert.equal((await client.rest()).bytes, 3, "the client sees the end");
  const bytes = pattern(1024 * 1024);
  await client.send(bytes);
  client.close();
  assert.equal(await heard.promise, sha256(bytes));
  assert.equal((await program.logged("session_ended"))["outcome"], "completed");
});

Deno.test("program: nothing is lost when the server sends much and closes at once", async () => {
  const bytes = pattern(1024 * 1024);
  await using program = await start((conn) => writeAll(conn, bytes));
  await program.settled();
  for (let i = 0; i < 10; i++) {
    using client = await program.connect();
    assert.deepEqual(await client.rest(), { bytes: bytes.length, sha256: sha256(bytes) });
  }
});

Deno.test("program: nothing is lost when the client sends much and closes at once", async () => {
  const heard: string[] = [];
  await using program = await start(async (conn) => {
    heard.push(await readAll(conn));
    program.world.changed();
  });
  await program.settled();
  const bytes = pattern(1024 * 1024);
  for (let i = 0; i < 10; i++) {
    using client = await program.connect();
    await client.send(bytes);
    client.close();
  }
  await program.until("ten sessions", () => heard.length === 10);
  assert.deepEqual(new Set(heard), new Set([sha256(bytes)]));
});

Deno.test("program: a large transfer each way at once arrives whole", async () => {
  await using program = await start(async (conn) => {
    await Promise.all([
      writeAll(conn, fromServer).then(() => conn.closeWrite()),
      readAll(conn).then(heard.resolve),
    ]);
  });
  const heard = Promise.withResolvers<string>();
  const fromServer = pattern(48 * 1024 * 1024, 2);
  const fromClient = pattern(40 * 1024 * 1024, 3);
  await program.settled();
  using client = await program.connect();
  const [received] = await Promise.all([client.rest(), client.send(fromClient).then(() => client.end())]);
  assert.deepEqual(received, { bytes: fromServer.length, sha256: sha256(fromServer) });
  assert.equal(await heard.promise, sha256(fromClient));
  const { upstreamBytes, downstreamBytes } = await program.logged("session_ended");
  assert.deepEqual([upstreamBytes, downstreamBytes], [fromClient.length, fromServer.length]);
});

Deno.test("program: a server that does not read holds the client back, and gets everything in the end", async () => {
  const mayRead = Promise.withResolvers<void>();
  const heard = Promise.withResolvers<string>();
  await using program = await start(async (conn) => {
    await mayRead.promise;
    heard.resolve(await readAll(conn));
  });
  await program.settled();
  const bytes = pattern(64 * 1024 * 1024);
  using client = await program.connect();
  let sent = false;
  const sending = client.send(bytes).then(() => {
    sent = true;
    client.close();
  });
  await program.until("a session in the pod", () => program.pods.open === 1);
  assert.equal(sent, false);
  mayRead.resolve();
  await sending;
  assert.equal(await heard.promise, sha256(bytes));
});

Deno.test("program: a client's reset ends its session, and the server's side with it", async () => {
  const ended = Promise.withResolvers<string>();
  await using program = await start(async (conn) => {
    const buffer = new Uint8Array(10);
    await conn.read(buffer);
    await conn.read(buffer).then(
      (n) => ended.resolve(n === null ? "end" : "bytes"),
      () => ended.resolve("end"),
    );
  });
  await program.settled();
  const client = await resettable(program.address);
  await client.send("hello");
  await program.until("bytes at the server", () => program.pods.open === 1);
  await client.reset();
  assert.equal(await ended.promise, "end");
  assert.equal((await program.logged("session_ended"))["outcome"], "downstream_reset");
});

Deno.test("program: a server's reset ends its session, and the client's side with it", async () => {
  await using program = await startProgram({
    cluster: { replicas: 1 },
    before: ({ pods }) => pods.listens = false,
  });
  await program.settled();
  const [pod] = program.pods.started;
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.resetAndDestroy());
  });
  await new Promise<void>((resolve) => server.listen(pod!.address.port, pod!.address.hostname, resolve));
  using client = await program.connect();
  await client.send("hello");
  await client.ending();
  assert.equal((await program.logged("session_ended"))["outcome"], "upstream_reset");
  await new Promise((resolve) => server.close(resolve));
});

Deno.test("program: a server that closes with bytes unread ends its session at the client's next bytes", async () => {
  // Deno closes such a socket with a FIN and then an RST, of which a read sees only the first.
  await using program = await start(async (conn) => void await conn.read(new Uint8Array(1)));
  await program.settled();
  using client = await program.connect();
  await client.send(pattern(100_000));
  assert.equal(await client.ending(), "fin");
  await client.send("more").catch(() => {});
  assert.equal((await program.logged("session_ended"))["outcome"], "upstream_reset");
});
