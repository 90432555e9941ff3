/**
 * Tests of the accept loop: no error of accept ends it, each new cause is said once, and limits hold.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Conn, Listener } from "../../../lib/base/network.ts";
import { noMetrics } from "../../../lib/base/metrics.ts";
import { Proxy } from "../../../lib/proxy/proxy.ts";
import { Room } from "../../../lib/proxy/room.ts";
import { ColdStart } from "../../../lib/scaler/cold_start.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { MemoryConn } from "../../support/memory_network.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { BACKEND } from "../../support/session.ts";
import { VirtualClient } from "../../support/virtual_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

/** A listener whose accepts a test answers. */
class ScriptedListener implements Listener {
  readonly addr = { hostname: "192.0.2.1", port: 1 };
  closed = false;
  accepts = 0;
  #next = Promise.withResolvers<Conn>();
  readonly #waiting: Conn[] = [];

  async accept(): Promise<Conn> {
    this.accepts++;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) return waiting;
    try {
      return await this.#next.promise;
    } finally {
      this.#next = Promise.withResolvers();
    }
  }

  close(): void {
    this.closed = true;
    this.#next.reject(new Deno.errors.BadResource("Listener has been closed"));
  }

  fail(code: string): void {
    this.#next.reject(Object.assign(new Error(`The accept failed (${code})`), { code }));
  }

  /** So many clients that connect at the same moment. */
  burst(count: number): MemoryConn[] {
    const pairs = Array.from({ length: count }, () => MemoryConn.pair());
    this.#waiting.push(...pairs.slice(1).map(([, downstream]) => downstream));
    this.#next.resolve(pairs[0]![1]);
    return pairs.map(([client]) => client);
  }

  connect(): MemoryConn {
    const [client, downstream] = MemoryConn.pair();
    this.#next.resolve(downstream);
    return client;
  }
}

interface Options {
  readonly maxConnections?: number;
  readonly descriptors?: number;
  /** There is a pod, and this is what a connection to it comes to. */
  readonly dial?: () => Conn;
}

function setUp({ maxConnections = 10, descriptors, dial }: Options = {}) {
  const clock = new VirtualClock();
  const log = recordingLog();
  const listener = new ScriptedListener();
  const metrics = countedMetrics(() => {});
  const placement = new Placement(clock, 1, "pod");
  if (dial !== undefined) {
    placement.see({ version: "1", replicas: 1 });
    placement.setBackends([BACKEND]);
  }
  const proxy = new Proxy(
    listener,
    {
      upstream: "slices",
      targetPort: 1234,
      connectTimeoutMs: 5_000,
      headlessServiceName: "h",
      stsNamespace: "n",
      clusterDomain: "c",
      readyWaitTimeoutMs: 60_000,
      wakeOn: "connect",
      maxHeld: 10,
      sessionIdleTimeoutMs: 0,
    },
    new Room(maxConnections, { count: () => descriptors, log, metrics }),
    {
      clock,
      random: () => 0.5,
      log,
      metrics,
      network: {
        listen: () => assert.fail(),
        connect: () => Promise.resolve(dial?.() ?? assert.fail("there is no pod")),
      },
      placement,
      coldStart: new ColdStart(clock, noMetrics),
      explainWait: () => Promise.resolve("no pod"),
      explainReset: (_backend, _connectedForMs, tell) => tell(undefined),
    },
  );
  const controller = new AbortController();
  const running = proxy.run(controller.signal);
  return { clock, log, listener, metrics, proxy, placement, controller, running };
}

Deno.test("Proxy goes on accepting when it has run out, with a pause, and says each new cause once", async () => {
  const { clock, log, listener, metrics, proxy, running } = setUp();
  for (let i = 0; i < 5; i++) {
    listener.fail("EMFILE");
    await clock.advance(0);
    assert.equal(listener.accepts, i + 1, "no busy loop");
    assert.match(proxy.fault ?? "", /EMFILE/);
    await clock.advance(100);
  }
  assert.equal(metrics.value("accept_errors_total", { cause: "exhausted" }), 5);
  assert.equal(log.of("cannot accept connections").filter(({ level }) => level === "warn").length, 1);
  const client = listener.connect();
  await clock.advance(0);
  assert.equal(proxy.open, 1);
  assert.equal(proxy.fault, undefined);
  assert.equal(log.of("cannot accept connections is over").length, 1);
  client.close();
  await clock.advance(0);
  assert.equal(proxy.open, 0);
  proxy.stopAccepting();
  await running;
  assert.equal(clock.pending, 0, "no timer is left");
});

for (const code of ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]) {
  Deno.test(`Proxy pauses after ${code}`, async () => {
    const { clock, listener, proxy, running } = setUp();
    listener.fail(code);
    await clock.advance(99);
    assert.equal(listener.accepts, 1);
    await clock.advance(1);
    assert.equal(listener.accepts, 2);
    proxy.stopAccepting();
    await running;
  });
}

Deno.test("Proxy accepts on at once after clients that have left before, and takes them for no fault", async () => {
  const { clock, log, listener, metrics, proxy, running } = setUp();
  for (let i = 0; i < 99; i++) {
    listener.fail(["ENOTCONN", "ECONNABORTED", "ECONNRESET"][i % 3]!);
    await clock.advance(0);
    assert.equal(listener.accepts, i + 2, "it accepts again before any time has passed");
  }
  const client = listener.connect();
  await clock.advance(0);
  assert.equal(proxy.open, 1);
  assert.equal(metrics.value("accept_errors_total", { cause: "client" }), 99);
  assert.equal(metrics.value("accept_errors_total", { cause: "exhausted" }), 0);
  assert.deepEqual(log.of("cannot accept connections"), []);
  // The connection has ended the row: the next pause is 100 failures away.
  for (let i = 0; i < 99; i++) {
    listener.fail("ENOTCONN");
    await clock.advance(0);
  }
  assert.equal(listener.accepts, 200);
  listener.fail("ENOTCONN");
  await clock.advance(0);
  assert.equal(listener.accepts, 200, "no busy loop, whatever fails");
  await clock.advance(10);
  assert.equal(listener.accepts, 201);
  assert.deepEqual(log.of("cannot accept connections"), []);
  client.close();
  proxy.stopAccepting();
  await clock.advance(0);
  await running;
});

Deno.test("Proxy says what keeps all accepts from working, whatever it is", async () => {
  const { clock, log, listener, metrics, proxy, running } = setUp();
  for (let i = 0; i < 99; i++) {
    listener.fail("EINVAL");
    await clock.advance(0);
  }
  assert.equal(proxy.fault, undefined);
  listener.fail("EINVAL");
  await clock.advance(0);
  assert.match(proxy.fault ?? "", /EINVAL/);
  assert.equal(metrics.value("accept_errors_total", { cause: "other" }), 100);
  assert.equal(log.of("cannot accept connections").length, 1);
  await clock.advance(10);
  proxy.stopAccepting();
  await running;
});

Deno.test("Proxy stops accepting without a fault, and its sessions go on", async () => {
  const { clock, log, listener, metrics, proxy, running } = setUp();
  const client = listener.connect();
  await clock.advance(0);
  proxy.stopAccepting();
  proxy.stopAccepting();
  await running;
  assert.ok(listener.closed && !proxy.accepting);
  assert.equal(proxy.open, 1);
  assert.equal(log.of("cannot accept connections").length, 0);
  assert.equal(metrics.value("accept_errors_total"), 0);
  let drained = false;
  const draining = proxy.drained().then(() => drained = true);
  await clock.advance(0);
  assert.equal(drained, false);
  client.close();
  await clock.advance(0);
  await draining;
  assert.equal(log.of("session ended").length, 1);
});

Deno.test("Proxy cuts all sessions when told to, and says why", async () => {
  const { clock, log, listener, proxy, running } = setUp();
  for (let i = 0; i < 3; i++) {
    listener.connect();
    await clock.advance(0);
  }
  assert.equal(proxy.open, 3);
  proxy.stopAccepting();
  proxy.cutAll("The time is up");
  await clock.advance(0);
  await proxy.drained();
  await running;
  const ended = log.of("session ended").map(({ fields: { outcome, reason } }) => `${outcome}: ${reason}`);
  assert.deepEqual(ended, Array(3).fill("drain_timeout: The time is up"));
  assert.equal(clock.pending, 0, "no timer is left");
});

Deno.test("Proxy takes no more connections than it may, and lets go of the rest", async () => {
  const { clock, log, listener, metrics, proxy, running } = setUp({ maxConnections: 2 });
  const clients: MemoryConn[] = [];
  for (let i = 0; i < 4; i++) {
    clients.push(listener.connect());
    await clock.advance(0);
  }
  assert.equal(proxy.open, 2);
  assert.equal(metrics.value("sessions_opened_total"), 4);
  assert.equal(metrics.value("sessions_ended_total", { outcome: "limited" }), 2);
  assert.equal(log.of("connections are refused").filter(({ level }) => level === "warn").length, 1);
  await clock.advance(10_000);
  for (const client of clients.slice(2)) assert.equal(await client.read(new Uint8Array(1)), null);
  for (const client of clients) client.close();
  proxy.stopAccepting();
  await clock.advance(0);
  await proxy.drained();
  await running;
  assert.equal(clock.pending, 0, "no timer is left");
});

Deno.test("Proxy tells as many refused clients as it may; the oldest of them gives way", async () => {
  const { clock, listener, proxy, running } = setUp({ descriptors: 8 });
  const clients: MemoryConn[] = [];
  const connect = async () => {
    clients.push(listener.connect());
    await clock.advance(0);
  };
  for (let i = 0; i < 5; i++) await connect();
  assert.equal(proxy.open, 2);
  assert.equal(await clients[2]!.read(new Uint8Array(1)), null, "the oldest is let go");
  const isOver = async (client: MemoryConn) => {
    let over = false;
    client.read(new Uint8Array(1)).then(() => over = true, () => {}); // closed by the test
    await clock.advance(0);
    return over;
  };
  assert.equal(await isOver(clients[3]!), false);
  assert.equal(await isOver(clients[4]!), false);
  // One that has left makes room for the next.
  clients[4]!.close();
  await clock.advance(0);
  await connect();
  assert.equal(await isOver(clients[3]!), false);
  await connect();
  assert.equal(await isOver(clients[3]!), true);
  proxy.stopAccepting();
  proxy.cutAll("The time is up");
  await clock.advance(0);
  await proxy.drained();
  await running;
  assert.equal(clock.pending, 0, "no timer is left");
});

Deno.test("Proxy tells no more refused clients than it may, also when many come at the same moment", async () => {
  const { clock, listener, proxy, running } = setUp({ descriptors: 8 });
  const clients = listener.burst(12).map((conn) => new VirtualClient(conn));
  await clock.advance(0);
  assert.equal(proxy.open, 2);
  // The first two are held, and the last two are told.
  assert.deepEqual(clients.map(({ ended }) => ended === undefined), [
    ...[true, true],
    ...Array(8).fill(false),
    ...[true, true],
  ]);
  proxy.stopAccepting();
  proxy.cutAll("The time is up");
  await clock.advance(0);
  await proxy.drained();
  await running;
});

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
  const { clock, listener, metrics, proxy, placement, running } = setUp();
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
  assert.equal(placement.usage.held, 1);
  clients[1]!.close();
  await clock.advance(0);
  assert.deepEqual(shown(), [0, 0, 0]);
  proxy.stopAccepting();
  await running;
});

Deno.test("Proxy tells held clients that a part has failed, also those to come, and is drained once they have left", async () => {
  const { clock, listener, proxy, log, running } = setUp();
  const clients = [listener.connect()];
  await clock.advance(0);
  proxy.refuseHeld("failed", "The proxy has failed");
  clients.push(listener.connect());
  await clock.advance(0);
  assert.equal(proxy.open, 2);
  for (const client of clients) client.close();
  await clock.advance(0);
  await proxy.drained();
  assert.deepEqual(
    log.of("session ended").map(({ fields: { outcome, reason } }) => `${outcome}: ${reason}`),
    [
      "failed: The proxy has failed",
      "failed: The proxy has failed",
    ],
  );
  proxy.stopAccepting();
  await running;
});

Deno.test("Proxy is drained only when clients that are refused have been told as well", async () => {
  const { clock, listener, proxy, running } = setUp({ maxConnections: 1 });
  const first = listener.connect();
  await clock.advance(0);
  listener.connect();
  await clock.advance(0);
  first.close();
  await clock.advance(0);
  assert.equal(proxy.open, 0);
  let drained = false;
  const draining = proxy.drained().then(() => drained = true);
  await clock.advance(4_999);
  assert.equal(drained, false);
  await clock.advance(1);
  await draining;
  proxy.stopAccepting();
  await running;
});
