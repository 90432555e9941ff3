/**
 * Tests of what a client's first bytes say of its protocol.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Ending } from "../../../lib/base/ending.ts";
import type { Conn } from "../../../lib/base/network.ts";
import { type Opening, openingOf, speaksHttp1 } from "../../../lib/proxy/first_bytes.ts";
import { SILENT_MS } from "../../../lib/proxy/introduction.ts";
import { PREFACE } from "../../../lib/target/http2_frames.ts";
import { MemoryConn } from "../../support/memory_network.ts";
import { VirtualClient } from "../../support/virtual_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** What a client has come to, once it has. */
class Stage {
  readonly clock = new VirtualClock();
  readonly cut = new Ending();
  readonly client: VirtualClient;
  #opening: Opening | undefined;

  constructor() {
    const [theirs, ours] = MemoryConn.pair();
    this.client = new VirtualClient(theirs);
    void openingOf(ours, this.clock, this.cut).then((opening) => this.#opening = opening);
  }

  get opening(): Opening | undefined {
    return this.#opening;
  }

  /** Whether it is known. */
  get isKnown(): boolean {
    return this.#opening !== undefined;
  }

  async send(text: string | Uint8Array): Promise<void> {
    await this.client.send(text);
    await this.clock.advance(0);
  }
}

/** What comes next, in pieces of this size. */
async function read(conn: Conn, length: number, piece = 1024): Promise<string> {
  let text = "";
  while (text.length < length) {
    const buffer = new Uint8Array(piece);
    const n = await conn.read(buffer);
    if (n === null) return `${text}<end>`;
    text += new TextDecoder().decode(buffer.subarray(0, n));
  }
  return text;
}

for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"]) {
  Deno.test(`speaksHttp1() knows ${method} by its last letter and the space, at no byte before`, () => {
    const line = bytes(`${method} / HTTP/1.1\r\n`);
    for (let n = 0; n <= method.length; n++) assert.equal(speaksHttp1(line.subarray(0, n)), undefined);
    for (let n = method.length + 1; n <= line.length; n++) {
      assert.equal(speaksHttp1(line.subarray(0, n)), true);
    }
  });
}

Deno.test("speaksHttp1() takes HTTP/2, TLS and anything else for no HTTP/1.1 as soon as possible", () => {
  for (let n = 2; n <= PREFACE.length; n++) assert.equal(speaksHttp1(PREFACE.subarray(0, n)), false);
  assert.equal(speaksHttp1(PREFACE.subarray(0, 1)), undefined, "POST begins like PRI");
  for (const text of ["\x16\x03", "hello", "get / HTTP/1.1", "GETX", "SSH-2.0", "\0", "GET\t"]) {
    assert.equal(speaksHttp1(bytes(text)), false, text);
  }
});

Deno.test("openingOf() knows at the first bytes, and gives all of them back", async () => {
  for (
    const [text, kind] of [["GET / HTTP/1.1\r\n", "http"], ["PRI * HTTP", "session"], [
      "hello",
      "session",
    ]] as const
  ) {
    const stage = new Stage();
    await stage.send(text);
    const { opening, clock } = stage;
    assert.deepEqual([opening?.kind, opening?.silentForMs, clock.pending], [kind, 0, 0]);
    await stage.send(", and more");
    assert.equal(await read(opening!.conn, text.length + 10, 3), `${text}, and more`);
  }
});

Deno.test("openingOf() takes a silent client for one that needs a pod, and loses nothing that it sends later", async () => {
  const stage = new Stage();
  await stage.clock.advance(SILENT_MS - 1);
  assert.equal(stage.isKnown, false);
  await stage.clock.advance(1);
  assert.deepEqual([stage.opening?.kind, stage.opening?.silentForMs], ["session", SILENT_MS]);
  await stage.send("GET / HTTP/1.1\r\n");
  await stage.send("and more");
  assert.equal(await read(stage.opening!.conn, 24), "GET / HTTP/1.1\r\nand more");
  assert.equal(stage.clock.pending, 0);
});

Deno.test("openingOf() takes a request that came while the process stood still for HTTP/1.1", async () => {
  for (const begun of ["", "GE"]) {
    const stage = new Stage();
    await stage.send(begun);
    // The runtime fires timers that are due before it reads what waits in the sockets.
    stage.clock.setTimer(
      begun === "" ? SILENT_MS : 10_000,
      () => void stage.client.send("GET / HTTP/1.1\r\n".slice(begun.length)),
    );
    stage.clock.freeze(20_000);
    await stage.clock.advance(0);
    assert.equal(stage.opening?.kind, "http");
    assert.equal(await read(stage.opening!.conn, 16), "GET / HTTP/1.1\r\n");
    assert.equal(stage.clock.pending, 0);
  }
});

Deno.test("openingOf() waits longer for a method that has begun, but not for HTTP/2", async () => {
  const slow = new Stage();
  for (const letter of "GET") {
    await slow.send(letter);
    await slow.clock.advance(3_000);
    assert.equal(slow.isKnown, false);
  }
  await slow.send(" ");
  assert.equal(slow.opening?.kind, "http");
  assert.equal(await read(slow.opening!.conn, 4), "GET ");

  const late = new Stage();
  await late.send("GE");
  await late.clock.advance(10_000);
  assert.equal(late.opening?.kind, "http", "whoever answers bounds it");
  await late.send("T /");
  assert.equal(await read(late.opening!.conn, 5), "GET /");

  const http2 = new Stage();
  await http2.send("P");
  await http2.clock.advance(SILENT_MS);
  assert.deepEqual([http2.opening?.kind, http2.opening?.silentForMs], ["session", 0]);
  await http2.send("RI * HTTP/2.0");
  assert.equal(await read(http2.opening!.conn, 14), "PRI * HTTP/2.0");
});

Deno.test("openingOf() leaves it to the session that a client has ended or broken, after what it has sent", async () => {
  for (const text of ["", "GE"]) {
    const ended = new Stage();
    await ended.client.send(text);
    await ended.client.end();
    await ended.clock.advance(0);
    assert.equal(ended.opening?.kind, "session");
    assert.equal(await read(ended.opening!.conn, 100), `${text}<end>`);
    assert.equal(ended.clock.pending, 0);
  }
  const broken = new Stage();
  broken.client.break();
  await broken.clock.advance(0);
  assert.equal(broken.opening?.kind, "session");
  await assert.rejects(broken.opening!.conn.read(new Uint8Array(1)));
});

Deno.test("openingOf() ends when all sessions are cut, also of those that come then", async () => {
  const stage = new Stage();
  await stage.send("GE");
  stage.cut.abort(new Error("The drain timeout has passed"));
  await stage.clock.advance(0);
  assert.deepEqual([stage.opening?.kind, stage.clock.pending], ["session", 0]);
  const [, ours] = MemoryConn.pair();
  assert.equal((await openingOf(ours, stage.clock, stage.cut)).kind, "session");
  assert.equal(stage.clock.pending, 0);
});
