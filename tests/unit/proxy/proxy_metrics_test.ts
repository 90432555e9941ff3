/**
 * Tests of what the proxy shows of its sessions.
 *
 * @module
 */
import assert from "node:assert/strict";
import { MemoryConn } from "../../support/memory_network.ts";
import { setUp } from "../../support/scripted_proxy.ts";
import { VirtualClient } from "../../support/virtual_client.ts";

Deno.test("Proxy counts each byte once, while sessions run and after they have ended, however often it is asked", async () => {
  const daemons: VirtualClient[] = [];
  const { clock, listener, metrics, proxy, running } = setUp({
    dial: () => {
      const [ours, theirs] = MemoryConn.pair();
      daemons.push(new VirtualClient(theirs));
      return ours;
    },
  });
  const clients: VirtualClient[] = [];
  const counted = () => {
    proxy.countBytes();
    return (["upstream", "downstream"] as const).map((direction) =>
      metrics.value("bytes_total", { direction })
    );
  };
  assert.deepEqual(counted(), [0, 0]);
  for (let i = 0; i < 2; i++) {
    clients.push(new VirtualClient(listener.connect()));
    await clock.advance(0);
    await clients[i]!.send("question");
    await clock.advance(0);
    await daemons[i]!.send("long answer");
    await clock.advance(0);
  }
  assert.deepEqual(counted(), [16, 22]);
  assert.deepEqual(counted(), [16, 22], "nothing is counted twice");
  await clients[0]!.send("more");
  await clock.advance(0);
  assert.deepEqual(counted(), [20, 22]);
  await daemons[0]!.send("and more");
  await clock.advance(0);
  const end = async (i: number) => {
    await clients[i]!.end();
    await clock.advance(0);
    await daemons[i]!.end();
    await clock.advance(0);
  };
  await end(0);
  assert.equal(proxy.open, 1);
  assert.deepEqual(counted(), [20, 30], "also what came between the last look and the end");
  assert.deepEqual(counted(), [20, 30]);
  await end(1);
  assert.deepEqual(counted(), [20, 30]);
  proxy.stopAccepting();
  await running;
});

Deno.test("Proxy shows how many sessions are open and held, and what they keep", async () => {
  const { clock, listener, metrics, proxy, running } = setUp();
  const clients = [listener.connect()];
  await clock.advance(0);
  clients.push(listener.connect());
  await clock.advance(0);
  await clients[0]!.write(new Uint8Array(5));
  await clock.advance(0);
  const shown = () =>
    (["sessions_open", "sessions_held", "hold_bytes"] as const).map((name) => metrics.value(name));
  assert.deepEqual(shown(), [2, 2, 5]);
  clients[0]!.close();
  await clock.advance(0);
  assert.deepEqual(shown(), [1, 1, 0]);
  assert.equal(proxy.held, 1);
  clients[1]!.close();
  await clock.advance(0);
  assert.deepEqual(shown(), [0, 0, 0]);
  proxy.stopAccepting();
  await running;
});
