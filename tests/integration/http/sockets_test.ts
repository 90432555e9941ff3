/**
 * The whole program on real sockets: HTTP/1.1 on a listener with TLS, and behind a load balancer.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { SettingKey } from "../../../lib/config/settings.ts";
import { within } from "../../support/deadline.ts";
import { type Program, startProgram } from "../../support/program.ts";
import { v2Header } from "../../support/proxy_headers.ts";
import { TcpClient } from "../../support/tcp_client.ts";
import type { TestCertificate } from "../kube/certificates.ts";
import { ca, ci, server } from "../tls/stage.ts";

const LOOK = "GET / HTTP/1.1\r\nhost: proxy:1\r\n\r\n";
const WAKE = "POST /wake HTTP/1.1\r\nhost: proxy:1\r\n\r\n";
const BEHIND = { proxyProtocol: "require", proxyProtocolFrom: "127.0.0.0/8" } as const;

/** All that comes until the end. */
async function readAll(client: TcpClient): Promise<string> {
  return new TextDecoder().decode(await within(client.receive(64 * 1024), "the end of the answer"));
}

/** A program with TLS only, and its files. */
async function startTls(settings: Partial<Record<SettingKey, string>> = {}) {
  const folder = await Deno.makeTempDir();
  const [cert, key, clientCa] = [`${folder}/tls.crt`, `${folder}/tls.key`, `${folder}/ca.crt`];
  await Deno.writeTextFile(cert, server.cert);
  await Deno.writeTextFile(key, server.key);
  await Deno.writeTextFile(clientCa, ca.cert);
  const program = await startProgram({
    settings: {
      tlsListenAddr: "127.0.0.1:0",
      tlsCert: cert,
      tlsKey: key,
      tlsClientCa: clientCa,
      ...settings,
    },
  });
  await program.settled();
  return {
    program,
    connect: (alpnProtocols: string[], certificate: TestCertificate | undefined = ci) =>
      Deno.connectTls({
        hostname: "localhost",
        port: program.tlsAddress!.port,
        caCerts: [ca.cert],
        alpnProtocols,
        ...certificate,
      }),
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

function wokeNothing(program: Program): void {
  assert.equal(program.cluster.replicas, 0);
  assert.equal(program.metrics.value("sessions_opened_total"), 0);
}

Deno.test("http: a listener with TLS answers a client with a certificate, whatever it offers beside HTTP/1.1", async () => {
  await using stage = await startTls();
  for (
    const [offers, chosen] of [[["http/1.1"], "http/1.1"], [["h2", "http/1.1"], "h2"], [
      ["h2"],
      "h2",
    ]] as const
  ) {
    const conn = await stage.connect([...offers]);
    assert.equal((await conn.handshake()).alpnProtocol, chosen);
    using client = new TcpClient(conn as never);
    await client.send(LOOK);
    const text = await readAll(client);
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(
      text,
      /curl -fsSN --http1\.1 --cacert ca\.pem --cert cert\.pem --key key\.pem -X POST https:\/\/proxy:1\/wake\n$/,
    );
  }
  wokeNothing(stage.program);
  using client = new TcpClient(await stage.connect(["http/1.1"]) as never);
  await client.send(WAKE);
  assert.match(await readAll(client), /\r\nready after .*\n\r\n0\r\n\r\n$/);
  assert.equal(stage.program.cluster.replicas, 1);
});

Deno.test("http: a listener with TLS answers nobody without a certificate where one is required", async () => {
  await using stage = await startTls();
  await assert.rejects(async () => {
    using client = new TcpClient(await stage.connect(["http/1.1"], {} as TestCertificate) as never);
    await client.send(LOOK);
    assert.equal(await readAll(client), "", "nothing is said");
    throw new Error("The client was closed");
  });
  await stage.program.logged("connection_rejected");
  wokeNothing(stage.program);
});

Deno.test("http: with --answer-http=false a listener with TLS offers HTTP/2 only", async () => {
  await using stage = await startTls({ answerHttp: "false" });
  using h2 = await stage.connect(["h2", "http/1.1"]);
  assert.equal((await h2.handshake()).alpnProtocol, "h2");
  await assert.rejects(async () => {
    using conn = await stage.connect(["http/1.1"]);
    await conn.handshake();
  });
});

for (
  const [version, header] of [
    [1, "PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"],
    [2, v2Header()],
  ] as const
) {
  Deno.test(`http: a request behind a PROXY header of version ${version} is answered, and a wake names the client`, async () => {
    await using program = await startProgram({ settings: BEHIND });
    await program.settled();
    for (
      const [request, answer] of [[LOOK, /^HTTP\/1\.1 200 OK\r\n.*asleep/s], [
        WAKE,
        /\r\nready after /,
      ]] as const
    ) {
      using client = await program.connect();
      await client.send(header);
      await client.send(request);
      assert.match(await readAll(client), answer);
    }
    assert.equal((await program.logged("wake_ended"))["client"], "203.0.113.7:4711");
  });
}

for (
  const [what, header] of [["LOCAL", v2Header({ command: 0 })], ["UNKNOWN", "PROXY UNKNOWN\r\n"]] as const
) {
  Deno.test(`http: a load balancer that checks the port (${what}) is answered in HTTP, and wakes nothing`, async () => {
    await using program = await startProgram({ settings: BEHIND, debug: true });
    await program.settled();
    using asks = await program.connect();
    await asks.send(header);
    await asks.send("OPTIONS / HTTP/1.0\r\n\r\n");
    assert.match(await readAll(asks), /^HTTP\/1\.1 200 OK\r\n/);
    for (const says of ["", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]) {
      using only = await program.connect();
      await only.send(header);
      await only.send(says);
      await within(only.ending(), "the end of a connection without a client");
    }
    await program.logged("connection_without_client", 2);
    wokeNothing(program);
  });
}

Deno.test("http: with --answer-http=false a load balancer that checks the port is closed at once", async () => {
  await using program = await startProgram({ settings: { ...BEHIND, answerHttp: "false" }, debug: true });
  await program.settled();
  using asks = await program.connect();
  await asks.send(v2Header({ command: 0 }));
  assert.equal((await asks.receive(1).catch(() => [])).length, 0);
  await program.logged("connection_without_client");
  wokeNothing(program);
});
