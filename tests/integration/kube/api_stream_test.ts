/** Tests of streams to an API server: every way there, with TLS by the runtime and by node, and what slows them down. @module */
import assert from "node:assert/strict";
import { connect as connectTcp, createServer as createTcpServer, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import type { ByteStream } from "../../../lib/kube/http.ts";
import { openApiStream, type Trust } from "../../../lib/kube/api_stream.ts";
import type { Connection } from "../../../lib/kube/connection.ts";
import { within } from "../../support/deadline.ts";
import { base, ca, elsewhere, good, otherCa, withNodeServer } from "./http_stage.ts";
import { readBytes, standsStill } from "../contract/port_forward.ts";

const SIGNAL = new AbortController().signal;
const TRUST: Trust = { ca: ca.cert, pair: undefined };
const pair = await ca.issue({ commonName: "somebody" });

/** Says who has connected, by certificate and server name, then sends back what comes. */
function echo({ certificate = good, wantsClient = false } = {}) {
  return createTlsServer({
    cert: certificate.cert,
    key: certificate.key,
    ca: ca.cert,
    requestCert: wantsClient,
    rejectUnauthorized: wantsClient,
    ALPNProtocols: ["http/1.1"],
  }, (socket: TLSSocket) => {
    socket.on("error", () => {});
    const who = wantsClient ? socket.getPeerCertificate().subject?.CN : "nobody";
    socket.write(`<${who}>`);
    socket.on("data", (bytes) => socket.write(bytes));
  });
}

/** A proxy that passes on what its handshake names; says what it was asked. */
function proxyServer(kind: "http" | "https" | "socks5", asked: string[]) {
  const serve = (socket: Socket) => {
    socket.on("error", () => {});
    const tunnel = (host: string, port: number, ready: () => void) => {
      const upstream = connectTcp(port, host, () => {
        ready();
        socket.pipe(upstream);
        upstream.pipe(socket);
      });
      upstream.on("error", () => socket.destroy());
      socket.on("close", () => upstream.destroy());
    };
    if (kind !== "socks5") {
      socket.once("data", (bytes) => {
        const head = String(bytes);
        asked.push(head.split("\r\n")[0]!, /^proxy-authorization: (.*)$/im.exec(head)?.[1] ?? "none");
        const [, host = "", port = ""] = /^CONNECT (\S+):(\d+) /.exec(head)!;
        tunnel(host, Number(port), () => socket.write("HTTP/1.1 200 OK\r\n\r\n"));
      });
      return;
    }
    socket.once("data", (greeting: Uint8Array) => {
      asked.push(`methods ${[...greeting.subarray(2)]}`);
      const wantsUser = greeting[2] === 2;
      socket.write(Uint8Array.of(5, wantsUser ? 2 : 0));
      const onConnect = (bytes: Uint8Array) => {
        const host = new TextDecoder().decode(bytes.subarray(5, 5 + bytes[4]!));
        asked.push(`${host} ${bytes.at(-2)! * 256 + bytes.at(-1)!}`);
        tunnel(
          "127.0.0.1",
          bytes.at(-2)! * 256 + bytes.at(-1)!,
          () => socket.write(Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0)),
        );
      };
      socket.once("data", (bytes: Uint8Array) => {
        if (!wantsUser) return onConnect(bytes);
        asked.push(new TextDecoder().decode(bytes));
        socket.write(Uint8Array.of(1, 0));
        socket.once("data", onConnect);
      });
    });
  };
  return kind === "https"
    ? createTlsServer({ cert: good.cert, key: good.key }, serve)
    : createTcpServer(serve);
}

async function assertEchoes(stream: ByteStream, hello: string) {
  try {
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assert.equal(text(await within(readBytes(stream, hello.length), "the greeting")), hello);
    await stream.write(new TextEncoder().encode("over and out"));
    assert.equal(text(await within(readBytes(stream, 12), "the echo")), "over and out");
  } finally {
    stream.close();
  }
}

const WAYS: readonly [string, Partial<Connection>, { readonly wantsClient?: boolean }][] = [
  ["plain TLS", {}, {}],
  ["a client certificate", {}, { wantsClient: true }],
  ["another server name", { serverName: "kubernetes.example" }, {}],
  ["another server name and a client certificate", { serverName: "kubernetes.example" }, {
    wantsClient: true,
  }],
  ["no verification", { insecure: true }, {}],
  ["no verification and a client certificate", { insecure: true }, { wantsClient: true }],
];
for (const [what, connection, { wantsClient = false }] of WAYS) {
  for (const kind of [undefined, "http", "https", "socks5"] as const) {
    const through = kind === undefined ? "" : ` through a proxy of type ${kind}`;
    Deno.test(`openApiStream() reaches a server with ${what}${through}`, async () => {
      const isElsewhere = connection.serverName !== undefined || connection.insecure;
      const server = echo({ certificate: isElsewhere ? elsewhere : good, wantsClient });
      await withNodeServer(server, async (port) => {
        const trust = { ca: connection.insecure ? undefined : ca.cert, pair: wantsClient ? pair : undefined };
        const url = new URL(`https://127.0.0.1:${port}`);
        const open = async (proxy: URL | undefined) => {
          // The proxy's own certificate needs the authority.
          const { insecure } = connection;
          const known = insecure && kind === "https" ? { ...trust, ca: ca.cert } : trust;
          const stream = await openApiStream(url, { ...base, ...connection, proxy }, known, SIGNAL);
          await assertEchoes(stream, wantsClient ? "<somebody>" : "<nobody>");
        };
        if (kind === undefined) return await open(undefined);
        const asked: string[] = [];
        await withNodeServer(proxyServer(kind, asked), async (proxyPort) => {
          await open(new URL(`${kind}://me:p%40ss@127.0.0.1:${proxyPort}`));
        });
        assert.deepEqual(
          asked,
          kind === "socks5"
            ? ["methods 2", "\x01\x02me\x04p@ss", `127.0.0.1 ${port}`]
            : [`CONNECT 127.0.0.1:${port} HTTP/1.1`, `Basic ${btoa("me:p@ss")}`],
        );
      });
    });
  }
}

Deno.test("openApiStream() reaches a server without TLS, directly and through a proxy without a user", async () => {
  const server = createTcpServer((socket) => {
    socket.on("error", () => {});
    socket.write("<plain>");
    socket.on("data", (bytes) => socket.write(bytes));
  });
  await withNodeServer(server, async (port) => {
    const url = new URL(`http://127.0.0.1:${port}`);
    await assertEchoes(await openApiStream(url, base, TRUST, SIGNAL), "<plain>");
    for (const kind of ["http", "socks5"] as const) {
      const asked: string[] = [];
      await withNodeServer(proxyServer(kind, asked), async (proxyPort) => {
        const proxy = new URL(`${kind}://127.0.0.1:${proxyPort}`);
        await assertEchoes(await openApiStream(url, { ...base, proxy }, TRUST, SIGNAL), "<plain>");
      });
      assert.ok(asked.includes(kind === "http" ? "none" : "methods 0"), String(asked));
    }
  });
});

for (
  const [what, connection, trust] of [
    ["an unknown authority", {}, { ca: otherCa.cert, pair: undefined }],
    ["an unknown authority (node)", { serverName: "localhost" }, { ca: otherCa.cert, pair }],
    ["another name", { serverName: "other.example" }, TRUST],
    ["another name (node)", { serverName: "other.example" }, { ca: ca.cert, pair }],
  ] as const
) {
  Deno.test(`openApiStream() refuses a server whose certificate is from ${what}`, async () => {
    await withNodeServer(echo(), async (port) => {
      const opening = openApiStream(
        new URL(`https://127.0.0.1:${port}`),
        { ...base, ...connection },
        trust,
        SIGNAL,
      );
      await assert.rejects(within(opening, "the handshake"), /certificate|issuer|altnames/i);
    });
  });
}

Deno.test("openApiStream() ends with its signal while a server keeps it waiting for the handshake", async () => {
  const reached: (() => void)[] = [];
  const server = createTcpServer(() => reached.shift()!());
  await withNodeServer(server, async (port) => {
    for (
      const [connection, trust] of [[{}, TRUST], [{}, { ...TRUST, pair }], [
        { insecure: true },
        TRUST,
      ]] as const
    ) {
      const controller = new AbortController();
      const connected = new Promise<void>((resolve) => reached.push(resolve));
      const opening = openApiStream(
        new URL(`https://127.0.0.1:${port}`),
        { ...base, ...connection },
        trust,
        controller.signal,
      );
      opening.catch(() => {});
      await within(connected, "the connection");
      controller.abort(new Error("enough"));
      await assert.rejects(within(opening, "the end of the attempt"), /enough/);
    }
  });
});

for (const [what, trust] of [["the runtime", TRUST], ["node", { ca: ca.cert, pair }]] as const) {
  Deno.test(`openApiStream(): TLS by ${what} takes in little of what nobody reads, gives all of it, and waits for a peer that stalls`, async () => {
    const TOTAL = 48 * 1024 * 1024;
    let sent = 0;
    let received = 0;
    const go = Promise.withResolvers<void>();
    // The sockets of `tls.createServer` take in whatever comes.
    const listener = Deno.listenTls({
      hostname: "127.0.0.1",
      port: 0,
      cert: elsewhere.cert,
      key: elsewhere.key,
    });
    const serving = (async () => {
      const conn = await listener.accept();
      const chunk = new Uint8Array(64 * 1024);
      const sending = (async () => {
        while (sent < TOTAL) sent += await conn.write(chunk);
      })();
      await go.promise;
      const buffer = new Uint8Array(64 * 1024);
      while (received < TOTAL) received += (await conn.read(buffer))!;
      await sending;
      conn.close();
    })();
    const url = new URL(`https://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`);
    const stream = await openApiStream(url, { ...base, serverName: "kubernetes.example" }, trust, SIGNAL);
    let written = 0;
    const chunk = new Uint8Array(64 * 1024);
    const writing = (async () => {
      while (written < TOTAL) written += await stream.write(chunk);
    })();
    await standsStill(() => sent);
    assert.ok(sent < TOTAL / 2, `${sent} bytes were taken in`);
    await standsStill(() => written);
    assert.ok(written < TOTAL / 2, `${written} bytes were taken`);
    assert.equal((await within(readBytes(stream, TOTAL), "all bytes")).length, TOTAL);
    go.resolve();
    await within(writing, "the end of the writes");
    await within(serving, "the end of the server");
    assert.equal(received, TOTAL);
    stream.close();
    listener.close();
  });
}
