/**
 * The program as a process while as many clients as may wait send all that is taken of them: new clients are still heard,
 * and memory is bounded.
 *
 * @module
 */
import assert from "node:assert/strict";
import { concat } from "../../../lib/base/bytes.ts";
import { TOTAL_LIMIT_BYTES } from "../../../lib/proxy/hold.ts";
import { FRAME, frame } from "../../../lib/target/http2_frames.ts";
import { ChildProgram } from "../../support/child_program.ts";
import { pause } from "../../support/deadline.ts";
import { call, Http2Client, OPENING } from "../../support/http2_client.ts";
import { NOT_READY, World } from "../../support/program.ts";
import { TcpClient } from "../../support/tcp_client.ts";

/** One less than may wait. */
const GREEDY = 999;

const MEMORY_BAR_BYTES = 128e6;

Deno.test("process: a new client gets SETTINGS while 999 others fill their holds, in 128 MB", async () => {
  await using world = new World({ cluster: NOT_READY });
  await using program = await ChildProgram.start(world, { token: "token" });
  await program.logged("ready");
  const beforeBytes = await program.metric("process_resident_memory_bytes");
  const filling = concat([OPENING, ...Array(16).fill(frame(FRAME.data, 0, 1, new Uint8Array(16_384)))]);
  const clients: TcpClient[] = [];
  const sending: Promise<void>[] = [];
  try {
    while (clients.length < GREEDY) {
      const client = await TcpClient.connect(program.address);
      clients.push(client);
      sending.push(client.send(filling).catch(() => {}));
    }
    while (await program.metric("buildkitd_autoscaler_hold_bytes") < 0.8 * TOTAL_LIMIT_BYTES) await pause(50);
    using honest = await Http2Client.connect(program.address);
    await honest.send(OPENING, ...call(1));
    assert.equal((await honest.next("SETTINGS"))?.type, FRAME.settings);
    const grownBytes = await program.metric("process_resident_memory_bytes") - beforeBytes;
    assert.ok(grownBytes < MEMORY_BAR_BYTES, `memory has grown by ${grownBytes} bytes`);
  } finally {
    for (const client of clients) client.close();
    await Promise.all(sending);
  }
});
