/**
 * Who is let in and who is not, on real sockets, and that nobody waits for somebody else's handshake.
 *
 * @module
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import tls from "node:tls";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { systemClock } from "../../../lib/base/clock.ts";
import { close } from "../../../lib/base/conn.ts";
import type { Conn } from "../../../lib/base/network.ts";
import { orAborted } from "../../../lib/base/or_aborted.ts";
import { parseIpNetwork } from "../../../lib/config/ip_networks.ts";
import { ARRIVAL_LIMIT_MS, MOST_ARRIVALS } from "../../../lib/entrance/arrivals.ts";
import { ClientNetworks } from "../../../lib/entrance/client_networks.ts";
import { TlsServer } from "../../../lib/entrance/tls_server.ts";
import { within } from "../../support/deadline.ts";
import { settleWithSockets, VirtualClock } from "../../support/virtual_clock.ts";
import { makeCa, type TestCertificate } from "../kube/certificates.ts";
import { ca, ci, receive, send, server, TlsStage } from "./stage.ts";

const ENDED = "connection_rejected";

const NOT_ACCEPTED =
  "The client's certificate is not accepted: it has expired, is not valid yet, is not for clients, " +
  "or is of no authority in --tls-client-ca";

/** What the log says of the next connection, which is refused. */
async function refusal(stage: TlsStage, certificate?: TestCertificate): Promise<unknown> {
  const accepting = stage.entrance.accept();
  accepting.catch(() => {}); // it ends with the stage
  const client = await stage.connect(certificate);
  // With TLS 1.3 a client's handshake is over before the server has seen its certificate.
  await within(assert.rejects(endOf(client)), "the end of a client that is refused");
  return (await within(stage.log.next(ENDED), "a line in the log")).fields.cause;
}

async function endOf(client: Deno.TlsConn): Promise<void> {
  await client.handshake();
  if (await client.read(new Uint8Array(1)) === null) throw new Error("ended");
}

Deno.test("TlsServer.accept() agrees on HTTP/2, and takes clients that do not ask for a protocol", async () => {
  using stage = new TlsStage();
  const [client] = await stage.pair();
  assert.deepEqual({ ...await client.handshake() }, { alpnProtocol: "h2" });
  const accepting = stage.accept();
  const other = stage.own(
    await Deno.connectTls({ hostname: "localhost", port: stage.port, caCerts: [ca.cert] }),
  );
  await Promise.all([accepting, other.handshake()]);
});

Deno.test("TlsServer.accept() takes TLS 1.2 and 1.3", async () => {
  using stage = new TlsStage({ mutual: true });
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const accepting = stage.accept();
    const client = tls.connect({
      ...{ host: "127.0.0.1", port: stage.port, servername: "localhost", ca: ca.cert, ...ci },
      ...{ minVersion: version, maxVersion: version, ALPNProtocols: ["h2"] },
    });
    client.on("error", () => {});
    const conn = await accepting;
    await send(conn, version);
    const [chunk] = await within(once(client, "data"), "bytes");
    assert.deepEqual([client.getProtocol(), String(chunk)], [version, version]);
    client.destroy();
  }
});

Deno.test("TlsServer.accept() refuses a client that has no certificate", async () => {
  using stage = new TlsStage({ mutual: true });
  assert.equal(await refusal(stage), "The TLS handshake failed: peer sent no certificates");
});

Deno.test("TlsServer.accept() refuses a client whose certificate is of another authority", async () => {
  using stage = new TlsStage({ mutual: true });
  const other = await (await makeCa()).issue({ commonName: "ci", dnsNames: ["ci.example.org"] });
  assert.equal(await refusal(stage, other), NOT_ACCEPTED);
});

Deno.test("TlsServer.accept() refuses a client whose certificate has expired", async () => {
  using stage = new TlsStage({ mutual: true });
  const expired = await ca.issue({ commonName: "ci", notAfter: new Date(Date.now() - 60_000) });
  assert.equal(await refusal(stage, expired), NOT_ACCEPTED);
});

Deno.test("TlsServer.accept() refuses a client whose certificate is not valid yet", async () => {
  using stage = new TlsStage({ mutual: true });
  const early = await ca.issue({ commonName: "ci", notBefore: new Date(Date.now() + 3_600_000) });
  assert.equal(await refusal(stage, early), NOT_ACCEPTED);
});

Deno.test("TlsServer.accept() lets in only the names that are listed, if some are", async () => {
  using stage = new TlsStage({ mutual: true, names: ["spiffe://example.org/ci", "laptop"] });
  const [, conn] = await stage.pair(ci);
  assert.equal(conn.peerName, "spiffe://example.org/ci");
  const [, byCommonName] = await stage.pair(await ca.issue({ commonName: "laptop" }));
  assert.equal(byCommonName.peerName, "laptop");
  // The common name does not count beside alternative names.
  const other = await ca.issue({ commonName: "laptop", dnsNames: ["other.example.org"] });
  assert.equal(
    await refusal(stage, other),
    'The client\'s certificate is not accepted: found "other.example.org", want a name of --tls-client-names',
  );
});

Deno.test("TlsServer.accept() takes credentials in once, for all handshakes that are made with them", async () => {
  using stage = new TlsStage();
  let taken = 0;
  stage.credentials = {
    get pair() {
      taken++;
      return server;
    },
    clientCa: ca.cert,
  };
  for (let i = 0; i < 3; i++) await stage.pair(ci);
  assert.equal(taken, 1);
});

Deno.test("TlsServer.accept() uses new credentials for the next handshake, and leaves connections alone", async () => {
  using stage = new TlsStage({ mutual: true });
  const [before, beforeAtServer] = await stage.pair(ci);
  const otherCa = await makeCa({ commonName: "Other CA" });
  stage.credentials = {
    pair: await otherCa.issue({ commonName: "builds", dnsNames: ["localhost"] }),
    clientCa: otherCa.cert,
  };
  const accepting = stage.accept();
  const after = stage.own(
    await Deno.connectTls({
      hostname: "localhost",
      port: stage.port,
      caCerts: [otherCa.cert],
      ...await otherCa.issue({ commonName: "new client" }),
    }),
  );
  const [afterAtServer] = await Promise.all([accepting, after.handshake()]);
  await send(after, "new");
  assert.equal(await receive(afterAtServer), "new");
  await send(before, "old");
  assert.equal(await receive(beforeAtServer), "old");
  await send(beforeAtServer, "still there");
  assert.equal(await receive(before), "still there");
});

/** A client that resumes its TLS session with each new connection. */
class ResumingClient implements Disposable {
  readonly #client = Deno.createHttpClient({ caCerts: [ca.cert], cert: ci.cert, key: ci.key });
  readonly #stage: TlsStage;

  constructor(stage: TlsStage) {
    this.#stage = stage;
  }

  /** Connects; resolves when the server has ended the connection. */
  async connect(): Promise<void> {
    const asked = fetch(`https://localhost:${this.#stage.port}/`, { client: this.#client });
    await within(asked.catch(() => {}), "the end of the connection");
  }

  /** Connects, and is let in. */
  async enter(): Promise<void> {
    const asked = this.connect();
    const conn = await this.#stage.accept();
    await receive(conn);
    close(conn);
    await asked;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

for (
  const [what, change] of [
    ["whose authority is no longer one", async () => ({ ca: (await makeCa()).cert, aheadMs: 0 })],
    [
      "whose certificate has expired since",
      () => Promise.resolve({ ca: ca.cert, aheadMs: 20 * 365 * 86_400_000 }),
    ],
  ] as const
) {
  Deno.test(`TlsServer.accept() refuses a client that resumes a session, ${what}`, async () => {
    const clock = { ...systemClock, wallMs: () => Date.now() + aheadMs };
    let aheadMs = 0;
    using stage = new TlsStage({ mutual: true, clock });
    using client = new ResumingClient(stage);
    await client.enter();
    await client.enter();
    const changed = await change();
    aheadMs = changed.aheadMs;
    stage.credentials = { pair: server, clientCa: changed.ca };
    stage.entrance.accept().catch(() => {}); // it ends with the stage
    const connected = client.connect();
    const { cause } = (await within(stage.log.next(ENDED), "a line in the log")).fields;
    assert.equal(
      cause,
      "The client's certificate is not accepted: the client resumes a TLS session, and its certificate has expired, " +
        "or is of no authority in --tls-client-ca any more",
    );
    await connected;
  });
}

Deno.test("Entrance ends a client that does not speak TLS, and says so", async () => {
  using stage = new TlsStage();
  stage.entrance.accept().catch(() => {});
  const client = await stage.connectTcp();
  await send(client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const { level, fields } = await within(stage.log.next(ENDED), "a line in the log");
  assert.equal(level, "info");
  assert.match(String(fields.cause), /^The TLS handshake failed: /);
  assert.equal(stage.metrics.value("entrance_failures_total", { cause: "tls" }), 1);
});

Deno.test("Entrance is silent about a client that leaves without a byte, as checks of a port do", async () => {
  using stage = new TlsStage();
  stage.entrance.accept().catch(() => {});
  (await stage.connectTcp()).close();
  assert.equal((await within(stage.log.next(ENDED), "a line in the log")).level, "debug");
  assert.equal(stage.metrics.value("entrance_failures_total", { cause: "left" }), 1);
  assert.equal(stage.arrivals.count, 0);
});

Deno.test("Entrance ends a handshake that takes too long", async () => {
  const clock = new VirtualClock(settleWithSockets);
  using stage = new TlsStage({ clock });
  stage.entrance.accept().catch(() => {});
  const client = await stage.connectTcp();
  await send(client, Uint8Array.of(0x16, 0x03, 0x01)); // the beginning of a record
  while (stage.arrivals.count === 0) await settleWithSockets();
  await clock.advance(ARRIVAL_LIMIT_MS - 1);
  assert.equal(stage.arrivals.count, 1);
  await clock.advance(1);
  const { fields } = await within(stage.log.next(ENDED), "a line in the log");
  assert.equal(fields.cause, "not done within 10s");
  assert.equal(await within(client.read(new Uint8Array(1)), "the end at the client"), null);
});

Deno.test("TlsServer.accept() keeps nothing of handshakes that were given up", async () => {
  const kept = new Set<WeakRef<Conn>>();
  const over = new AbortController();
  for (let i = 0; i < 20; i++) kept.add(await halfOpen(over.signal));
  over.abort(new Error("over"));
  const hasEnded = () => [...kept].every((conn) => conn.deref() === undefined);
  await within(untilCollected(hasEnded), "the end of all that belongs to them");
});

/** A handshake in which the client says nothing; what it stands on. */
async function halfOpen(over: AbortSignal): Promise<WeakRef<Conn>> {
  const conn: Conn = {
    remoteAddr: { hostname: "192.0.2.1", port: 1 },
    read: () => orAborted(new Promise<never>(() => {}), over),
    write: (bytes) => Promise.resolve(bytes.byteLength),
    closeWrite: () => Promise.resolve(),
    close: () => {},
    setNoDelay: () => {},
    setKeepAlive: () => {},
  };
  new TlsServer({ clock: systemClock }, new ClientNetworks()).accept(conn, {
    pair: server,
    clientCa: undefined,
  }, over).catch(
    () => {},
  );
  await settleWithSockets();
  return new WeakRef(conn);
}

/** Collects garbage until `isDone`. */
async function untilCollected(isDone: () => boolean): Promise<void> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  while (!isDone()) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    collect();
  }
}

Deno.test("Entrance lets a client in while more half-open handshakes are under way than it keeps", async () => {
  using stage = new TlsStage();
  stage.entrance.accept().catch(() => {});
  const accepting = stage.accept();
  for (let i = 0; i < MOST_ARRIVALS + 20; i++) await stage.connectTcp();
  while (stage.metrics.value("entrance_failures_total", { cause: "crowded_out" }) < 20) {
    await settleWithSockets();
  }
  assert.equal(stage.arrivals.count, MOST_ARRIVALS);
  const client = await stage.connect();
  // Two accepts wait: the stage's comes second.
  const second = await stage.connect();
  await within(Promise.all([client.handshake(), second.handshake(), accepting]), "the handshake of a client");
  const said = stage.log.of("connections_crowded_out").filter(({ level }) => level !== "debug");
  assert.deepEqual(said.map(({ level }) => level), ["warn"]);
});

Deno.test("Entrance lets in all of a burst of clients from one address", async () => {
  using stage = new TlsStage();
  const first = stage.accept();
  const sockets = await Promise.all(Array.from({ length: MOST_ARRIVALS }, () => stage.connectTcp()));
  while (stage.arrivals.count < MOST_ARRIVALS) await settleWithSockets();
  const opened = Promise.all(sockets.map(async (tcp) => {
    const client = stage.own(await Deno.startTls(tcp, { hostname: "localhost", caCerts: [ca.cert] }));
    await client.handshake();
  }));
  await first;
  for (const _ of sockets.slice(1)) await stage.accept();
  await within(opened, "all handshakes");
  assert.equal(stage.metrics.value("entrance_failures_total", { cause: "crowded_out" }), 0);
});

Deno.test("Entrance reads the header of a load balancer before the handshake", async () => {
  using stage = new TlsStage({ proxiesFrom: [parseIpNetwork("127.0.0.0/8")!], mutual: true });
  const accepting = stage.accept();
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port: stage.port });
  await send(tcp, "PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n");
  const client = stage.own(
    await Deno.startTls(tcp, { hostname: "localhost", caCerts: [ca.cert], ...ci } as Deno.StartTlsOptions),
  );
  // This runtime's startTls() takes no client certificate: it is refused after the header was read.
  accepting.catch(() => {});
  await client.handshake().catch(() => {});
  const { fields } = await within(stage.log.next(ENDED), "a line in the log");
  assert.match(String(fields.cause), /no certificates/);
  assert.equal(fields.from, "203.0.113.7:4711");

  using open = new TlsStage({ proxiesFrom: [parseIpNetwork("127.0.0.0/8")!] });
  const behind = await Deno.connect({ hostname: "127.0.0.1", port: open.port });
  const opened = open.accept();
  await send(behind, "PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n");
  const secured = open.own(await Deno.startTls(behind, { hostname: "localhost", caCerts: [ca.cert] }));
  const [conn] = await Promise.all([opened, secured.handshake()]);
  assert.deepEqual(conn.remoteAddr, { hostname: "203.0.113.7", port: 4711 });
  await send(secured, "hello");
  assert.equal(await receive(conn), "hello");
});

Deno.test("Entrance ends the handshakes of the client that has most of them, also behind a load balancer", async () => {
  using stage = new TlsStage({ proxiesFrom: [parseIpNetwork("127.0.0.0/8")!] });
  const accepting = stage.accept();
  const patient = await Deno.connect({ hostname: "127.0.0.1", port: stage.port });
  await send(patient, "PROXY TCP4 198.51.100.1 192.0.2.1 4711 443\r\n");
  while (stage.arrivals.count < 1) await settleWithSockets();
  for (let i = 0; i < MOST_ARRIVALS + 20; i++) {
    await send(await stage.connectTcp(), "PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n");
    await settleWithSockets();
  }
  while (stage.metrics.value("entrance_failures_total", { cause: "crowded_out" }) < 20) {
    await settleWithSockets();
  }
  const secured = stage.own(await Deno.startTls(patient, { hostname: "localhost", caCerts: [ca.cert] }));
  const [conn] = await within(
    Promise.all([accepting, secured.handshake()]),
    "the handshake of the patient client",
  );
  assert.equal(conn.remoteAddr.hostname, "198.51.100.1");
});

Deno.test("Entrance.close() ends what is under way", async () => {
  const stage = new TlsStage();
  const accepting = assert.rejects(stage.entrance.accept(), Deno.errors.BadResource);
  const client = await stage.connectTcp();
  while (stage.arrivals.count === 0) await settleWithSockets();
  stage.entrance.close();
  await within(accepting, "the end of the accept");
  assert.equal(await within(client.read(new Uint8Array(1)), "the end at the client"), null);
  assert.equal(stage.arrivals.count, 0);
  client.close();
});
