/**
 * Stub pods over real loopback sockets.
 *
 * @module
 */
import assert from "node:assert/strict";
import { systemClock } from "../../../lib/base/clock.ts";
import { ByteReader, closeQuietly, writeAll } from "../../../lib/miniature/bytes.ts";
import type { PodContext } from "../../../lib/miniature/pod_process.ts";
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  FRAME,
  frameBytes,
  headerBlock,
  LISTEN_BUILD_HISTORY,
  PREFACE,
  readFrame,
  SERVED_BY,
} from "../../../lib/miniature/stub_http2.ts";
import { StubPods } from "../../../lib/miniature/stub_pods.ts";
import { denoNetwork } from "../../../lib/proxy/deno_network.ts";
import { bytesOf, literalFields, OPENING } from "../../support/http2_client.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";

const never = new AbortController().signal;

/** A free port: listened on, and let go. */
function freeAddress() {
  const listener = denoNetwork.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return listener.addr;
}

function setUp(warmUpMs = 0) {
  const clock = new VirtualClock();
  const sessions: string[] = [];
  const stub = new StubPods({
    network: denoNetwork,
    clock,
    warmUpMs: () => warmUpMs,
    onSession: ({ name }, what) => sessions.push(`${name} ${what}`),
  });
  const address = freeAddress();
  const pod: PodContext = { name: "buildkitd-0", ordinal: 0, uid: "u", address };
  return { clock, sessions, stub, pod, address };
}

Deno.test("StubPods sends back every byte, and its end after the client's", async () => {
  const { clock, stub, pod, address, sessions } = setUp();
  const process = stub.start(pod);
  await clock.advance(0);
  await process.serving;
  const conn = await denoNetwork.connect(address, never);
  const sent = new Uint8Array(100_000).fill(7);
  const reader = new ByteReader(conn);
  const [, back] = await Promise.all([
    writeAll(conn, sent).then(() => conn.closeWrite()),
    reader.exactly(sent.length),
  ]);
  assert.deepEqual(back, sent);
  assert.equal(await reader.some(), null);
  conn.close();
  process.stop(1000);
  await process.exited;
  assert.deepEqual(sessions, ["buildkitd-0 opened", "buildkitd-0 closed"]);
});

Deno.test("StubPods listens before it serves", async () => {
  const { clock, stub, pod, address } = setUp(5000);
  const process = stub.start(pod);
  let serving = false;
  process.serving.then(() => serving = true);
  const conn = await denoNetwork.connect(address, never);
  await writeAll(conn, Uint8Array.of(1));
  const answer = new ByteReader(conn).exactly(1);
  await settle();
  assert.equal(serving, false);
  await clock.advance(5000);
  assert.deepEqual(await answer, Uint8Array.of(1));
  conn.close();
  process.kill();
  await process.exited;
});

Deno.test("StubPods answers gRPC calls and health checks over HTTP/2", async () => {
  const { clock, stub, pod, address } = setUp();
  const process = stub.start(pod);
  await clock.advance(0);
  const conn = await denoNetwork.connect(address, never);
  const reader = new ByteReader(conn);
  await writeAll(conn, new TextEncoder().encode(PREFACE));
  await writeAll(conn, frameBytes({ type: FRAME.settings, flags: 0, stream: 0, payload: new Uint8Array() }));
  const settings = await readFrame(reader);
  assert.deepEqual([settings?.type, settings?.flags], [FRAME.settings, 0]);
  assert.deepEqual([(await readFrame(reader))?.flags], [ACK]);
  const call = async (stream: number, payload: Uint8Array) => {
    const head = headerBlock([[":method", "POST"], [":path", "/x/y"]]);
    await writeAll(conn, frameBytes({ type: FRAME.headers, flags: END_HEADERS, stream, payload: head }));
    await writeAll(conn, frameBytes({ type: FRAME.data, flags: END_STREAM, stream, payload }));
    const frames = [await readFrame(reader), await readFrame(reader), await readFrame(reader)];
    assert.deepEqual(frames.map((frame) => frame?.stream), [stream, stream, stream]);
    assert.equal(frames[2]!.flags, END_HEADERS | END_STREAM);
    assert.equal(literalFields(frames[0]!.payload)[SERVED_BY], "buildkitd-0");
    return frames[1]!.payload;
  };
  assert.deepEqual(await call(1, Uint8Array.of(0, 0, 0, 0, 1, 42)), Uint8Array.of(0, 0, 0, 0, 1, 42));
  assert.deepEqual(await call(3, new Uint8Array(5)), Uint8Array.of(0, 0, 0, 0, 2, 8, 1));
  conn.close();
  process.kill();
  await process.exited;
});

Deno.test("StubPods answers a stream of the build history, and does not end it", async () => {
  const { clock, stub, pod, address } = setUp();
  const process = stub.start(pod);
  await clock.advance(0);
  const conn = await denoNetwork.connect(address, never);
  const reader = new ByteReader(conn);
  const head = headerBlock([[":method", "POST"], [":path", LISTEN_BUILD_HISTORY]]);
  await writeAll(conn, OPENING);
  await readFrame(reader);
  await readFrame(reader);
  await writeAll(
    conn,
    bytesOf(
      { type: FRAME.headers, flags: END_HEADERS | END_STREAM, stream: 3, payload: head },
      { type: FRAME.ping, flags: 0, stream: 0, payload: new Uint8Array(8) },
    ),
  );
  const answer = await readFrame(reader);
  assert.deepEqual([answer?.type, answer?.stream, answer?.flags], [FRAME.headers, 3, END_HEADERS]);
  assert.equal((await readFrame(reader))?.type, FRAME.ping, "nothing ends the stream");
  conn.close();
  process.kill();
  await process.exited;
});

Deno.test("StubPods, told to stop, refuses newcomers, finishes a session, and is gone with the last", async () => {
  const { clock, stub, pod, address, sessions } = setUp();
  const process = stub.start(pod);
  await clock.advance(0);
  const conn = await denoNetwork.connect(address, never);
  const reader = new ByteReader(conn);
  await writeAll(conn, Uint8Array.of(1));
  await reader.exactly(1);
  process.stop(30_000);
  await settle();
  await assert.rejects(denoNetwork.connect(address, never), Deno.errors.ConnectionRefused);
  await writeAll(conn, Uint8Array.of(2));
  assert.deepEqual(await reader.exactly(1), Uint8Array.of(2));
  conn.close();
  await process.exited;
  assert.equal(clock.pending, 0);
  assert.deepEqual(sessions.at(-1), "buildkitd-0 closed");
});

Deno.test("StubPods cuts its sessions when the grace is over", async () => {
  const { clock, stub, pod, address, sessions } = setUp();
  const process = stub.start(pod);
  await clock.advance(0);
  const conn = await denoNetwork.connect(address, never);
  const reader = new ByteReader(conn);
  await writeAll(conn, Uint8Array.of(1));
  await reader.exactly(1);
  process.stop(30_000);
  await clock.advance(30_000);
  await process.exited;
  assert.equal(await reader.peek(), false);
  closeQuietly(conn);
  assert.deepEqual(sessions.at(-1), "buildkitd-0 cut");
});

Deno.test("StubPods: a process whose address is taken ends at once", async () => {
  const { stub, pod } = setUp();
  const first = stub.start(pod);
  const second = stub.start(pod);
  await second.exited;
  first.kill();
  await first.exited;
});

Deno.test("StubPods on the machine's clock", async () => {
  const { pod, address } = setUp();
  const stub = new StubPods({ network: denoNetwork, clock: systemClock, warmUpMs: () => 1 });
  const process = stub.start(pod);
  await process.serving;
  closeQuietly(await denoNetwork.connect(address, never));
  process.stop(1000);
  await process.exited;
});
