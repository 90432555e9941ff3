/**
 * The whole program: a session whose backend is ready gets nothing of the proxy's own, until a dial has failed.
 *
 * @module
 */
import assert from "node:assert/strict";
import { FRAME, type Frame } from "../../../lib/miniature/stub_http2.ts";
import { bytesOf, call, Http2Client, OPENING, ping, SETTINGS_ACK } from "../../support/http2_client.ts";
import { startProgram } from "../../support/program.ts";
import { DAEMON_SETTINGS, RecordingDaemon } from "../../support/recording_daemon.ts";

const EMPTY_SETTINGS: Frame = { type: FRAME.settings, flags: 0, stream: 0, payload: new Uint8Array() };

Deno.test("hold: every byte of a warm session is as it was, both ways, acknowledgements and malformed frames too", async () => {
  const daemon = new RecordingDaemon();
  await using program = await startProgram({
    cluster: { replicas: 1 },
    serve: daemon.serve,
    before: (world) => daemon.onChange = () => world.changed(),
  });
  await program.settled();
  // Whichever way the proxy learns of the pod: a first session has gone through.
  using first = await program.connect();
  await first.send("first");
  await program.until("a first session", () => daemon.recordings[0]?.bytes.length === 5);
  using client = await Http2Client.connect(program.address);
  await client.send(OPENING);
  assert.deepEqual(await client.next(), DAEMON_SETTINGS, "the first SETTINGS are the daemon's");
  assert.deepEqual(await client.next(), SETTINGS_ACK);
  const tooLarge: Frame = { type: FRAME.data, flags: 0, stream: 0, payload: new Uint8Array(20_000) };
  const sent = bytesOf(OPENING, SETTINGS_ACK, SETTINGS_ACK, ping(1), ...call(2), tooLarge);
  await client.send(sent.subarray(OPENING.length));
  await program.until("all arrives", () => daemon.recordings[1]?.bytes.length === sent.length);
  assert.deepEqual(daemon.recordings[1]!.bytes, sent);
  assert.equal((await client.next())?.type, FRAME.ping);
  const odd: Frame = {
    type: 0xff,
    flags: 0xff,
    stream: 0x7fff_ffff,
    payload: new Uint8Array(40_000).fill(7),
  };
  await daemon.recordings[1]!.send(odd);
  assert.deepEqual(await client.next(), odd);
});

Deno.test("hold: a session whose pod is ready and cannot be connected to is kept patient, and served when it can", async () => {
  const daemon = new RecordingDaemon();
  await using program = await startProgram({
    cluster: { replicas: 1 },
    serve: daemon.serve,
    before: (world) => {
      daemon.onChange = () => world.changed();
      world.pods.listens = false;
    },
  });
  await program.settled();
  using client = await Http2Client.connect(program.address);
  await client.send(OPENING);
  assert.deepEqual(await client.next("SETTINGS after a dial that failed"), EMPTY_SETTINGS);
  await client.send(SETTINGS_ACK, ping(5));
  assert.equal((await client.next())?.type, FRAME.ping);
  assert.ok(program.metrics.value("dial_errors_total") >= 1);
  program.pods.listen();
  assert.deepEqual(await client.next(), DAEMON_SETTINGS);
  await client.send(SETTINGS_ACK);
  const want = bytesOf(OPENING, SETTINGS_ACK);
  await program.until("all arrives", () => (daemon.recordings[0]?.bytes.length ?? 0) >= want.length);
  assert.deepEqual(daemon.recordings[0]!.bytes, want);
});
