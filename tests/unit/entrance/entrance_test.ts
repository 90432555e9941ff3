/**
 * The entrance as a listener: what its accepts come to, without sockets.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Conn, Listener } from "../../../lib/base/network.ts";
import { Arrivals } from "../../../lib/entrance/arrivals.ts";
import { Entrance } from "../../../lib/entrance/entrance.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { MemoryConn } from "../../support/memory_network.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";

/** An entrance over a listener in the test's hand; handshakes end when the test says so. */
function stage() {
  const accepts: PromiseWithResolvers<Conn>[] = [];
  const handshakes: PromiseWithResolvers<void>[] = [];
  const listener: Listener = {
    addr: { hostname: "192.0.2.1", port: 443 },
    accept: () => {
      const accept = Promise.withResolvers<Conn>();
      accepts.push(accept);
      return accept.promise;
    },
    close: () => accepts.at(-1)?.reject(new Deno.errors.BadResource("Bad resource ID")),
  };
  const secure = async (tcp: Conn, signal: AbortSignal) => {
    const handshake = Promise.withResolvers<void>();
    handshakes.push(handshake);
    signal.addEventListener("abort", () => handshake.reject(signal.reason));
    await handshake.promise;
    return tcp;
  };
  const log = recordingLog();
  const arrivals = new Arrivals(new VirtualClock());
  const ports = { log, metrics: countedMetrics(() => {}), arrivals };
  return { entrance: new Entrance(listener, { proxiesFrom: [], secure }, ports), accepts, handshakes, log };
}

Deno.test("Entrance.accept() gives connections in the order in which they are ready, not in that of their arrival", async () => {
  const { entrance, accepts, handshakes } = stage();
  const [slow] = MemoryConn.pair();
  const [quick] = MemoryConn.pair();
  const first = entrance.accept();
  accepts[0]!.resolve(slow);
  await settle();
  accepts[1]!.resolve(quick);
  await settle();
  handshakes[1]!.resolve();
  assert.equal(await first, quick);
  handshakes[0]!.resolve();
  assert.equal(await entrance.accept(), slow);
  entrance.close();
  await settle();
});

Deno.test("Entrance.accept() rejects as the listener does, and goes on when it is called again", async () => {
  const { entrance, accepts, handshakes } = stage();
  const failing = assert.rejects(entrance.accept(), /EMFILE/);
  accepts[0]!.reject(new Error("EMFILE"));
  await failing;
  await settle();
  assert.equal(accepts.length, 1, "it pauses until the next call");
  const next = entrance.accept();
  const [conn] = MemoryConn.pair();
  accepts[1]!.resolve(conn);
  await settle();
  handshakes[0]!.resolve();
  assert.equal(await next, conn);
  const ended = assert.rejects(entrance.accept(), Deno.errors.BadResource);
  entrance.close();
  await ended;
});

Deno.test("Entrance.close() closes what is ready and nobody has taken, and what is under way", async () => {
  const { entrance, accepts, handshakes, log } = stage();
  const [ready] = MemoryConn.pair();
  const [early] = MemoryConn.pair();
  const [late] = MemoryConn.pair();
  const taken = entrance.accept();
  for (const conn of [ready, early, late]) {
    accepts.at(-1)!.resolve(conn);
    await settle();
  }
  handshakes[0]!.resolve();
  handshakes[1]!.resolve();
  assert.equal(await taken, ready);
  await settle();
  entrance.close();
  await settle();
  assert.deepEqual([ready.closed, early.closed, late.closed], [false, true, true]);
  assert.deepEqual(log.records, [], "its own end is nobody's fault");
});
