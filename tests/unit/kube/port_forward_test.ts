/** Tests of a port-forward on a connection in memory: its channels, when it counts as connected, and how it ends. @module */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Conn } from "../../../lib/base/network.ts";
import type { Http } from "../../../lib/kube/http.ts";
import { HALF_CLOSED_MS, openPortForward, SETTLE_MS } from "../../../lib/kube/port_forward.ts";
import { OPCODE } from "../../../lib/kube/websocket_frames.ts";
import { concat, MemoryConn, writeAll } from "../../support/memory_network.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { seededRandom } from "../../support/seeded_random.ts";
import { testClient } from "../../support/test_client.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";
import { readClientFrame, serverFrame } from "../../support/websocket_peer.ts";

const SIGNAL = new AbortController().signal;
const bytesOf = (text: string) => new TextEncoder().encode(text);

/** A server whose answer to the handshake a test may change. */
function setUp(answer: (headers: Headers) => void = () => {}) {
  const clock = new VirtualClock();
  const [conn, peer] = MemoryConn.pair();
  const asked: Readonly<Record<string, string>>[] = [];
  const http: Http = {
    send: () => Promise.reject(new Error("not expected")),
    upgrade({ headers }) {
      asked.push(headers);
      const accept = createHash("sha1")
        .update(`${headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
      const answered = new Headers({
        "sec-websocket-accept": accept,
        "sec-websocket-protocol": "v4.channel.k8s.io",
      });
      answer(answered);
      return Promise.resolve({ status: 101, headers: answered, body: new Blob().stream(), stream: conn });
    },
    reset: () => {},
    close: () => {},
  };
  const client = testClient(http, { clock, log: recordingLog() });
  const broken: string[] = [];
  const open = (signal = SIGNAL, clientSpeaksFirst = false) => {
    const to = { namespace: "ns", pod: "buildkitd-0", port: 8372 };
    const onBroken = ({ message }: Error) => void broken.push(message);
    return openPortForward(
      client,
      to,
      { clock, random: seededRandom(1).next, onBroken, clientSpeaksFirst },
      signal,
    );
  };
  const send = (channel: number, bytes: Uint8Array) =>
    writeAll(peer, serverFrame(OPCODE.binary, concat([Uint8Array.of(channel), bytes])));
  const sendPorts = async () => {
    for (const channel of [0, 1]) await send(channel, Uint8Array.of(8372 & 255, 8372 >> 8));
  };
  return { clock, conn, peer, asked, broken, open, send, sendPorts };
}

/** One that is connected. */
async function connected() {
  const stage = setUp();
  const opening = stage.open();
  await stage.sendPorts();
  await stage.send(0, bytesOf("hello"));
  const conn = await opening;
  assert.equal(await read(conn), "hello");
  return { ...stage, conn, under: stage.conn };
}

async function read(conn: Conn, bufferBytes = 100): Promise<string | null> {
  const buffer = new Uint8Array(bufferBytes);
  const n = await conn.read(buffer);
  return n === null ? null : new TextDecoder().decode(buffer.subarray(0, n));
}

Deno.test("openPortForward() asks for version 13 and v4.channel.k8s.io, with a new key of 16 bytes each time", async () => {
  const { asked, open, send, sendPorts } = setUp();
  const opening = open();
  await sendPorts();
  await send(0, bytesOf("x"));
  (await opening).close();
  const { "sec-websocket-key": key = "", ...headers } = asked[0]!;
  assert.equal(atob(key).length, 16);
  assert.equal(headers["sec-websocket-version"], "13");
  assert.equal(headers["sec-websocket-protocol"], "v4.channel.k8s.io");
  assert.deepEqual([headers["upgrade"], headers["connection"]], ["websocket", "Upgrade"]);
});

const ANSWERS: Readonly<Record<string, (headers: Headers) => void>> = {
  "no subprotocol": (headers) => headers.delete("sec-websocket-protocol"),
  "another subprotocol": (headers) => headers.set("sec-websocket-protocol", "v5.channel.k8s.io"),
  "no proof that it has read the key": (headers) => headers.delete("sec-websocket-accept"),
  "the answer to another key": (headers) =>
    headers.set("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
};
for (const [what, answer] of Object.entries(ANSWERS)) {
  Deno.test(`openPortForward() refuses a server that answers with ${what}, and closes the connection`, async () => {
    const { open, conn } = setUp(answer);
    await assert.rejects(open(), /^Error: Cannot forward a port of pod "buildkitd-0": /);
    assert.ok(conn.closed);
  });
}

Deno.test("openPortForward() waits for the daemon's first byte, or for 300 ms after the server's answer", async () => {
  const { clock, open, sendPorts } = setUp();
  let isOpen = false;
  const opening = open().then((conn) => {
    isOpen = true;
    return conn;
  });
  await clock.advance(10 * SETTLE_MS);
  assert.equal(isOpen, false, "the server has not answered");
  await sendPorts();
  await clock.advance(SETTLE_MS - 1);
  assert.equal(isOpen, false);
  await clock.advance(1);
  assert.equal(isOpen, true);
  (await opening).close();
});

Deno.test("openPortForward() waits for the server's answer only where the client speaks first", async () => {
  const { open, sendPorts, clock } = setUp();
  const opening = open(SIGNAL, true);
  await sendPorts();
  await clock.advance(0);
  (await opening).close();
});

for (const pieces of [1, 2, 3]) {
  Deno.test(`openPortForward() understands ports and the reason of a failure in ${pieces} pieces`, async () => {
    const { open, peer, conn } = setUp();
    const opening = open();
    const cut = (bytes: Uint8Array) => {
      const size = Math.ceil(bytes.length / pieces);
      return Array.from({ length: pieces }, (_, at) => bytes.subarray(at * size, (at + 1) * size));
    };
    for (
      const bytes of [Uint8Array.of(0, 180, 32), Uint8Array.of(1, 180, 32), bytesOf("\x01connection refused")]
    ) {
      for (const [at, part] of cut(bytes).entries()) {
        await writeAll(
          peer,
          serverFrame(at === 0 ? OPCODE.binary : OPCODE.continuation, part, at === pieces - 1),
        );
      }
    }
    await assert.rejects(opening, {
      message: 'Cannot connect to port 8372 of pod "buildkitd-0": connection refused',
    });
    assert.ok(conn.closed);
  });
}

Deno.test("openPortForward() closes the connection when its signal ends it while it waits for the daemon", async () => {
  const { open, conn, sendPorts } = setUp();
  const controller = new AbortController();
  const opening = open(controller.signal);
  await sendPorts();
  await settle();
  controller.abort(new Error("enough"));
  await assert.rejects(opening, /enough/);
  assert.ok(conn.closed);
});

Deno.test("a port-forward passes over channels that it does not know, and empty messages", async () => {
  const { conn, send } = await connected();
  await send(7, bytesOf("what?"));
  await send(0, new Uint8Array());
  await send(0, bytesOf("data"));
  assert.equal(await read(conn, 2), "da");
  assert.equal(await read(conn), "ta");
  conn.close();
});

Deno.test("a port-forward that breaks in the pod ends with the reason that the server gives, cut at 2,000 bytes", async () => {
  const { conn, send } = await connected();
  await send(1, bytesOf(`reset by peer ${"x".repeat(5_000)}`));
  await assert.rejects(conn.read(new Uint8Array(10)), (error: Error) => {
    assert.match(error.message, /^The connection to port 8372 of pod "buildkitd-0" broke: reset by peer x+$/);
    assert.ok(error.message.length < 2_100);
    return true;
  });
  conn.close();
});

Deno.test("a port-forward tells once that it broke, and nothing when it ended, was closed here, or its client had left", async () => {
  const cut = await connected();
  await cut.peer.closeWrite();
  await assert.rejects(cut.conn.read(new Uint8Array(10)));
  assert.deepEqual(cut.broken, [
    'The connection to port 8372 of pod "buildkitd-0" through the API server broke',
  ]);
  cut.conn.close();
  const ended = await connected();
  await writeAll(ended.peer, serverFrame(OPCODE.close, new Uint8Array()));
  assert.equal(await read(ended.conn), null);
  ended.conn.close();
  const closed = await connected();
  const reading = closed.conn.read(new Uint8Array(10));
  closed.conn.close();
  await assert.rejects(reading);
  const left = await connected();
  await left.conn.closeWrite();
  await left.peer.closeWrite();
  await assert.rejects(left.conn.read(new Uint8Array(10)));
  left.conn.close();
  assert.deepEqual([...ended.broken, ...closed.broken, ...left.broken], []);
});

Deno.test("a port-forward sends data of any length in messages that begin with their channel", async () => {
  const { conn, peer } = await connected();
  const bytes = Uint8Array.from({ length: 200_000 }, (_, at) => at % 251);
  const writing = writeAll(conn, bytes);
  const got: Uint8Array[] = [];
  for (let length = 0; length < bytes.length;) {
    const { opcode, payload } = await readClientFrame(peer);
    assert.deepEqual([opcode, payload[0]], [OPCODE.binary, 0]);
    assert.ok(payload.length < 65_536);
    got.push(payload.subarray(1));
    length += payload.length - 1;
  }
  await writing;
  assert.deepEqual(concat(got), bytes);
  conn.close();
});

Deno.test("after closeWrite() a port-forward is read until nothing has come for 1 s, and then is closed", async () => {
  const { clock, conn, under, send } = await connected();
  const first = read(conn);
  await conn.closeWrite();
  await clock.advance(HALF_CLOSED_MS - 1);
  await send(0, bytesOf("more"));
  assert.equal(await first, "more");
  const second = read(conn);
  await clock.advance(HALF_CLOSED_MS - 1);
  assert.equal(under.closed, false, "bytes that come begin the wait anew");
  await clock.advance(1);
  assert.equal(under.closed, true);
  assert.equal(await second, null);
  assert.equal(await read(conn), null);
  conn.close();
});

Deno.test("after closeWrite() a port-forward waits for as long as its reader takes", async () => {
  const { clock, conn, under, send } = await connected();
  await conn.closeWrite();
  await send(0, bytesOf("kept"));
  await clock.advance(100 * HALF_CLOSED_MS);
  assert.equal(under.closed, false);
  assert.equal(await read(conn), "kept");
  conn.close();
  assert.equal(clock.pending, 0);
});
