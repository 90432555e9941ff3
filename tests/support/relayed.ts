/**
 * A relay between two connections in memory, with a client at one end and a server at the other.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { HandOver } from "../../lib/proxy/hand_over.ts";
import { Relay, type RelayEnd } from "../../lib/proxy/relay.ts";
import { handOver, turns } from "./hand_over.ts";
import { MemoryConn, type MemoryOptions } from "./memory_network.ts";

/** Has every write to this end fail. */
export function takesNothing(conn: MemoryConn): void {
  conn.write = () => Promise.reject(new Deno.errors.BrokenPipe("Broken pipe"));
}

/** Starts a relay; `prepare` has the daemon's end before it, and `before` the relay. */
export function relayed(
  given: Partial<HandOver> = {},
  options: MemoryOptions = {},
  prepare: (upstream: MemoryConn) => void = () => {},
  before: (relay: Relay) => void = () => {},
  readTurns = turns(),
) {
  const [client, downstream] = MemoryConn.pair(options);
  const [upstream, server] = MemoryConn.pair(options);
  prepare(upstream);
  const traffic = { upstreamBytes: 0, downstreamBytes: 0 };
  const firsts: string[] = [];
  const ended: { how?: RelayEnd } = {};
  const halves = { count: 0 };
  const left = { count: 0 };
  const relay = new Relay(downstream, upstream, traffic, {
    upstream: () => firsts.push("upstream"),
    downstream: () => firsts.push("downstream"),
    halfClosed: () => halves.count++,
    upstreamLeft: () => left.count++,
  }, readTurns);
  before(relay);
  const running = relay.run(handOver(given)).then((how) => {
    ended.how = how;
    assert.ok(downstream.closed && upstream.closed, "both are closed in the end");
    return how;
  });
  return { client, downstream, upstream, server, traffic, firsts, ended, halves, left, relay, running };
}

/** Has every write to this end wait, even when it is closed, as Deno 2.6 has it. */
export function standsStill(conn: MemoryConn): void {
  conn.write = () => new Promise(() => {});
}
