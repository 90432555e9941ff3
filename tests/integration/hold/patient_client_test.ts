/**
 * The whole program: a held client that speaks HTTP/2 is kept patient, and the daemon later sees what it would have seen
 * from the client directly.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ACK, FRAME, type Frame, PREFACE } from "../../../lib/miniature/stub_http2.ts";
import {
  bytesOf,
  call,
  framesOf,
  GOODBYE,
  Http2Client,
  OPENING,
  ping,
  resetStream,
  SETTINGS_ACK,
} from "../../support/http2_client.ts";
import { NOT_READY, type Program, startProgram, type WorldOptions } from "../../support/program.ts";
import { DAEMON_SETTINGS, RecordingDaemon } from "../../support/recording_daemon.ts";
import { resettable } from "../../support/tcp_client.ts";

const EMPTY_SETTINGS: Frame = { type: FRAME.settings, flags: 0, stream: 0, payload: new Uint8Array() };

async function start(options: WorldOptions = {}): Promise<{ program: Program; daemon: RecordingDaemon }> {
  const daemon = new RecordingDaemon();
  const program = await startProgram({
    cluster: NOT_READY,
    serve: daemon.serve,
    before: (world) => daemon.onChange = () => world.changed(),
    ...options,
  });
  await program.settled();
  return { program, daemon };
}

/** Resolves when the daemon has received so many bytes on its only connection. */
async function received(program: Program, daemon: RecordingDaemon, bytes: number): Promise<Uint8Array> {
  await program.until(
    `${bytes} bytes at the daemon`,
    () => (daemon.recordings[0]?.bytes.length ?? 0) >= bytes,
  );
  assert.equal(daemon.recordings.length, 1);
  return daemon.recordings[0]!.bytes;
}

/** What the daemon sees of an opening that was held: all but the first acknowledgement, and the pings. */
function lessAnswered(opening: Uint8Array): Uint8Array {
  const frames = framesOf(opening.subarray(PREFACE.length));
  const ack = frames.findIndex(({ type, flags }) => type === FRAME.settings && (flags & ACK) !== 0);
  const kept = frames.filter(({ type, flags }, i) =>
    i !== ack && !(type === FRAME.ping && (flags & ACK) === 0)
  );
  return bytesOf(new TextEncoder().encode(PREFACE), ...kept);
}

Deno.test("hold: a client whose preface comes byte by byte gets SETTINGS with its last one, and nothing else", async () => {
  const { program, daemon } = await start();
  await using _ = program;
  using client = await Http2Client.connect(program.address);
  for (let sent = 0; sent < PREFACE.length; sent++) {
    assert.equal(program.metrics.value("hold_bytes"), sent);
    await client.send(OPENING.subarray(sent, sent + 1));
    await program.until("the byte is kept", () => program.metrics.value("hold_bytes") === sent + 1);
  }
  assert.deepEqual(await client.next(), EMPTY_SETTINGS);
  await client.send(OPENING.subarray(PREFACE.length));
  await program.held(1);
  await program.makeReady();
  assert.deepEqual(await client.next(), DAEMON_SETTINGS, "what comes next is the daemon's own");
  assert.deepEqual(await client.next(), SETTINGS_ACK);
  assert.deepEqual(await received(program, daemon, OPENING.length), OPENING);
});

for (const cuts of [[1], [23], [24], [25], [28, 33], [10, 24, 30, 40, 50], [33, 42, 43]]) {
  Deno.test(`hold: an opening in pieces cut at ${cuts} arrives whole, less the acknowledgement`, async () => {
    const { program, daemon } = await start();
    await using _ = program;
    using client = await Http2Client.connect(program.address);
    const sent = bytesOf(OPENING, SETTINGS_ACK, ...call(1));
    const want = bytesOf(OPENING, ...call(1));
    for (const [i, from] of [0, ...cuts].entries()) {
      await client.send(sent.subarray(from, cuts[i]));
    }
    assert.deepEqual(await client.next(), EMPTY_SETTINGS);
    await program.until("all is kept", () => program.metrics.value("hold_bytes") === want.length);
    await program.makeReady();
    assert.deepEqual(await client.next(), DAEMON_SETTINGS);
    assert.deepEqual(await received(program, daemon, want.length), want);
    await client.send(SETTINGS_ACK);
    const all = bytesOf(want, SETTINGS_ACK);
    assert.deepEqual(
      await received(program, daemon, all.length),
      all,
      "the acknowledgement of the daemon's own",
    );
  });
}

Deno.test("hold: an acknowledgement that comes only after the daemon was connected is taken out, and no other", async () => {
  const { program, daemon } = await start();
  await using _ = program;
  using client = await Http2Client.connect(program.address);
  await client.send(OPENING);
  assert.deepEqual(await client.next(), EMPTY_SETTINGS);
  await program.makeReady();
  assert.deepEqual(await client.next(), DAEMON_SETTINGS);
  await received(program, daemon, OPENING.length);
  // A ping and a call come first; the acknowledgement is cut in two.
  const before = bytesOf(ping(1), ...call(1));
  const [head, tail] = [bytesOf(SETTINGS_ACK).subarray(0, 5), bytesOf(SETTINGS_ACK).subarray(5)];
  await client.send(before, head);
  await received(program, daemon, OPENING.length + before.length);
  await client.send(tail, SETTINGS_ACK, ...call(3));
  const want = bytesOf(OPENING, before, SETTINGS_ACK, ...call(3));
  assert.deepEqual(await received(program, daemon, want.length), want);
  await client.send(SETTINGS_ACK);
  const all = bytesOf(want, SETTINGS_ACK);
  assert.deepEqual(await received(program, daemon, all.length), all);
});

Deno.test("hold: a ping is answered while held and is not forwarded; later ones are the daemon's", async () => {
  const { program, daemon } = await start();
  await using _ = program;
  using client = await Http2Client.connect(program.address);
  await client.send(OPENING, SETTINGS_ACK, ping(7), ping(8), ping(9, ACK));
  assert.deepEqual(await client.next(), EMPTY_SETTINGS);
  assert.deepEqual(await client.next(), ping(7, ACK));
  assert.deepEqual(await client.next(), ping(8, ACK));
  await program.makeReady();
  assert.deepEqual(await client.next(), DAEMON_SETTINGS);
  assert.deepEqual(await client.next(), SETTINGS_ACK);
  const want = bytesOf(OPENING, ping(9, ACK));
  assert.deepEqual(await received(program, daemon, want.length), want);
  await client.send(ping(10));
  assert.deepEqual(await client.next(), ping(10, ACK));
  const all = bytesOf(want, ping(10));
  assert.deepEqual(await received(program, daemon, all.length), all, "the daemon has answered it");
});

const OPENINGS = new URL("../../property/openings/", import.meta.url);
for (const { name } of [...Deno.readDirSync(OPENINGS)].filter(({ name }) => name.endsWith(".bin"))) {
  Deno.test(`hold: what the daemon sees of ${name} is what the client said, less the acknowledgement`, async () => {
    const { program, daemon } = await start();
    await using _ = program;
    const opening = Deno.readFileSync(new URL(name, OPENINGS));
    const want = lessAnswered(opening);
    using client = await Http2Client.connect(program.address);
    await client.send(opening);
    assert.deepEqual(await client.next(), EMPTY_SETTINGS);
    await program.until("all is kept", () => program.metrics.value("hold_bytes") === want.length);
    // One of them only hands over traces, and wakes no pod itself.
    program.cluster.scale(1);
    await program.makeReady();
    await received(program, daemon, want.length);
    client.close();
    await program.until("the end at the daemon", () => daemon.recordings[0]!.ended);
    assert.deepEqual(daemon.recordings[0]!.bytes, want);
  });
}

Deno.test("hold: a scripted client is seen by the daemon as it is seen without the proxy", async () => {
  const { program, daemon } = await start();
  await using _ = program;
  /** Speaks as grpc-go does: it calls once it has SETTINGS, and acknowledges each that it gets. */
  const speak = async (client: Http2Client, meanwhile: () => Promise<void>): Promise<readonly Frame[]> => {
    await client.send(OPENING);
    const first = await client.next();
    assert.equal(first?.type, FRAME.settings);
    const windowUpdate: Frame = { type: 8, flags: 0, stream: 0, payload: Uint8Array.of(0, 1, 0, 0) };
    await client.send(SETTINGS_ACK, windowUpdate, ...call(1), ...call(3), resetStream(3), ...call(5));
    await meanwhile();
    const heard = [first];
    while (heard.filter(({ type, flags }) => type === FRAME.settings && (flags & ACK) !== 0).length === 0) {
      const frame = await client.next();
      assert.ok(frame !== null);
      if (frame.type === FRAME.settings && (frame.flags & ACK) === 0) await client.send(SETTINGS_ACK);
      heard.push(frame);
    }
    await client.send(ping(3));
    assert.deepEqual(await client.next(), ping(3, ACK));
    return heard;
  };
  using held = await Http2Client.connect(program.address);
  const heardHeld = await speak(held, () => program.makeReady());
  using direct = await Http2Client.connect(program.pods.started[0]!.address);
  const heardDirect = await speak(direct, () => Promise.resolve());
  const [seenHeld, seenDirect] = daemon.recordings.map(({ frames }) => frames) as [Frame[], Frame[]];
  const isAck = ({ type, flags }: Frame) => type === FRAME.settings && (flags & ACK) !== 0;
  // When the acknowledgement comes depends on when the daemon's SETTINGS do.
  assert.deepEqual(seenHeld.filter((frame) => !isAck(frame)), seenDirect.filter((frame) => !isAck(frame)));
  assert.equal(seenHeld.filter(isAck).length, 1);
  assert.equal(seenDirect.filter(isAck).length, 1);
  assert.deepEqual(heardHeld, [EMPTY_SETTINGS, ...heardDirect], "the client hears one SETTINGS frame more");
});

Deno.test("hold: a client that sends GOAWAY and closes ends its session at once", async () => {
  const { program } = await start();
  await using _ = program;
  using client = await Http2Client.connect(program.address);
  await client.send(OPENING);
  assert.deepEqual(await client.next(), EMPTY_SETTINGS);
  await client.send(SETTINGS_ACK, ...call(1), resetStream(1), GOODBYE);
  await client.end();
  await client.closed();
  const { outcome, reason } = await program.logged("session_ended");
  assert.equal(outcome, "client_left");
  assert.equal(reason, "The client sent GOAWAY while it waited for buildkitd");
  await program.held(0);
  assert.equal(program.metrics.value("hold_bytes"), 0);
});

Deno.test("hold: a client that resets its connection after SETTINGS is gone at once", async () => {
  const { program } = await start();
  await using _ = program;
  const client = await resettable(program.address);
  await client.send(new TextDecoder("latin1").decode(OPENING));
  await program.until("the opening is kept", () => program.metrics.value("hold_bytes") === OPENING.length);
  await client.reset();
  const { outcome } = await program.logged("session_ended");
  assert.equal(outcome, "client_left");
  await program.held(0);
});

Deno.test("hold: clients that give up one after another cause no delay and do not count as held", async () => {
  const { program } = await start();
  await using _ = program;
  using patient = await Http2Client.connect(program.address);
  await patient.send(OPENING);
  assert.deepEqual(await patient.next(), EMPTY_SETTINGS);
  for (let i = 1; i <= 10; i++) {
    using client = await Http2Client.connect(program.address);
    await client.send(OPENING);
    assert.deepEqual(await client.next(), EMPTY_SETTINGS);
    assert.equal(program.metrics.value("sessions_held"), 2);
    await client.send(SETTINGS_ACK, ...call(1), resetStream(1), GOODBYE);
    client.close();
    await program.held(1);
    await program.logged("session_ended", i);
  }
  await program.makeReady();
  assert.deepEqual(await patient.next(), DAEMON_SETTINGS);
});
