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

Deno.test("Relay ends when it is told to, although closing a connection does not end a write", async () => {
  const { client, server, upstream, downstream, traffic, ended, relay, running } = relayed(
    {},
    {},
    standsStill,
  );
  standsStill(downstream);
  await writeAll(client, bytes("question"));
  await writeAll(server, bytes("answer"));
  await settle();
  assert.equal(ended.how, undefined);
  relay.stop();
  await within(running, "the end of the relay");
  assert.ok(upstream.closed && downstream.closed);
  assert.deepEqual(traffic, { upstreamBytes: 0, downstreamBytes: 0 });
});

Deno.test("Relay neither counts nor tells what ends after it was told to end", async () => {
  const late = Promise.withResolvers<number>();
  const { client, traffic, firsts, relay, running } = relayed(
    {},
    {},
    (upstream) => upstream.write = () => late.promise,
  );
  await writeAll(client, bytes("question"));
  await settle();
  relay.stop();
  await within(running, "the end of the relay");
  late.resolve(8);
  await settle();
  assert.deepEqual(traffic, { upstreamBytes: 0, downstreamBytes: 0 });
  assert.deepEqual(firsts, []);
});

Deno.test("Relay ends at once when it was told to before it began", async () => {
  const { running } = relayed({}, {}, standsStill, (relay) => relay.stop());
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
  Deno.test(`Relay says once that one side has ended while a write to the server waits: ${what}`, async () => {
    const parts = relayed(first(), {}, standsStill);
    if (end !== undefined) {
      await settle();
      assert.equal(parts.halves.count, 0);
      await end(parts);
    }
    await settle();
    assert.equal(parts.halves.count, 1);
    assert.equal(parts.ended.how, undefined);
    parts.relay.stop();
    await within(parts.running, "the end of the relay");
    await settle();
    assert.equal(parts.halves.count, 1);
  });
}

Deno.test("Relay says that the client has sent a FIN while a write to it waits", async () => {
  const { client, server, downstream, halves, relay, running } = relayed();
  standsStill(downstream);
  await writeAll(server, bytes("answer"));
  await settle();
  assert.equal(halves.count, 0);
  await client.closeWrite();
  await settle();
  assert.equal(halves.count, 1);
  relay.stop();
  await within(running, "the end of the relay");
});
