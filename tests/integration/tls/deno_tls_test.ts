/**
 * Tests of TLS as a client on real sockets, in both ways that the program has: bytes, ends, errors, and that no side that
 * stands still makes the other one grow.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { close, writeAll } from "../../../lib/base/conn.ts";
import type { Conn } from "../../../lib/base/network.ts";
import { tlsOf } from "../../../lib/proxy/deno_tls.ts";
import { describeTlsFault } from "../../../lib/target/tls_errors.ts";
import { pause, within } from "../../support/deadline.ts";
import { MemoryConn } from "../../support/memory_network.ts";
import { pattern, sha256 } from "../../support/tcp_client.ts";
import { acceptTls, type TlsServerOptions } from "../../support/tls_server.ts";
import { ca, good, never, options, otherCa, PAST, TlsStage, WAYS, withPair } from "./client_stage.ts";

const MUCH = 8 * 1024 * 1024;

/** Reads nothing while `stalls`, until `over`; sends no FIN. */
function stalling(conn: Conn, stalls: () => boolean, over: Promise<void>): Conn {
  return {
    remoteAddr: conn.remoteAddr,
    read: (buffer) => stalls() ? over.then(() => null) : conn.read(buffer),
    write: (bytes) => conn.write(bytes),
    closeWrite: () => Promise.resolve(),
    close: () => conn.close(),
    setNoDelay: () => {},
    setKeepAlive: () => {},
  };
}

async function writeForever(conn: Conn): Promise<never> {
  for (;;) await conn.write(new Uint8Array(1000));
}

async function hashOfAll(conn: Conn): Promise<string> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(100_000);
  for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
    hash.update(buffer.subarray(0, n));
  }
  return hash.digest("hex");
}

for (const [way, wanted, startTls] of WAYS) {
  Deno.test(`denoTls over ${way} carries bytes both ways, and each end by itself`, async () => {
    const bytes = pattern(MUCH);
    const heard = Promise.withResolvers<string>();
    await using stage = TlsStage.of(async (conn) => {
      heard.resolve(await hashOfAll(conn));
      // The client has sent its end: it still reads.
      await writeAll(conn, bytes);
      await conn.closeWrite();
      assert.equal(await conn.read(new Uint8Array(1)), null);
    });
    const conn = await stage.secure(wanted, startTls);
    // Written out of one buffer that is used again, as the relay does.
    const buffer = new Uint8Array(60_000);
    for (let at = 0; at < bytes.length; at += buffer.length) {
      const part = bytes.subarray(at, at + buffer.length);
      buffer.set(part);
      await writeAll(conn, buffer.subarray(0, part.length));
    }
    await writeAll(conn, new Uint8Array());
    await conn.closeWrite();
    assert.equal(await within(heard.promise, "the client's bytes"), sha256(bytes));
    assert.equal(await within(hashOfAll(conn), "the server's bytes"), sha256(bytes));
    close(conn);
  });

  Deno.test(`denoTls over ${way} offers h2, and asks for the name`, async () => {
    const seen = Promise.withResolvers<unknown>();
    await using stage = TlsStage.of(async (conn) => {
      seen.resolve(conn.alpn);
      await hashOfAll(conn);
    });
    const conn = await stage.secure(wanted, startTls);
    assert.equal(await seen.promise, "h2");
    assert.equal(conn.remoteAddr.hostname, "127.0.0.1");
    close(conn);
    // An address is verified, too.
    close(await stage.secure({ ...wanted, serverName: "127.0.0.1" }, startTls));
    await assert.rejects(stage.secure({ ...wanted, serverName: "192.0.2.1" }, startTls));
  });

  Deno.test(`denoTls over ${way}: a server that says its end and then resets keeps no end and no write waiting`, async () => {
    for (const what of ["closeWrite", "write"] as const) {
      let isOpen = true;
      const gone = Promise.withResolvers<void>();
      await using stage = new TlsStage(async (conn) => {
        const server = await acceptTls(stalling(conn, () => !isOpen, gone.promise), good);
        isOpen = false;
        await server.closeWrite();
        await gone.promise; // then it is closed with bytes that nobody has read: a reset
      });
      const conn = await stage.secure(wanted, startTls);
      assert.equal(await within(conn.read(new Uint8Array(1)), "the server's end"), null);
      await conn.write(new Uint8Array(1000));
      gone.resolve();
      await pause(200); // and the reset arrives
      const last = what === "write" ? writeForever(conn) : conn.closeWrite();
      await within(last.catch(() => {}), `the end of ${what}()`);
      close(conn);
    }
  });

  Deno.test(`denoTls over ${way}: a server that stands still is not written to without end`, async () => {
    const shaken = Promise.withResolvers<void>();
    const over = Promise.withResolvers<void>();
    await using stage = new TlsStage(async (conn) => {
      // Enough for the handshake, and then nothing is read any more.
      let isOpen = true;
      await acceptTls(stalling(conn, () => !isOpen, over.promise), good);
      isOpen = false;
      shaken.resolve();
      await over.promise;
    });
    const conn = await stage.secure(wanted, startTls);
    await shaken.promise;
    let sentBytes = 0;
    const buffer = new Uint8Array(256 * 1024);
    const writing = (async () => {
      while (sentBytes < 1e9) sentBytes += await conn.write(buffer);
    })().catch(() => {});
    await stands(() => sentBytes);
    assert.ok(sentBytes < 64e6, `${sentBytes} bytes were taken`);
    over.resolve();
    close(conn);
    for (const one of stage.conns) close(one);
    await within(writing, "the end of the write");
  });

  Deno.test(`denoTls over ${way}: what nobody reads stops the server`, async () => {
    let sentBytes = 0;
    await using stage = TlsStage.of(async (conn) => {
      const buffer = new Uint8Array(256 * 1024);
      while (sentBytes < 1e9) sentBytes += await conn.write(buffer);
    });
    const conn = await stage.secure(wanted, startTls);
    assert.ok(await conn.read(new Uint8Array(1)) === 1);
    await stands(() => sentBytes);
    assert.ok(sentBytes < 64e6, `${sentBytes} bytes were taken in`);
    close(conn);
  });

  Deno.test(`denoTls over ${way}: closing ends a read that waits, and the server sees it`, async () => {
    const left = Promise.withResolvers<unknown>();
    await using stage = TlsStage.of(async (conn) => {
      await writeAll(conn, Uint8Array.of(1));
      left.resolve(await conn.read(new Uint8Array(1)).catch(() => "reset"));
    });
    const conn = await stage.secure(wanted, startTls);
    assert.equal(await conn.read(new Uint8Array(1)), 1);
    const reading = conn.read(new Uint8Array(1)).then(() => "ended", () => "ended");
    close(conn);
    assert.equal(await within(reading, "the end of the read"), "ended");
    assert.ok([null, "reset"].includes(await within(left.promise, "the server's end") as null));
  });

  Deno.test(`denoTls over ${way} trusts each authority of a file`, async () => {
    await using stage = TlsStage.of((conn) => writeAll(conn, Uint8Array.of(1)));
    const conn = await stage.secure({ ...wanted, ca: `${otherCa.cert}\n${ca.cert}` }, startTls);
    assert.equal(await conn.read(new Uint8Array(1)), 1);
    close(conn);
  });

  Deno.test(`denoTls over ${way}: writes fail once the server is gone`, async () => {
    await using stage = TlsStage.of((conn) => writeAll(conn, Uint8Array.of(1)));
    const conn = await stage.secure(wanted, startTls);
    assert.equal(await conn.read(new Uint8Array(1)), 1);
    const writing = (async () => {
      for (;;) await conn.write(new Uint8Array(64 * 1024));
    })();
    await within(assert.rejects(writing), "the end of the writes");
    close(conn);
  });

  Deno.test(`denoTls over ${way} ends a handshake when it is told to`, async () => {
    const gone = Promise.withResolvers<void>();
    await using stage = new TlsStage(async (conn) => {
      const buffer = new Uint8Array(10_000);
      while (await conn.read(buffer).catch(() => null) !== null);
      gone.resolve();
    });
    const stop = new AbortController();
    const opening = assert.rejects(stage.secure(wanted, startTls, stop.signal), /too late/);
    stop.abort(new Error("too late"));
    await within(opening, "the end of the handshake");
    await within(gone.promise, "the end of the connection");
    await assert.rejects(
      stage.secure(wanted, startTls, AbortSignal.abort(new Error("never began"))),
      /never began/,
    );
  });
}

for (const [way, wanted, startTls] of WAYS.filter(([, { pair }]) => pair !== undefined)) {
  Deno.test(`denoTls over ${way} presents its certificate, on any connection`, async () => {
    const [near, far] = MemoryConn.pair();
    const [secure, server] = await Promise.all([
      startTls(near, wanted, never),
      acceptTls(far, { ...good, clientCa: ca.cert }),
    ]);
    assert.equal(server.clientName, "proxy");
    await writeAll(secure, new TextEncoder().encode("hello"));
    assert.equal(await server.read(new Uint8Array(10)), 5);
    close(secure);
    close(server);
  });
}

/** Resolves once a number has not changed for a while: there is no event for what does not happen. */
async function stands(count: () => number): Promise<void> {
  for (let last = -1, same = 0; same < 3;) {
    await new Promise((resolve) => setTimeout(resolve, 30));
    same = count() === last ? same + 1 : 0;
    last = count();
  }
}

/** The fault in words, of a handshake or of the first read after it. */
async function faultOf(server: TlsServerOptions | "plain" | "closes", wanted = options): Promise<string> {
  await using stage = typeof server === "object"
    ? TlsStage.of(async (conn) => {
      await writeAll(conn, Uint8Array.of(1));
      await hashOfAll(conn);
    }, server)
    : new TlsStage(async (conn) => {
      if (server === "plain") await writeAll(conn, Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0));
      await conn.read(new Uint8Array(1000));
    });
  let conn: Conn | undefined;
  try {
    conn = await stage.secure(wanted);
    await within(conn.read(new Uint8Array(1)), "the first byte");
    return "none";
  } catch (error) {
    return describeTlsFault(error, { serverName: wanted.serverName, presents: wanted.pair !== undefined });
  } finally {
    if (conn !== undefined) close(conn);
  }
}

Deno.test("denoTls over a port of its own leaves no connection open when it cannot begin", async () => {
  const left = Promise.withResolvers<void>();
  await using stage = new TlsStage(async (conn) => {
    try {
      while (await conn.read(new Uint8Array(1024)) !== null);
    } finally {
      left.resolve();
    }
  });
  const conn = await stage.connect();
  await assert.rejects(tlsOf(false)(conn, { ...options, pair: { cert: "no PEM", key: "no PEM" } }, never));
  await within(left.promise, "the end of the connection");
});

Deno.test("denoTls and describeTlsFault(): each mistake has its own words", async () => {
  const expired = await ca.issue({ commonName: "buildkitd", dnsNames: ["buildkitd"], ...PAST });
  const early = await ca.issue({
    commonName: "buildkitd",
    dnsNames: ["buildkitd"],
    notBefore: new Date("2090-01-01"),
    notAfter: new Date("2091-01-01"),
  });
  const foreign = await otherCa.issue({ commonName: "buildkitd", dnsNames: ["buildkitd"] });
  const notSigned = /^buildkitd's certificate is not signed by a CA of --upstream-tls-ca/;
  const plain = /^buildkitd does not speak TLS on this port: .*without --upstream-tls-ca$/;
  const wrongName =
    /^buildkitd's certificate is not for "other" but for "buildkitd".*set --upstream-tls-server-name/;
  const onlyName = await ca.issue({ commonName: "buildkitd", dnsNames: ["buildkitd"] });
  const cases: [string, Promise<string>, RegExp][] = [
    ["right", faultOf(good), /^none$/],
    ["right, with a client certificate", faultOf({ ...good, clientCa: ca.cert }, withPair), /^none$/],
    ["another CA", faultOf(foreign), notSigned],
    ["another CA, node:tls", faultOf(foreign, withPair), notSigned],
    ["expired", faultOf(expired), /^buildkitd's certificate has expired at 2024-02-01T00:00:00Z: renew it/],
    ["expired, node:tls", faultOf(expired, withPair), /or it has expired$/],
    ["not valid yet", faultOf(early), /^buildkitd's certificate is not valid yet/],
    ["another name", faultOf(onlyName, { ...options, serverName: "other" }), wrongName],
    ["another name, node:tls", faultOf(onlyName, { ...withPair, serverName: "other" }), wrongName],
    ["plain", faultOf("plain"), plain],
    ["plain, node:tls", faultOf("plain", withPair), plain],
    ["closes", faultOf("closes"), /^buildkitd ended the connection during the TLS handshake$/],
  ];
  for (const [what, fault, expected] of cases) assert.match(await fault, expected, what);
});
