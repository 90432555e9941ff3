/**
 * The whole program: how much a held HTTP/2 client may send, and what ends it at once.
 *
 * @module
 */
import assert from "node:assert/strict";
import { FRAME, type Frame } from "../../../lib/miniature/stub_http2.ts";
import { SESSION_LIMIT_BYTES } from "../../../lib/proxy/hold.ts";
import { bytesOf, call, Http2Client, OPENING, ping, SETTINGS_ACK } from "../../support/http2_client.ts";
import { NOT_READY, startProgram } from "../../support/program.ts";
import { RecordingDaemon } from "../../support/recording_daemon.ts";
import { pattern } from "../../support/tcp_client.ts";

function data(stream: number, payload: Uint8Array): Frame {
  return { type: FRAME.data, flags: 0, stream, payload };
}

/** A message in frames of the largest size that is allowed. */
function message(stream: number, bytes: Uint8Array): readonly Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; at += 16_384) frames.push(data(stream, bytes.slice(at, at + 16_384)));
  return frames;
}

// 65,535 bytes are what a client may send before its peer says more; a client that sends more breaks its promise, but
// no frame of its own, and the daemon may judge.
for (const sizeBytes of [65_535, 65_536, 100_000, SESSION_LIMIT_BYTES, 1024 * 1024]) {
  Deno.test(`hold: of ${sizeBytes} bytes in a call no more than the bound is kept, and all arrive in order`, async () => {
    const daemon = new RecordingDaemon();
    await using program = await startProgram({
      cluster: NOT_READY,
      serve: daemon.serve,
      before: (world) => daemon.onChange = () => world.changed(),
    });
    await program.settled();
    using client = await Http2Client.connect(program.address);
    await client.send(OPENING);
    assert.equal((await client.next())?.type, FRAME.settings);
    const [headers] = call(1);
    const frames = [headers!, ...message(1, pattern(sizeBytes))];
    const want = bytesOf(OPENING, ...frames);

    const sending = client.send(SETTINGS_ACK, ...frames);
    let most = 0;
    await program.until("as much is kept as may be", () => {
      most = Math.max(most, program.metrics.value("hold_bytes"));
      return most >= Math.min(want.length, SESSION_LIMIT_BYTES - 8 * 1024);
    });
    assert.ok(most <= SESSION_LIMIT_BYTES, `${most} bytes were kept`);
    await program.makeReady();
    await program.until("all arrives", () => (daemon.recordings[0]?.bytes.length ?? 0) >= want.length);
    await sending;
    assert.deepEqual(daemon.recordings[0]!.bytes, want);
    assert.equal(program.metrics.value("hold_bytes"), 0);
  });
}

const PROTOCOL_ERROR = 1;
const FRAME_SIZE_ERROR = 6;
const ENHANCE_YOUR_CALM = 11;
const PREFACE_ONLY = OPENING.subarray(0, 24);

/** A frame header without its payload: the fault stands in the header, and nothing more is waited for. */
function header(lengthBytes: number, type: number, flags: number, stream: number): Uint8Array {
  const bytes = new Uint8Array(9);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, lengthBytes << 8 | type);
  bytes[4] = flags;
  view.setUint32(5, stream);
  return bytes;
}

const MALFORMED: readonly (readonly [what: string, bytes: Uint8Array, code: number, why: RegExp])[] = [
  [
    "a first frame that is no SETTINGS",
    bytesOf(PREFACE_ONLY, ping(1)),
    PROTOCOL_ERROR,
    /first frame has type 6/,
  ],
  [
    "a first frame that is an acknowledgement",
    bytesOf(PREFACE_ONLY, SETTINGS_ACK),
    PROTOCOL_ERROR,
    /first frame/,
  ],
  [
    "a frame of 16,385 bytes",
    bytesOf(OPENING, header(16_385, FRAME.data, 0, 1)),
    FRAME_SIZE_ERROR,
    /16385 bytes/,
  ],
  [
    "SETTINGS on a stream",
    bytesOf(OPENING, header(0, FRAME.settings, 0, 1)),
    PROTOCOL_ERROR,
    /SETTINGS on stream 1/,
  ],
  [
    "SETTINGS of 5 bytes",
    bytesOf(OPENING, header(5, FRAME.settings, 0, 0)),
    FRAME_SIZE_ERROR,
    /SETTINGS of 5 bytes/,
  ],
  [
    "an acknowledgement with content",
    bytesOf(OPENING, header(6, FRAME.settings, 1, 0)),
    FRAME_SIZE_ERROR,
    /6 bytes/,
  ],
  ["a ping of 7 bytes", bytesOf(OPENING, header(7, FRAME.ping, 0, 0)), FRAME_SIZE_ERROR, /PING of 7 bytes/],
  ["a ping on a stream", bytesOf(OPENING, header(8, FRAME.ping, 0, 3)), PROTOCOL_ERROR, /PING on stream 3/],
  [
    "GOAWAY on a stream",
    bytesOf(OPENING, header(8, FRAME.goAway, 0, 1)),
    PROTOCOL_ERROR,
    /GOAWAY on stream 1/,
  ],
  [
    "HEADERS on an even stream",
    bytesOf(OPENING, header(1, FRAME.headers, 4, 2)),
    PROTOCOL_ERROR,
    /HEADERS on stream 2/,
  ],
  ["DATA on stream 0", bytesOf(OPENING, header(1, FRAME.data, 0, 0)), PROTOCOL_ERROR, /DATA on stream 0/],
  [
    "one open call too many",
    bytesOf(OPENING, ...Array.from({ length: 1_001 }, (_, i) => header(0, FRAME.headers, 4, 2 * i + 1))),
    ENHANCE_YOUR_CALM,
    /more than 1000 open calls/,
  ],
  ["RST_STREAM of 5 bytes", bytesOf(OPENING, header(5, FRAME.rstStream, 0, 1)), FRAME_SIZE_ERROR, /5 bytes/],
];

for (const [what, bytes, code, why] of MALFORMED) {
  Deno.test(`hold: ${what} ends the connection with GOAWAY and a warning, and harms nobody else`, async () => {
    await using program = await startProgram({ cluster: NOT_READY });
    await program.settled();
    using other = await program.connect();
    await other.send("other");
    using client = await Http2Client.connect(program.address);
    await client.send(bytes);
    assert.equal((await client.next())?.type, FRAME.settings);
    const goAway = await client.next();
    assert.equal(goAway?.type, FRAME.goAway);
    assert.equal(goAway.stream, 0);
    assert.equal(new DataView(goAway.payload.buffer, goAway.payload.byteOffset).getUint32(4), code);
    await client.closed();
    await program.logged("session_ended");
    const [{ level, fields }] = program.log.of("session_ended") as [
      ReturnType<typeof program.log.of>[number],
    ];
    assert.equal(level, "warn");
    assert.equal(fields["outcome"], "protocol_error");
    assert.match(String(fields["reason"]), /^The client breaks the HTTP\/2 protocol: /);
    assert.match(String(fields["reason"]), why);
    await program.held(1);
    await program.makeReady();
    assert.equal(new TextDecoder().decode(await other.receive(5)), "other");
  });
}
