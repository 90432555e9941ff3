/**
 * The program as a process beside an API server that answers without end, and beside forged records: memory is bounded, and
 * clients are served.
 *
 * @module
 */
import assert from "node:assert/strict";
import { closeQuietly, writeAll } from "../../../lib/miniature/bytes.ts";
import { forgeRecords } from "../../bench/hostile/records.ts";
import { ChildProgram } from "../../support/child_program.ts";
import { pause } from "../../support/deadline.ts";
import { World } from "../../support/program.ts";
import { TcpClient } from "../../support/tcp_client.ts";

const MEMORY_BAR_BYTES = 128e6;
const encoder = new TextEncoder();

/** An API server whose lists and watches go on for ever. Counts those that the client has ended. */
class EndlessApi implements Disposable {
  ended = 0;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #conns: Deno.TcpConn[] = [];
  readonly #first: Uint8Array;
  readonly #more: Uint8Array;

  /** Sends `first`, and `more` again and again. */
  constructor(first: string, more: string) {
    const head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
    this.#first = encoder.encode(head + first);
    this.#more = encoder.encode(more);
    this.#accept().catch(() => {});
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#listener.addr.port}`;
  }

  async #accept(): Promise<void> {
    for await (const conn of this.#listener) {
      this.#conns.push(conn);
      this.#answer(conn).catch(() => this.ended++);
    }
  }

  async #answer(conn: Deno.TcpConn): Promise<void> {
    await conn.read(new Uint8Array(8_192));
    await writeAll(conn, this.#first);
    for (;;) await writeAll(conn, this.#more);
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const conn of this.#conns) closeQuietly(conn);
  }
}

for (
  const [what, first, more] of [
    ["lists of empty objects", '{"metadata":{"resourceVersion":"1"},"items":[{}', ",{}".repeat(20_000)],
    ["a text without end", '"', "x".repeat(60_000)],
  ] as const
) {
  Deno.test(`process: an API server that answers with ${what} costs less than 128 MB`, async () => {
    await using world = new World();
    using api = new EndlessApi(first, more);
    await using program = await ChildProgram.start(world, {
      token: "token",
      cluster: { server: api.origin },
    });
    const beforeBytes = await program.metric("process_resident_memory_bytes");
    let mostBytes = 0;
    while (api.ended < 15) {
      mostBytes = Math.max(mostBytes, await program.metric("process_resident_memory_bytes"));
      await pause(50);
    }
    assert.ok(
      mostBytes - beforeBytes < MEMORY_BAR_BYTES,
      `memory has grown by ${mostBytes - beforeBytes} bytes`,
    );
  });
}

Deno.test("process: 1,000 forged records that change all the time cost less than 128 MB, and are told of once", async () => {
  await using world = new World({ cluster: { replicas: 1 } });
  await using program = await ChildProgram.start(world, { token: "token" });
  await program.logged("ready");
  const beforeBytes = await program.metric("process_resident_memory_bytes");
  const over = new AbortController();
  const forging = forgeRecords(world.cluster, 300, over.signal);
  try {
    const { api: { registry } } = world.cluster;
    let changes = 0;
    registry.store.subscribe(() => changes++);
    await program.logged("records_not_read");
    changes = 0;
    while (changes < 200) await pause(50);
    using client = await TcpClient.connect(program.address);
    assert.equal(await client.echo("hello"), "hello");
    const grownBytes = await program.metric("process_resident_memory_bytes") - beforeBytes;
    assert.ok(grownBytes < MEMORY_BAR_BYTES, `memory has grown by ${grownBytes} bytes`);
    assert.equal(program.of("records_not_read").length, 1);
  } finally {
    over.abort();
    await forging;
  }
});
