/**
 * Tests of how the relay notices an end while a write waits, and of how it is stopped.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { HandOver } from "../../../lib/proxy/hand_over.ts";
import { within } from "../../support/deadline.ts";
import { writeAll } from "../../support/memory_network.ts";
import { relayed, standsStill, takesNothing } from "../../support/relayed.ts";
import { settle } from "../../support/virtual_clock.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("relay() ends when it is told to, although closing a connection does not end a write", async () => {
  const stop = new AbortController();
  const { client, server, upstream, downstream, traffic, ended, running } = relayed(
    {},
    {},
    standsStill,
    stop.signal,
  );
  standsStill(downstream);
  await writeAll(client, bytes("question"));
  await writeAll(server, bytes("answer"));
  await settle();
  assert.equal(ended.how, undefined);
  stop.abort();
  await within(running, "the end of the relay");
  assert.ok(upstream.closed && downstream.closed);
  assert.deepEqual(traffic, { upstreamBytes: 0, downstreamBytes: 0 });
});

Deno.test("relay() neither counts nor tells what ends after it was told to end", async () => {
  const stop = new AbortController();
  const late = Promise.withResolvers<number>();
  const { client, traffic, firsts, running } = relayed(
    {},
    {},
    (upstream) => upstream.write = () => late.promise,
    stop.signal,
  );
  await writeAll(client, bytes("question"));
  await settle();
  stop.abort();
  await within(running, "the end of the relay");
  late.resolve(8);
  await settle();
  assert.deepEqual(traffic, { upstreamBytes: 0, downstreamBytes: 0 });
  assert.deepEqual(firsts, []);
});

Deno.test("relay() ends at once when it was told to before it began", async () => {
  const { running } = relayed({}, {}, standsStill, AbortSignal.abort());
  await within(running, "the end of the relay");
});

/** The relay takes it out. */
const held = () => ({ chunks: [bytes("held")] });

const ENDS: Readonly<
  Record<
    string,
    { first: () => Partial<HandOver>; end?: (parts: ReturnType<typeof relayed>) => Promise<void> }
  >
> = {
  "the server has sent a FIN": { first: held, end: ({ server }) => server.closeWrite() },
  "the client takes no more bytes": {
    first: held,
    end: ({ server, downstream }) => {
      takesNothing(downstream);
      return writeAll(server, bytes("answer"));
    },
  },
  "the client has sent a FIN during the hold": { first: () => ({ ...held(), ended: true }) },
  "the hold's last read is a FIN": { first: () => ({ ...held(), pending: Promise.resolve(null) }) },
  "the hold's last read is a reset": {
    first: () => {
      const pending = Promise.reject(new Deno.errors.ConnectionReset("Connection reset by peer"));
      pending.catch(() => {});
      return { ...held(), pending };
    },
  },
};

for (const [what, { first, end }] of Object.entries(ENDS)) {
  Deno.test(`relay() says once that one side has ended while a write to the server waits: ${what}`, async () => {
    const stop = new AbortController();
    const parts = relayed(first(), {}, standsStill, stop.signal);
    if (end !== undefined) {
      await settle();
      assert.equal(parts.halves.count, 0);
      await end(parts);
    }
    await settle();
    assert.equal(parts.halves.count, 1);
    assert.equal(parts.ended.how, undefined);
    stop.abort();
    await within(parts.running, "the end of the relay");
    await settle();
    assert.equal(parts.halves.count, 1);
  });
}

Deno.test("relay() says that the client has sent a FIN while a write to it waits", async () => {
  const stop = new AbortController();
  const { client, server, downstream, halves, running } = relayed({}, {}, () => {}, stop.signal);
  standsStill(downstream);
  await writeAll(server, bytes("answer"));
  await settle();
  assert.equal(halves.count, 0);
  await client.closeWrite();
  await settle();
  assert.equal(halves.count, 1);
  stop.abort();
  await within(running, "the end of the relay");
});
