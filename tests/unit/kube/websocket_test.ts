/** Tests of the WebSocket client: messages, control frames, back-pressure, keep-alive, and what is no WebSocket. @module */
import assert from "node:assert/strict";
import { DEAD_AFTER_MS, KEEP_ALIVE_MS, type WebSocketStream } from "../../../lib/kube/websocket.ts";
import { OPCODE } from "../../../lib/kube/websocket_frames.ts";
import { serverFrame, webSocketPair } from "../../support/websocket_peer.ts";
import { settle } from "../../support/virtual_clock.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** The next message as a whole; `null` at the end. */
async function message(client: WebSocketStream, bufferBytes = 100): Promise<string | null> {
  let text = "";
  const buffer = new Uint8Array(bufferBytes);
  for (let isFirst = true;; isFirst = false) {
    const piece = await client.read(buffer);
    if (piece === null) return null;
    assert.equal(piece.begins, isFirst);
    text += textOf(buffer.subarray(0, piece.length));
    if (piece.ends) return text;
  }
}

Deno.test("WebSocketStream reads messages of all sizes, in buffers of all sizes", async () => {
  for (const size of [0, 1, 125, 126, 65_535, 65_536, 200_000]) {
    for (const bufferBytes of [7, 16 * 1024, 300_000]) {
      const { client, send } = webSocketPair();
      const text = "abcdefg".repeat(Math.ceil(size / 7)).slice(0, size);
      const sent = send(OPCODE.binary, bytesOf(text)).then(() => send(OPCODE.binary, bytesOf("next")));
      assert.equal(await message(client, bufferBytes), text);
      assert.equal(await message(client, bufferBytes), "next");
      await sent;
      client.close();
    }
  }
});

Deno.test("WebSocketStream joins the frames of a message, with control frames and empty ones between them", async () => {
  const { client, send, receive } = webSocketPair();
  await send(OPCODE.binary, bytesOf("one, "), false);
  await send(OPCODE.ping, bytesOf("there?"));
  await send(OPCODE.continuation, bytesOf(""), false);
  await send(OPCODE.continuation, bytesOf("two, "), false);
  await send(OPCODE.pong, bytesOf("?"));
  await send(OPCODE.continuation, bytesOf("three"));
  await send(OPCODE.binary, bytesOf("next"));
  assert.equal(await message(client), "one, two, three");
  assert.equal(await message(client), "next");
  const { opcode, payload } = await receive();
  assert.deepEqual([opcode, textOf(payload)], [OPCODE.pong, "there?"]);
  client.close();
});

Deno.test("WebSocketStream gives an empty message out as one piece that begins and ends", async () => {
  const { client, send } = webSocketPair();
  await send(OPCODE.binary, bytesOf(""), false);
  await send(OPCODE.continuation, bytesOf(""));
  assert.deepEqual(await client.read(new Uint8Array(1)), { length: 0, begins: true, ends: true });
  client.close();
});

for (const code of [1000, 1001, undefined]) {
  Deno.test(`WebSocketStream: a Close frame with ${code ?? "no status"} is the end, and is answered`, async () => {
    const { client, send, receive } = webSocketPair();
    await send(OPCODE.close, code === undefined ? new Uint8Array() : Uint8Array.of(code >> 8, code & 255));
    assert.equal(await client.read(new Uint8Array(10)), null);
    const { opcode, payload } = await receive();
    assert.deepEqual([opcode, ...payload], [OPCODE.close, 3, 0xe8]);
    client.close();
  });
}

Deno.test("WebSocketStream: a Close frame with a fault is an error that says code and reason", async () => {
  const { client, send } = webSocketPair();
  await send(OPCODE.close, Uint8Array.of(0x03, 0xf3, ...bytesOf("out of memory")));
  await assert.rejects(client.read(new Uint8Array(10)), /status 1011: out of memory/);
  client.close();
});

Deno.test("WebSocketStream: an end without a Close frame is an error, wherever it comes", async () => {
  const whole = serverFrame(OPCODE.binary, bytesOf("x".repeat(200)));
  for (const at of [0, 1, 3, 4, 100]) {
    const { client, peer, sendRaw } = webSocketPair();
    await sendRaw(whole.subarray(0, at));
    await peer.closeWrite();
    await assert.rejects(message(client, 1000), /cut it off/, `after ${at} bytes`);
    client.close();
  }
});

const BAD: Readonly<Record<string, readonly Uint8Array[]>> = {
  "a masked frame": [Uint8Array.of(0x82, 0x81, 1, 2, 3, 4, 5)],
  "text": [serverFrame(OPCODE.text, bytesOf("hello"))],
  "a continuation of nothing": [serverFrame(OPCODE.continuation, bytesOf("x"))],
  "a message inside another": [
    serverFrame(OPCODE.binary, bytesOf("x"), false),
    serverFrame(OPCODE.binary, bytesOf("y")),
  ],
  "HTTP": [bytesOf("HTTP/1.1 400 Bad Request\r\n\r\n")],
};
for (const [what, frames] of Object.entries(BAD)) {
  Deno.test(`WebSocketStream fails at ${what}`, async () => {
    const { client, sendRaw } = webSocketPair();
    for (const frame of frames) await sendRaw(frame);
    await assert.rejects(message(client), { name: "FrameError" });
    client.close();
  });
}

Deno.test("WebSocketStream reads nothing while nobody asks, so that a server has to stop", async () => {
  const { client, send } = webSocketPair({ capacityBytes: 1_000 });
  let sent = 0;
  const sending = (async () => {
    for (; sent < 100; sent++) await send(OPCODE.binary, new Uint8Array(1_000));
  })();
  await settle();
  assert.equal(sent, 0);
  const buffer = new Uint8Array(1_000);
  for (let read = 0; read < 100_000;) read += (await client.read(buffer))!.length;
  await sending;
  client.close();
});

Deno.test("WebSocketStream: a send ends only when the connection has taken it, and sends go out one after the other", async () => {
  const { client, receive } = webSocketPair({ capacityBytes: 1_000, writeBytes: () => 300 });
  const done: number[] = [];
  const sending = [1, 2, 3].map((n) => client.send([n], new Uint8Array(2_000)).then(() => done.push(n)));
  await settle();
  assert.deepEqual(done, []);
  for (const n of [1, 2, 3]) {
    const { payload } = await receive();
    assert.deepEqual([payload[0], payload.length], [n, 2_001]);
  }
  await Promise.all(sending);
  client.close();
});

Deno.test("WebSocketStream: of the Pings that come while a write waits, the newest is answered, and none is kept", async () => {
  const { client, send, receive } = webSocketPair({ capacityBytes: 1_000 });
  const sending = client.send([], new Uint8Array(5_000));
  for (let n = 0; n < 50; n++) await send(OPCODE.ping, Uint8Array.of(n)).then(settle, settle);
  const reading = client.read(new Uint8Array(10));
  await settle();
  assert.equal((await receive()).payload.length, 5_000);
  await sending;
  const { opcode, payload } = await receive();
  assert.deepEqual([opcode, ...payload], [OPCODE.pong, 49]);
  await send(OPCODE.binary, Uint8Array.of(1));
  await reading;
  client.close();
});

Deno.test("WebSocketStream sends a Ping and an empty message every 30 s, and nothing more once it is closed", async () => {
  const { client, clock, receive } = webSocketPair();
  for (let round = 0; round < 3; round++) {
    await clock.advance(KEEP_ALIVE_MS);
    assert.deepEqual((await receive()).opcode, OPCODE.ping);
    assert.deepEqual(await receive(), { opcode: OPCODE.binary, payload: new Uint8Array() });
  }
  client.close();
  assert.equal(clock.pending, 0);
});

Deno.test("WebSocketStream takes a server for dead that sends nothing for 5 minutes, Pongs neither", async () => {
  const { client, clock, conn, send } = webSocketPair();
  const reading = client.read(new Uint8Array(10)).catch((error: Error) => error.message);
  await clock.advance(DEAD_AFTER_MS);
  assert.equal(conn.closed, false);
  await send(OPCODE.pong, new Uint8Array());
  await clock.advance(DEAD_AFTER_MS);
  assert.equal(conn.closed, false, "a Pong counts");
  await clock.advance(KEEP_ALIVE_MS);
  assert.equal(conn.closed, true);
  assert.equal(await reading, "No byte came in 5m0s, nor an answer to a Ping");
});

Deno.test("WebSocketStream takes a server for dead after two Pings without an answer when the machine has slept", async () => {
  const { client, clock, conn } = webSocketPair();
  const reading = client.read(new Uint8Array(10)).catch((error: Error) => error.message);
  await clock.advance(2 * KEEP_ALIVE_MS);
  clock.suspend(3_600_000);
  await clock.advance(2 * KEEP_ALIVE_MS);
  assert.equal(conn.closed, false);
  await clock.advance(KEEP_ALIVE_MS);
  assert.equal(conn.closed, true);
  assert.match(String(await reading), /^No byte came in 2m0s/);
});

Deno.test("WebSocketStream is as patient as before once a server has answered after a sleep", async () => {
  const { client, clock, conn, send } = webSocketPair();
  client.read(new Uint8Array(10)).catch(() => {});
  clock.suspend(3_600_000);
  await clock.advance(2 * KEEP_ALIVE_MS);
  await send(OPCODE.pong, new Uint8Array());
  await clock.advance(DEAD_AFTER_MS - KEEP_ALIVE_MS);
  assert.equal(conn.closed, false);
  client.close();
});

Deno.test("WebSocketStream never takes a server for dead while nobody reads, or while a write waits", async () => {
  const silent = webSocketPair();
  await silent.clock.advance(10 * DEAD_AFTER_MS);
  assert.equal(silent.conn.closed, false);
  silent.client.close();
  const stalled = webSocketPair({ capacityBytes: 10 });
  stalled.client.send([], new Uint8Array(100)).catch(() => {});
  stalled.client.read(new Uint8Array(10)).catch(() => {});
  await stalled.clock.advance(10 * DEAD_AFTER_MS);
  assert.equal(stalled.conn.closed, false);
  stalled.client.close();
});

Deno.test("WebSocketStream.close() ends the read that waits, and may be called twice", async () => {
  const { client, conn, peer } = webSocketPair();
  const reading = client.read(new Uint8Array(10));
  // A memory connection looks at its end only when something changes; a socket's read is ended by close itself.
  client.close();
  client.close();
  await assert.rejects(reading);
  await assert.rejects(client.send([1]));
  assert.ok(conn.closed);
  peer.close();
});
