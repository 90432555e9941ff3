/**
 * The whole program with a TLS listener: hold, refusal with a reason, certificates that are replaced, load balancers.
 *
 * @module
 */
import assert from "node:assert/strict";
import { within } from "../../support/deadline.ts";
import { fastClock } from "../../support/fast_clock.ts";
import { NOT_READY } from "../../support/program.ts";
import { TcpClient } from "../../support/tcp_client.ts";
import { ca, ci } from "./stage.ts";
import { TlsProgram } from "./tls_program.ts";

const MiB = 1 << 20;

Deno.test("the program serves clients with TLS beside plain ones, and names those with a certificate", async () => {
  await using stage = await TlsProgram.start({ mutual: true });
  const { program } = stage;
  using plain = await program.connect();
  assert.equal(await plain.echo("plain"), "plain");
  using client = await stage.connect(ci);
  assert.equal(await client.echo("encrypted"), "encrypted");
  await client.end();
  client.close();
  const { clientName, outcome, upstreamBytes } = await program.logged("session_ended");
  assert.deepEqual({ clientName, outcome, upstreamBytes }, {
    clientName: "ci.example.org",
    outcome: "completed",
    upstreamBytes: 9,
  });
});

Deno.test("a client with TLS wakes a backend only after its handshake, and is held until there is one", async () => {
  await using stage = await TlsProgram.start({
    mutual: true,
    settings: { listenAddr: "off" },
    cluster: { ...NOT_READY, replicas: 0 },
  });
  const { program } = stage;
  await program.settled();
  using half = await TcpClient.connect({ hostname: "127.0.0.1", port: stage.port });
  await half.send(Uint8Array.of(0x16, 0x03, 0x01));
  using stranger = await stage.connect();
  await within(assert.rejects(stranger.rest()), "the end of a client without a certificate");
  await program.logged("connection_rejected");
  assert.equal(program.cluster.replicas, 0);
  assert.equal(program.metrics.value("sessions_opened_total"), 0);

  using client = await stage.connect(ci);
  const answer = client.echo("patient");
  await program.held(1);
  await program.until("a replica", () => program.cluster.replicas === 1);
  await program.makeReady();
  assert.equal(await answer, "patient");
  assert.equal(program.metrics.value("sessions_opened_total"), 1);
});

Deno.test("a session with TLS outlives the replacement of the certificate, and new clients see the new one", async () => {
  await using stage = await TlsProgram.start({ clock: fastClock(50) });
  using client = await stage.connect();
  assert.equal(await client.echo("before"), "before");
  const next = await ca.issue({ commonName: "builds", dnsNames: ["localhost"] });
  await Deno.writeTextFile(`${stage.folder}/tls.crt`, next.cert);
  await Deno.writeTextFile(`${stage.folder}/tls.key`, next.key);
  await stage.program.logged("tls_files_reloaded");
  assert.equal(await client.echo("after"), "after");
  using other = await stage.connect();
  assert.equal(await other.echo("new"), "new");
});

Deno.test("the program takes little from a client with TLS whose bytes buildkitd does not take", async () => {
  const stalled = Promise.withResolvers<void>();
  await using stage = await TlsProgram.start({ mutual: true, serve: () => stalled.promise });
  const { program } = stage;
  await program.settled();
  const conn = await stage.connectConn(ci);
  const bytes = new Uint8Array(1 << 16);
  let sent = 0;
  let writing = Promise.resolve(0);
  // It is stuck once nothing was taken for a second; what counts is how much was taken until then.
  for (let wentOn = true; wentOn && sent < 128 * MiB;) {
    writing = conn.write(bytes);
    writing.catch(() => {});
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => resolve(undefined), 1_000);
    const n = await Promise.race([writing, promise]);
    clearTimeout(timer);
    wentOn = n !== undefined;
    sent += n ?? 0;
  }
  // Most of it is in the buffers of four sockets, which the kernel sizes.
  assert.ok(sent < 32 * MiB, `the client could send ${sent} bytes`);
  conn.close();
  stalled.resolve();
  await program.logged("session_ended");
});

Deno.test("the program knows the client behind a load balancer, and sees no session in its checks", async () => {
  await using stage = await TlsProgram.start({
    settings: { proxyProtocol: "require", proxyProtocolFrom: "127.0.0.0/8" },
    cluster: { replicas: 0 },
  });
  const { program } = stage;
  await program.settled();
  using check = await program.connect();
  await check.send("PROXY UNKNOWN\r\n");
  assert.equal(await within(check.ending(), "the end of a check"), "fin");
  using wrong = await program.connect();
  await wrong.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const { cause } = await program.logged("connection_rejected");
  assert.match(String(cause), /^The PROXY header cannot be used/);
  assert.equal(program.cluster.replicas, 0);

  using client = await program.connect();
  await client.send("PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n");
  assert.equal(await client.echo("plain"), "plain");
  await client.end();
  client.close();
  assert.equal((await program.logged("session_ended")).client, "203.0.113.7:4711");
});
