/**
 * Tests of what it means to listen on all interfaces, where `::` includes IPv4 and where it does not. The machine is a
 * stand-in here; `tests/integration/program/ipv6_only_test.ts` has a real one.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Address, Conn, Listener, Network } from "../../../lib/base/network.ts";
import { listenOn } from "../../../lib/proxy/listen.ts";
import { MemoryConn } from "../../support/memory_network.ts";
import { settle } from "../../support/virtual_clock.ts";

/** A machine's listeners. Both families share their ports where `::` takes IPv4 as well. */
class Machine implements Network {
  readonly open = new Map<string, FakeListener>();
  readonly #families: { readonly ipv4?: boolean; readonly ipv6?: boolean; readonly joined: boolean };
  #port = 40_000;

  constructor(families: { readonly ipv4?: boolean; readonly ipv6?: boolean; readonly joined: boolean }) {
    this.#families = families;
  }

  listen({ hostname, port: wanted }: Address): Listener {
    const { ipv4 = true, ipv6 = true, joined } = this.#families;
    if (!(hostname === "::" ? ipv6 : ipv4)) throw new Deno.errors.AddrNotAvailable("No such family");
    const port = wanted === 0 ? this.#port++ : wanted;
    const keys = joined ? [`:::${port}`, `0.0.0.0:${port}`] : [`${hostname}:${port}`];
    if (keys.some((key) => this.open.has(key))) throw new Deno.errors.AddrInUse("Address already in use");
    const key = `${hostname}:${port}`;
    const listener = new FakeListener({ hostname, port }, () => this.open.delete(key));
    this.open.set(key, listener);
    return listener;
  }

  connect(): Promise<Conn> {
    return assert.fail();
  }
}

class FakeListener implements Listener {
  readonly addr: Address;
  accepts = 0;
  next = Promise.withResolvers<Conn>();
  readonly #onClose: () => void;

  constructor(addr: Address, onClose: () => void) {
    this.addr = addr;
    this.#onClose = onClose;
  }

  async accept(): Promise<Conn> {
    this.accepts++;
    try {
      return await this.next.promise;
    } finally {
      this.next = Promise.withResolvers();
    }
  }

  close(): void {
    this.#onClose();
    this.next.promise.catch(() => {});
    this.next.reject(new Deno.errors.BadResource("Listener has been closed"));
  }
}

Deno.test("listenOn() opens one socket where :: takes IPv4 as well, and for any other host", () => {
  for (const [hostname, joined] of [["::", true], ["127.0.0.1", true], ["::1", false]] as const) {
    const machine = new Machine({ joined });
    assert.deepEqual(listenOn(machine, { hostname, port: 80 }).addr, { hostname, port: 80 });
    assert.deepEqual([...machine.open.keys()], [`${hostname}:80`]);
  }
});

Deno.test("listenOn() opens a second socket on the same port where :: is IPv6 only, also on any free port", () => {
  for (const port of [80, 0]) {
    const machine = new Machine({ joined: false });
    const { addr } = listenOn(machine, { hostname: "::", port });
    assert.equal(addr.hostname, "::");
    assert.deepEqual([...machine.open.keys()], [`:::${addr.port}`, `0.0.0.0:${addr.port}`]);
  }
});

Deno.test("listenOn() makes do with one family where the other is switched off", () => {
  for (const [families, hostname] of [[{ ipv6: false }, "0.0.0.0"], [{ ipv4: false }, "::"]] as const) {
    const machine = new Machine({ ...families, joined: false });
    assert.deepEqual(listenOn(machine, { hostname: "::", port: 80 }).addr, { hostname, port: 80 });
    assert.deepEqual([...machine.open.keys()], [`${hostname}:80`]);
  }
});

Deno.test("listenOn() says when somebody else has the port, in either family", () => {
  for (const hostname of ["::", "0.0.0.0"]) {
    const machine = new Machine({ joined: false });
    machine.listen({ hostname, port: 80 });
    assert.throws(() => listenOn(machine, { hostname: "::", port: 80 }), Deno.errors.AddrInUse);
    assert.deepEqual([...machine.open.keys()], [`${hostname}:80`], "nothing is left open");
  }
});

Deno.test("two listeners as one: connections and failures of both, one accept each at a time, and both closed", async () => {
  const machine = new Machine({ joined: false });
  const listener = listenOn(machine, { hostname: "::", port: 80 });
  const [ipv6, ipv4] = [...machine.open.values()] as [FakeListener, FakeListener];
  const conn = () => MemoryConn.pair()[0];
  const [a, b, c] = [conn(), conn(), conn()];

  const first = listener.accept();
  ipv4.next.resolve(a);
  assert.equal(await first, a);
  const second = listener.accept();
  ipv6.next.resolve(b);
  assert.equal(await second, b);
  const third = listener.accept();
  await settle();
  assert.deepEqual([ipv6.accepts, ipv4.accepts], [2, 2]);
  ipv4.next.reject(new Error("EMFILE"));
  ipv6.next.resolve(c);
  await assert.rejects(third, /EMFILE/);
  assert.equal(await listener.accept(), c, "what came meanwhile is not lost");
  const last = listener.accept();
  await settle();
  listener.close();
  await assert.rejects(last, Deno.errors.BadResource);
  assert.equal(machine.open.size, 0);
});

Deno.test("two listeners as one: connections that nobody takes before the end are closed", async () => {
  const [taken, left, late] = [MemoryConn.pair()[0], MemoryConn.pair()[0], MemoryConn.pair()[0]];
  {
    const machine = new Machine({ joined: false });
    const listener = listenOn(machine, { hostname: "::", port: 80 });
    const [ipv6, ipv4] = [...machine.open.values()] as [FakeListener, FakeListener];
    const first = listener.accept();
    ipv6.next.resolve(taken);
    ipv4.next.resolve(left);
    assert.equal(await first, taken);
    await settle();
    listener.close();
    assert.ok(!taken.closed && left.closed, "it was accepted, and waited for the next call");
  }
  {
    const machine = new Machine({ joined: false });
    const listener = listenOn(machine, { hostname: "::", port: 80 });
    const [ipv6] = [...machine.open.values()] as [FakeListener];
    void listener.accept().catch(() => {});
    await settle();
    ipv6.next.resolve(late);
    listener.close();
    await settle();
    assert.ok(late.closed, "it came in the moment of the end");
  }
});
