/**
 * Tests of the hold on connections in memory: what is kept, how much of it, who leaves, and what is handed on. What an
 * HTTP/2 client hears is in `tests/property/http2_opening_test.ts`.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  FIRST_BYTES,
  Hold,
  HoldBudget,
  SESSION_LIMIT_BYTES,
  TOTAL_LIMIT_BYTES,
} from "../../../lib/proxy/hold.ts";
import { FLAG, FRAME, PREFACE } from "../../../lib/target/http2_frames.ts";
import { concat, MemoryConn, type MemoryOptions, readAll, writeAll } from "../../support/memory_network.ts";
import { settle } from "../../support/virtual_clock.ts";

const MIB = 1024 * 1024;
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function setUp(
  { budget = new HoldBudget(64 * MIB, () => {}), ...options }: MemoryOptions & { budget?: HoldBudget } = {},
) {
  const [client, downstream] = MemoryConn.pair(options);
  const events: string[] = [];
  const hold = new Hold(downstream, budget, {
    bytes: () => events.push("bytes"),
    left: (how) => events.push(how),
    malformed: ({ why }) => events.push(why),
  });
  return { client, downstream, hold, events };
}

Deno.test("Hold keeps what the client sends, in order, and hands it over with the read under way", async () => {
  for (const waits of [false, true]) {
    const { client, hold } = setUp({ writeBytes: () => 3 });
    hold.start();
    await writeAll(client, bytes("one two "));
    await settle();
    if (waits) hold.startParsing();
    await writeAll(client, bytes("three "));
    await settle();
    const { chunks, pending, ended, opening } = hold.handOver();
    assert.equal(text(concat(chunks)), "one two three ");
    assert.equal(ended, false);
    assert.ok(opening.blind, "nothing has to be taken out of what is no HTTP/2");
    await writeAll(client, bytes("four"));
    assert.equal(text((await pending)!), "fou");
  }
});

Deno.test("Hold stops reading at its own limit, and tells the budget what it keeps and gives back", async () => {
  const used: number[] = [];
  const { client, downstream, hold } = setUp({
    budget: new HoldBudget(64 * MIB, (usedBytes) => used.push(usedBytes)),
    capacityBytes: 4 * MIB,
  });
  hold.start();
  hold.startParsing();
  await writeAll(client, new Uint8Array(MIB));
  await settle();
  assert.deepEqual([SESSION_LIMIT_BYTES, TOTAL_LIMIT_BYTES], [128 * 1024, 32 * MIB], "docs/hold.md");
  const most = Math.max(...used);
  assert.equal(most, SESSION_LIMIT_BYTES);
  const { chunks, pending } = hold.handOver();
  assert.equal(concat(chunks).byteLength, most);
  assert.equal(pending, undefined, "no read is under way");
  assert.equal(used.at(-1), 0);
  await client.closeWrite();
  assert.equal((await readAll(downstream)).byteLength, MIB - most, "the rest is still there to be read");
});

Deno.test("Hold stops reading after its first bytes when all holds together keep enough", async () => {
  const budget = new HoldBudget(FIRST_BYTES, () => {});
  const first = setUp({ budget, capacityBytes: MIB });
  const second = setUp({ budget, capacityBytes: MIB });
  for (const { hold, client } of [first, second]) {
    hold.start();
    await writeAll(client, new Uint8Array(200_000));
    await settle();
  }
  assert.equal(budget.leftBytes, -FIRST_BYTES);
  assert.equal(concat(second.hold.handOver().chunks).byteLength, FIRST_BYTES);
  first.hold.end();
  first.hold.end();
  assert.equal(budget.leftBytes, FIRST_BYTES, "everything is given back, once");
});

Deno.test("Hold says at once how the client has left, and says nothing after it is over", async () => {
  const leaving = {
    fin: (client: MemoryConn) => void client.close(),
    reset: (_: MemoryConn, downstream: MemoryConn) => downstream.reset(),
  };
  for (const [how, leave] of Object.entries(leaving)) {
    const held = setUp();
    held.hold.start();
    await writeAll(held.client, bytes("hello"));
    await settle();
    leave(held.client, held.downstream);
    await settle();
    assert.deepEqual(held.events, ["bytes", how]);
    assert.equal(held.hold.left, how);
    assert.ok(held.hold.gone.aborted);

    const over = setUp();
    over.hold.start();
    const { pending } = over.hold.handOver();
    leave(over.client, over.downstream);
    await (how === "fin" ? pending!.then((end) => assert.equal(end, null)) : assert.rejects(pending!));
    assert.deepEqual(over.events, []);
  }
});

Deno.test("Hold hands a FIN on that came while there was a backend to dial already", async () => {
  const { client, hold } = setUp();
  hold.start();
  await writeAll(client, bytes("all of it"));
  await client.closeWrite();
  await settle();
  const { chunks, ended } = hold.handOver();
  assert.equal(text(concat(chunks)), "all of it");
  assert.ok(ended);
});

Deno.test("Hold says nothing to an HTTP/2 client before it has to wait, and then SETTINGS", async () => {
  const { client, downstream, hold } = setUp();
  const settings = Uint8Array.of(0, 0, 0, FRAME.settings, 0, 0, 0, 0, 0);
  const heard: number[] = [];
  const listening = (async () => {
    const buffer = new Uint8Array(100);
    for (let n = await client.read(buffer); n !== null; n = await client.read(buffer)) {
      heard.push(...buffer.subarray(0, n));
    }
  })();
  hold.start();
  await writeAll(client, concat([PREFACE, settings]));
  await settle();
  assert.deepEqual(heard, []);
  hold.startParsing();
  await hold.written;
  await settle();
  assert.equal(heard[3], FRAME.settings);
  assert.equal(heard[4]! & FLAG.ack, 0);
  const { chunks, opening } = hold.handOver();
  assert.deepEqual(concat(chunks), concat([PREFACE, settings]), "the daemon gets what the client has said");
  assert.equal(opening.blind, false, "the client still owes the acknowledgement of those settings");
  const ack = Uint8Array.of(0, 0, 0, FRAME.settings, FLAG.ack, 0, 0, 0, 0);
  assert.deepEqual(opening.take(ack).kept, []);
  assert.ok(opening.blind);
  downstream.close();
  await listening.catch(() => {});
});

Deno.test("Hold forgets what it has kept when it has failed: others have room at once", async () => {
  const budget = new HoldBudget(64 * MIB, () => {});
  const { client, hold } = setUp({ budget });
  hold.start();
  hold.startParsing();
  await writeAll(client, bytes("hello"));
  await settle();
  assert.equal(budget.leftBytes, 64 * MIB - 5);
  hold.refuse({ status: 4, message: "too late" });
  assert.equal(budget.leftBytes, 64 * MIB);
  hold.end();
  assert.equal(budget.leftBytes, 64 * MIB);
});

Deno.test("Hold reads nothing more once it has handed over: the next bytes are the relay's", async () => {
  const { client, downstream, hold, events } = setUp();
  hold.start();
  const { pending } = hold.handOver();
  await writeAll(client, bytes("one"));
  assert.equal(text((await pending)!), "one");
  await settle();
  await writeAll(client, bytes("two"));
  await client.closeWrite();
  await settle();
  assert.equal(text(await readAll(downstream)), "two");
  assert.deepEqual(events, []);
});
