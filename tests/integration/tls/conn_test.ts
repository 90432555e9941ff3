/**
 * Connections after their TLS handshake, on real sockets: bytes, ends, and bounds.
 *
 * @module
 */
import assert from "node:assert/strict";
import net from "node:net";
import { Duplex } from "node:stream";
import tls, { type TLSSocket } from "node:tls";
import { Inbox, TlsConn } from "../../../lib/entrance/tls_conn.ts";
import { Wire } from "../../../lib/entrance/wire.ts";
import { pause, within } from "../../support/deadline.ts";
import { MemoryConn } from "../../support/memory_network.ts";
import { pattern, sha256 } from "../../support/tcp_client.ts";
import { ca, ci, readToEnd, receive, send, TlsStage } from "./stage.ts";

for (const mutual of [false, true]) {
  const kind = mutual ? "with client certificates" : "without client certificates";
  const certificate = mutual ? ci : undefined;

  Deno.test(`TlsConn carries every byte both ways at once, ${kind}`, async () => {
    using stage = new TlsStage({ mutual });
    const [client, server] = await stage.pair(certificate);
    const [up, down] = [pattern(8_000_003, 1), pattern(9_000_001, 2)];
    const [atServer, atClient] = await within(
      Promise.all([
        readToEnd(server),
        readToEnd(client),
        send(client, up).then(() => client.closeWrite()),
        send(server, down).then(() => server.closeWrite()),
      ]),
      "the bytes of both sides",
    );
    assert.equal(sha256(atServer), sha256(up));
    assert.equal(sha256(atClient), sha256(down));
  });

  Deno.test(`TlsConn passes a half-close on in both directions, ${kind}`, async () => {
    using stage = new TlsStage({ mutual });
    const [client, server] = await stage.pair(certificate);
    await client.closeWrite();
    assert.equal(await receive(server), null);
    await send(server, "after your end");
    assert.equal(await receive(client), "after your end");
    await server.closeWrite();
    assert.equal(await receive(client), null);

    const [other, otherServer] = await stage.pair(certificate);
    await otherServer.closeWrite();
    assert.equal(await receive(other), null);
    await send(other, "after your end");
    assert.equal(await receive(otherServer), "after your end");
  });

  Deno.test(`TlsConn takes little from a client whose bytes nobody reads, ${kind}`, async () => {
    using stage = new TlsStage({ mutual });
    const [client, server] = await stage.pair(certificate);
    const sent = await sendUntilStuck(client);
    // The rest is in the buffers of both sockets, which the kernel sizes.
    assert.ok(sent < 16 * MiB, `the client could send ${sent} bytes`);
    const total = sent + 5;
    client.closeWrite().catch(() => {});
    let received = 0;
    const buffer = new Uint8Array(1 << 18);
    while (received < total - 5) {
      received += (await within(server.read(buffer), "the rest")) ?? assert.fail("the end");
    }
  });

  Deno.test(`TlsConn writes little to a client that reads nothing, ${kind}`, async () => {
    using stage = new TlsStage({ mutual });
    const [, server] = await stage.pair(certificate);
    const sent = await sendUntilStuck(server);
    assert.ok(sent < 16 * MiB, `${sent} bytes were taken`);
  });
}

Deno.test("TlsConn.close() tells the client that the stream has ended", async () => {
  using stage = new TlsStage();
  const socket = net.connect({ host: "127.0.0.1", port: stage.port });
  const client = tls.connect({ socket, servername: "localhost", ca: ca.cert, ALPNProtocols: ["h2"] });
  const ended = new Promise<string>((resolve) => {
    client.once("end", () => resolve("end"));
    client.once("error", (error) => resolve(error.message));
  });
  client.resume();
  const server = await stage.accept();
  server.close();
  assert.equal(await within(ended, "the end at the client"), "end");
  client.destroy();
  await assert.rejects(server.read(new Uint8Array(1)), Deno.errors.BadResource);
  await assert.rejects(server.write(new Uint8Array(1)), Deno.errors.BadResource);
  assert.throws(() => server.close(), Deno.errors.BadResource);
});

Deno.test("TlsConn.close() ends a read and a write that wait", async () => {
  using stage = new TlsStage();
  const [, server] = await stage.pair();
  const reading = assert.rejects(server.read(new Uint8Array(1)), Deno.errors.BadResource);
  const writing = assert.rejects(send(server, new Uint8Array(64 * MiB)));
  await pause(200);
  server.close();
  await within(Promise.all([reading, writing]), "the ends of read and write");
});

Deno.test("TlsConn ends for a client that has reset its connection, and for one that is gone without a word", async () => {
  using stage = new TlsStage();
  const [abrupt, abruptServer] = await Promise.all([resettable(stage.port), stage.accept()]);
  const reading = abruptServer.read(new Uint8Array(1)).then(String, (error) => error.name);
  abrupt.socket.resetAndDestroy();
  assert.notEqual(await within(reading, "the end of the read"), "1");
  await within(assert.rejects(writeForever(abruptServer)), "a write that fails");

  const [gone, goneServer] = await Promise.all([resettable(stage.port), stage.accept()]);
  const ended = goneServer.read(new Uint8Array(1)).then(String, (error) => error.name);
  gone.socket.destroy(); // a FIN, without the end of the TLS stream
  assert.notEqual(await within(ended, "the end of the read"), "1");
});

Deno.test("TlsConn.closeWrite() ends for a client that has said its end, and then resets its connection", async () => {
  using stage = new TlsStage();
  const [{ socket, client }, server] = await Promise.all([resettable(stage.port), stage.accept()]);
  client.end();
  assert.equal(await receive(server), null);
  socket.resetAndDestroy();
  await pause(200); // and the reset arrives
  const late = assert.rejects(server.closeWrite(), Deno.errors.ConnectionReset);
  await within(late, "the end of closeWrite()");
});

Deno.test("TlsConn.closeWrite() waits for a client that has said its end and takes nothing, until it takes all or resets", async () => {
  using stage = new TlsStage();
  for (const end of ["takes all", "resets"]) {
    const [{ socket, client }, server] = await Promise.all([resettable(stage.port), stage.accept()]);
    client.end();
    assert.equal(await receive(server), null);
    socket.pause();
    await sendUntilStuck(server);
    const fin = new Promise((resolve) => socket.once("end", resolve));
    const ending = server.closeWrite().then(() => "takes all", () => "resets");
    assert.equal(await Promise.race([ending, pause(200)]), undefined);
    if (end === "resets") socket.resetAndDestroy();
    else socket.resume();
    assert.equal(await within(ending, `the end of closeWrite() when the client ${end}`), end);
    if (end === "takes all") await within(fin, "the FIN");
    socket.destroy();
  }
});

for (const what of ["write", "closeWrite"] as const) {
  Deno.test(`TlsConn.${what}() ends with the connection where the runtime says nothing of it`, async () => {
    for (const end of ["close", "destroy"]) {
      const socket = new Duplex({ read() {}, write() {} });
      const [tcp] = MemoryConn.pair();
      const inbox = new Inbox();
      const wire = new Wire(tcp, () => inbox.hasRoom);
      const conn = new TlsConn({ socket: socket as TLSSocket, wire, tcp, inbox }, undefined);
      const waiting = what === "write" ? conn.write(new Uint8Array(1)) : afterWrite(conn);
      if (end === "close") conn.close();
      else socket.destroy();
      await within(assert.rejects(waiting), `the end of ${what}() by ${end}`);
    }
  });
}

Deno.test("TlsConn names the client, and the proxy's own side", async () => {
  using stage = new TlsStage({ mutual: true });
  const [, server] = await stage.pair(ci);
  assert.equal(server.peerName, "ci.example.org");
  assert.equal(server.remoteAddr.hostname, "127.0.0.1");
  server.setNoDelay(true);
  server.setKeepAlive(true);
  using open = new TlsStage();
  const [, anonymous] = await open.pair();
  assert.equal(anonymous.peerName, undefined);
});

const MiB = 1 << 20;

/** Sends until a write has waited for a second: how much was sent. */
async function sendUntilStuck(conn: { write(bytes: Uint8Array): Promise<number> }): Promise<number> {
  const bytes = new Uint8Array(1 << 16);
  let sent = 0;
  for (;;) {
    const { promise, resolve } = Promise.withResolvers<"stuck">();
    const timer = setTimeout(() => resolve("stuck"), 1_000);
    const writing = conn.write(bytes);
    writing.catch(() => {}); // it ends with the stage
    const n = await Promise.race([writing, promise]);
    clearTimeout(timer);
    if (n === "stuck" || sent > 128 * MiB) return sent;
    sent += n;
  }
}

async function writeForever(conn: { write(bytes: Uint8Array): Promise<number> }): Promise<never> {
  for (;;) await conn.write(new Uint8Array(1024));
}

/** An end that waits behind a write. */
function afterWrite(conn: TlsConn): Promise<void> {
  conn.write(new Uint8Array(1)).catch(() => {});
  return conn.closeWrite();
}

/** A client whose socket can be reset, and sends no FIN. Its handshake is done. */
async function resettable(port: number): Promise<{ socket: net.Socket; client: tls.TLSSocket }> {
  const socket = net.connect({ host: "127.0.0.1", port });
  const under = new Duplex({
    read() {},
    write: (chunk, _encoding, done) => void socket.write(chunk, done),
    final: (done) => done(),
  });
  socket.on("data", (chunk) => under.push(chunk));
  socket.on("error", () => {});
  const client = tls.connect({ socket: under, servername: "localhost", ca: ca.cert, ALPNProtocols: ["h2"] });
  client.on("error", () => {});
  await within(
    new Promise<void>((resolve) => client.once("secureConnect", resolve)),
    "the client's handshake",
  );
  return { socket, client };
}
