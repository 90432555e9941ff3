/**
 * The whole program: a client that does not speak plaintext HTTP/2 is held without a word, and its bytes stay as they are.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fastClock } from "../../support/fast_clock.ts";
import { NOT_READY, startProgram } from "../../support/program.ts";
import { RecordingDaemon } from "../../support/recording_daemon.ts";
import { pattern } from "../../support/tcp_client.ts";
import { bytesOf } from "../../support/http2_client.ts";

/** A TLS record of a handshake: type 0x16, version 3.1, length. */
const CLIENT_HELLO = bytesOf(Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00), pattern(512));

/** Begins as HTTP/2's preface does, and turns out to be something else. */
const ALMOST = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX and more");

for (const [what, bytes] of [["TLS", CLIENT_HELLO], ["almost a preface", ALMOST]] as const) {
  Deno.test(`hold: ${what} is answered with nothing and arrives untouched`, async () => {
    const daemon = new RecordingDaemon();
    await using program = await startProgram({
      cluster: NOT_READY,
      serve: daemon.serve,
      before: (world) => daemon.onChange = () => world.changed(),
    });
    await program.settled();
    using client = await program.connect();
    for (const byte of bytes.subarray(0, 30)) await client.send(Uint8Array.of(byte));
    await client.send(bytes.subarray(30));
    await program.until("all is kept", () => program.metrics.value("hold_bytes") === bytes.length);
    await program.makeReady();
    await program.until("all arrives", () => daemon.recordings[0]?.bytes.length === bytes.length);
    assert.deepEqual(daemon.recordings[0]!.bytes, bytes);
    await daemon.recordings[0]!.send({ type: 0xaa, flags: 0xbb, stream: 1, payload: Uint8Array.of(1, 2, 3) });
    const first = await client.receive(12);
    assert.deepEqual(
      first,
      Uint8Array.of(0, 0, 3, 0xaa, 0xbb, 0, 0, 0, 1, 1, 2, 3),
      "the first that it hears is the daemon's",
    );
  });

  Deno.test(`hold: the log says that ${what} keeps its client's own limit when the time is up`, async () => {
    await using program = await startProgram({
      cluster: NOT_READY,
      settings: { readyWaitTimeoutMs: "250ms" },
    });
    await program.settled();
    using client = await program.connect();
    await client.send(bytes);
    assert.equal((await client.rest()).bytes, 0, "nothing can be said to it");
    const { outcome, reason } = await program.logged("session_ended");
    assert.equal(outcome, "timed_out");
    assert.match(
      String(reason),
      /; it does not speak plaintext HTTP\/2 \(with TLS .*its own limit for a new connection applies, which is 20s/,
    );
  });
}

Deno.test("hold: the log of a TLS client that gives up after as long as gRPC waits says that its own limit holds", async () => {
  const clock = fastClock(100);
  await using program = await startProgram({
    cluster: NOT_READY,
    clock,
    settings: { readyWaitTimeoutMs: "24h" },
  });
  await program.settled();
  using client = await program.connect();
  await client.send(CLIENT_HELLO);
  await program.until("all is kept", () => program.metrics.value("hold_bytes") === CLIENT_HELLO.length);
  const sinceMs = clock.nowMs();
  await program.until("a gRPC client's patience to be over", () => clock.nowMs() - sinceMs >= 20_000);
  client.close();
  const { outcome, reason } = await program.logged("session_ended");
  assert.equal(outcome, "client_left");
  assert.match(String(reason), /closed its connection .*its own limit for a new connection applies/);
});
