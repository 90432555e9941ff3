/**
 * Tests of the relay on connections in memory: ends, their order, what breaks and who is to blame.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { HandOver } from "../../../lib/proxy/hand_over.ts";
import { zerosTakenOut } from "../../support/hand_over.ts";
import { readAll, writeAll } from "../../support/memory_network.ts";
import { relayed, takesNothing } from "../../support/relayed.ts";
import { settle } from "../../support/virtual_clock.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("Relay carries bytes both ways and counts them", async () => {
  const { client, server, traffic, firsts, running } = relayed();
  await writeAll(client, bytes("question"));
  await client.closeWrite();
  assert.equal(text(await readAll(server)), "question");
  await writeAll(server, bytes("long answer"));
  server.close();
  assert.equal(text(await readAll(client)), "long answer");
  assert.equal(await running, "completed");
  assert.deepEqual(traffic, { upstreamBytes: 8, downstreamBytes: 11 });
  assert.deepEqual(firsts, ["upstream", "downstream"]);
});

Deno.test("Relay passes a FIN on at once, and lets the other direction go on", async () => {
  for (const half of ["client", "server"] as const) {
    const { client, server, ended, running } = relayed();
    const [first, other] = half === "client" ? [client, server] : [server, client];
    await first.closeWrite();
    assert.equal((await readAll(other)).byteLength, 0);
    await settle();
    assert.equal(ended.how, undefined);
    await writeAll(other, bytes("still here"));
    await other.closeWrite();
    assert.equal(text(await readAll(first)), "still here");
    assert.equal(await running, "completed");
  }
});

Deno.test("Relay tells of a side's end at once, also where passing it on takes long, as over TLS", async () => {
  for (const half of ["client", "server"] as const) {
    const parts = relayed();
    const [first, other] = half === "client"
      ? [parts.client, parts.upstream]
      : [parts.server, parts.downstream];
    const passedOn = Promise.withResolvers<void>();
    other.closeWrite = () => passedOn.promise;
    await first.closeWrite();
    await settle();
    assert.equal(parts.halves.count, 1, half);
    passedOn.resolve();
    parts.relay.stop();
    await parts.running;
  }
});

Deno.test("Relay sends what was held before all else, then the read under way, then the rest", async () => {
  const pending = Promise.withResolvers<Uint8Array | null>();
  const { client, server, traffic, running } = relayed({
    chunks: [bytes("one "), bytes("two ")],
    pending: pending.promise,
    ended: false,
  }, { writeBytes: () => 3 });
  await writeAll(client, bytes("four"));
  await client.closeWrite();
  pending.resolve(bytes("three "));
  assert.equal(text(await readAll(server)), "one two three four");
  server.close();
  assert.equal(await running, "completed");
  assert.equal(traffic.upstreamBytes, 18);
});

Deno.test("Relay has the opening take out what was not meant for the server, and then looks no more", async () => {
  const pending = Promise.resolve(Uint8Array.of(1, 0, 2));
  const { client, server, traffic, running } = relayed({ pending, opening: zerosTakenOut(6) });
  for (const byte of [0, 3, 0, 0, 4]) await writeAll(client, Uint8Array.of(byte));
  await client.closeWrite();
  assert.deepEqual([...await readAll(server)], [1, 2, 3, 0, 4]);
  server.close();
  assert.equal(await running, "completed");
  assert.equal(traffic.upstreamBytes, 5);
});

Deno.test("Relay sends the server's bytes only after what the hold had to say", async () => {
  const said = Promise.withResolvers<void>();
  const { client, server, downstream, running } = relayed({ written: said.promise });
  await writeAll(server, bytes("from the server"));
  await server.closeWrite();
  await settle();
  await writeAll(downstream, bytes("from the hold, "));
  said.resolve();
  assert.equal(text(await readAll(client)), "from the hold, from the server");
  await client.closeWrite();
  assert.equal(await running, "completed");
});

Deno.test("Relay passes on a FIN that came during the hold, after what was held", async () => {
  for (
    const first of [{ ended: true, pending: undefined }, { ended: false, pending: Promise.resolve(null) }]
  ) {
    const { client, server, running } = relayed({ chunks: [bytes("last words")], ...first });
    assert.equal(text(await readAll(server)), "last words");
    await writeAll(server, bytes("heard"));
    server.close();
    assert.equal(text(await readAll(client)), "heard");
    assert.equal(await running, "completed");
  }
});

Deno.test("Relay ends both sides when one resets, and says which", async () => {
  for (const side of ["downstream", "upstream"] as const) {
    const parts = relayed();
    await writeAll(parts.client, bytes("hello"));
    await settle();
    parts[side].reset();
    assert.equal(await parts.running, `${side}_reset`);
    const other = side === "downstream" ? parts.server : parts.client;
    await readAll(other);
  }
});

Deno.test("Relay blames the client whose reset ended the read under way since the hold", async () => {
  const pending = Promise.reject(new Deno.errors.ConnectionReset("Connection reset by peer"));
  pending.catch(() => {});
  const { server, running } = relayed({ chunks: [], pending, ended: false });
  assert.equal(await running, "downstream_reset");
  assert.equal((await readAll(server)).byteLength, 0);
});

Deno.test("Relay still delivers what a server had sent before it stopped taking bytes", async () => {
  const { client, server, upstream, running } = relayed();
  await writeAll(server, bytes("refused: too large"));
  // The server reads no more: writes to it break, and what it has sent is there to be read.
  takesNothing(upstream);
  await writeAll(client, bytes("a large body"));
  await server.closeWrite();
  assert.equal(text(await readAll(client)), "refused: too large");
  assert.equal(await running, "upstream_reset");
});

Deno.test("Relay delivers what a server sends after it has stopped taking bytes", async () => {
  const { client, server, upstream, ended, running } = relayed();
  takesNothing(upstream);
  await writeAll(client, bytes("a large body"));
  await settle();
  assert.equal(ended.how, undefined, "the server may have something to say");
  await writeAll(server, bytes("refused: too large"));
  await server.closeWrite();
  assert.equal(text(await readAll(client)), "refused: too large");
  assert.equal(await running, "upstream_reset");
});

Deno.test("Relay delivers what a client sends after it has stopped taking bytes", async () => {
  const { client, server, downstream, ended, running } = relayed();
  takesNothing(downstream);
  await writeAll(server, bytes("an answer that nobody wants"));
  await settle();
  assert.equal(ended.how, undefined, "the client may have something to say");
  await writeAll(client, bytes("last words"));
  await client.closeWrite();
  assert.equal(text(await readAll(server)), "last words");
  assert.equal(await running, "downstream_reset");
});

Deno.test("Relay blames the server when what was held cannot be written to it", async () => {
  const held = { chunks: [bytes("held")], pending: undefined, ended: false };
  const { server, running } = relayed(held, {}, takesNothing);
  await server.closeWrite();
  assert.equal(await running, "upstream_reset");
});

Deno.test("Relay reads no more than it can write on", async () => {
  const { client, traffic, running, server } = relayed({}, { capacityBytes: 1_000 });
  let sent = 0;
  const sending = (async () => {
    for (let i = 0; i < 1_000; i++) sent += await client.write(new Uint8Array(100));
  })();
  await settle();
  // 1,000 wait at the server, 1,000 at the relay, and it holds one read of its own.
  assert.ok(sent <= 3_000, `${sent} bytes were taken`);
  const all = readAll(server);
  await sending;
  await client.closeWrite();
  assert.equal((await all).byteLength, 100_000);
  server.close();
  assert.equal(await running, "completed");
  assert.equal(traffic.upstreamBytes, 100_000);
});

const FIRST: Readonly<Record<string, () => Partial<HandOver>>> = {
  "what was held": () => ({ chunks: [bytes("one"), bytes("two")] }),
  "the hold's last read": () => ({ pending: Promise.resolve(bytes("one")) }),
  "what is looked at still": () => ({ opening: zerosTakenOut(100) }),
};

for (const [what, first] of Object.entries(FIRST)) {
  Deno.test(`Relay sends nothing after a gap, when ${what} could not be written`, async () => {
    const sent: string[] = [];
    const { client, server, running } = relayed(first(), {}, (upstream) => {
      let writes = 0;
      upstream.write = (bytes) => {
        if (writes++ === 0) return Promise.reject(new Deno.errors.BrokenPipe("Broken pipe"));
        sent.push(text(bytes));
        return Promise.resolve(bytes.byteLength);
      };
    });
    await writeAll(client, bytes("three"));
    await settle();
    await writeAll(client, bytes("four"));
    await settle();
    await server.closeWrite();
    assert.equal(await running, "upstream_reset");
    assert.deepEqual(sent, []);
  });
}

Deno.test("Relay tells that the server has left when its FIN comes before the client's end, and only then", async () => {
  const order = {
    "server first": { ends: ["server", "client"], left: 1 },
    "client first": { ends: ["client", "server"], left: 0 },
  } as const;
  for (const { ends, left: want } of Object.values(order)) {
    const parts = relayed();
    for (const end of ends) {
      await parts[end].closeWrite();
      await settle();
    }
    assert.equal(await parts.running, "completed");
    assert.equal(parts.left.count, want, `${ends}`);
  }
  const reset = relayed();
  reset.upstream.reset();
  assert.equal(await reset.running, "upstream_reset");
  assert.equal(reset.left.count, 0, "a reset says so itself");

  const stopped = relayed();
  const reading = Promise.withResolvers<number | null>();
  stopped.upstream.read = () => reading.promise;
  await settle();
  stopped.relay.stop();
  await stopped.running;
  reading.resolve(null);
  await settle();
  assert.equal(stopped.left.count, 0, "nothing is told after the end");
});
