/**
 * What the admin port's HTTP server takes for a request, and when it lets go of a connection.
 *
 * @module
 */
import assert from "node:assert/strict";
import { HTTP_LIMITS, type HttpHandler } from "../../../lib/ops/http_server.ts";
import { MemoryConn } from "../../support/memory_network.ts";
import { GET, hello, open, receive, send, toEnd } from "./http_stage.ts";

Deno.test("HttpServer's bounds are those that the documents name", async () => {
  assert.deepEqual(HTTP_LIMITS, {
    connections: 64,
    headBytes: 16_384,
    idleMs: 120_000,
    headMs: 10_000,
    writeMs: 30_000,
    lingerMs: 2_000,
  });
  const operations = await Deno.readTextFile(new URL("../../../docs/operations.md", import.meta.url));
  assert.match(operations, /\| Connections to the admin port +\| 64 /);
});

/** The status line and `connection` header of the answer to each request of a client, and whether it goes on. */
async function answered(text: string, handler?: HttpHandler) {
  const { clock, server, connect } = open(handler);
  const { client } = await connect();
  await send(client, text);
  await clock.advance(0);
  const answer = await receive(client);
  await clock.advance(0);
  const goesOn = !/\r\nconnection: close\r\n/.test(answer);
  await server.close();
  assert.equal(clock.pending, 0);
  return { status: Number(answer.slice(9, 12)), goesOn, answer };
}

const HOST = "HTTP/1.1\r\nhost: x\r\n";
const ENDS: readonly (readonly [string, boolean])[] = [
  ["connection: close", true],
  ["connection: Close", true],
  ["connection: keep-alive, close", true],
  ["connection: close, te", true],
  ["connection: te,close ,x", true],
  ["connection: keep-alive", false],
  ["connection: closed", false],
  ["connection: not-close", false],
  ["content-length: 0", false],
  ["content-length: 1", true],
  ["transfer-encoding: chunked", true],
];
for (const [header, ends] of ENDS) {
  Deno.test(`HttpServer ${ends ? "ends" : "keeps"} the connection for "${header}"`, async () => {
    const { status, goesOn } = await answered(`GET / ${HOST}${header}\r\n\r\n`);
    assert.deepEqual([status, goesOn], [200, !ends]);
  });
}

const TARGETS: readonly (readonly [string, string | undefined])[] = [
  ["/", "http://localhost/"],
  ["/a?b=c", "http://localhost/a?b=c"],
  ["http://elsewhere/a", "http://localhost/a"],
  ["HTTPS://elsewhere:1/a?b", "http://localhost/a?b"],
  ["http://elsewhere", undefined],
  ["http:///a", undefined],
  ["ftp://elsewhere/a", undefined],
  ["xhttp://elsewhere/a", undefined],
  ["*", undefined],
  ["a", undefined],
];
for (const [target, url] of TARGETS) {
  Deno.test(`HttpServer ${url === undefined ? "refuses" : "takes"} the target ${target}`, async () => {
    const seen: string[] = [];
    const { status, answer } = await answered(`GET ${target} ${HOST}\r\n`, (request) => {
      seen.push(request.url);
      return hello(request);
    });
    assert.deepEqual([status, seen], url === undefined ? [400, []] : [200, [url]]);
    if (url === undefined) {
      assert.match(answer, /content-length: 12\r\n[^]*\r\n\r\nBad request\n$/);
      assert.match(answer, /content-type: text\/plain; charset=utf-8\r\n/);
    }
  });
}

Deno.test("HttpServer says what is wrong with a head that is too long, and takes one that just fits", async () => {
  const { headBytes } = HTTP_LIMITS;
  const start = `GET / ${HOST}a: `;
  const head = (bytes: number) => `${start}${"x".repeat(bytes - start.length)}`;
  assert.equal((await answered(`${head(headBytes - 4)}\r\n\r\n`)).status, 200);
  const { status, goesOn, answer } = await answered(head(headBytes));
  assert.deepEqual([status, goesOn], [431, false]);
  assert.match(answer, /\r\n\r\nThe head of the request is too long\n$/);
  const endless = open(() => Promise.reject(new Error("secret")));
  const { client } = await endless.connect();
  await send(client, GET);
  assert.match(await receive(client), /\r\n\r\nInternal error\n$/);
  await endless.server.close();
});

Deno.test("HttpServer finds the end of a head wherever the bytes are cut, and however many lines come before it", async () => {
  const request = `\r\n\r\nGET /a ${HOST}b: a\rc\r\n\r\n`;
  for (let at = 1; at < request.length; at++) {
    const { clock, server, connect } = open((got) =>
      Promise.resolve(new Response(null, { headers: { seen: new URL(got.url).pathname } }))
    );
    const { client } = await connect();
    await send(client, request.slice(0, at));
    await clock.advance(0);
    await send(client, request.slice(at));
    await clock.advance(0);
    // A bare carriage return is no end of a line, and may stand in no value.
    assert.match(await receive(client), /^HTTP\/1\.1 400 /, String(at));
    await server.close();
    assert.equal(clock.pending, 0);
  }
  const good = request.replace("a\rc", "c");
  for (let at = 1; at < good.length; at++) {
    const { clock, server, connect } = open();
    const { client } = await connect();
    for (const part of [good.slice(0, at), good.slice(at)]) {
      await send(client, part);
      await clock.advance(0);
    }
    assert.match(await receive(client), /^HTTP\/1\.1 200 [^]*\r\n\r\nGET \/a\n$/, String(at));
    await server.close();
  }
});

Deno.test("HttpServer lets go of a client that ends in the middle of a head, and of one that is reset at once", async () => {
  const { clock, server, connect } = open();
  const half = await connect();
  await send(half.client, "GET /");
  await half.client.closeWrite();
  await clock.advance(0);
  assert.ok(half.conn.closed);
  const [, gone] = MemoryConn.pair();
  gone.setNoDelay = () => {
    throw new Deno.errors.NotConnected();
  };
  const other = open();
  other.listener.give(gone);
  await other.clock.advance(0);
  assert.equal(other.log.records.length, 0);
  for (const each of [server, other.server]) await each.close();
  assert.deepEqual([clock.pending, other.clock.pending], [0, 0]);
});

Deno.test("HttpServer.close() ends what is being answered, can be called twice, and frees its port", async () => {
  const answers = Promise.withResolvers<Response>();
  const { clock, listener, server, connect } = open(() => answers.promise);
  const { client, conn } = await connect();
  await send(client, GET);
  await clock.advance(0);
  assert.deepEqual(server.addr, listener.addr);
  const closing = server.close();
  assert.ok(conn.closed);
  answers.resolve(new Response("late"));
  await closing;
  await server.close();
  assert.equal(clock.pending, 0);
});

Deno.test("HttpServer lingers no longer than the client, and each write has its own timeout", async () => {
  const { clock, server, connect } = open(() => Promise.resolve(new Response("x".repeat(250))));
  const { client, conn } = await connect();
  await send(client, `GET / ${HOST}connection: close\r\n\r\n`);
  await toEnd(client);
  assert.equal(conn.closed, false);
  client.close();
  await clock.advance(0);
  assert.ok(conn.closed);
  assert.equal(clock.pending, 0);
  const slow = await connect(100);
  await send(slow.client, GET);
  for (let i = 0; i < 3; i++) {
    await clock.advance(HTTP_LIMITS.writeMs - 1);
    assert.equal(slow.conn.closed, false, "it has taken something");
    await receive(slow.client);
    await clock.advance(0);
  }
  await clock.advance(HTTP_LIMITS.writeMs - 1);
  assert.equal(slow.conn.closed, false);
  await server.close();
});

Deno.test("HttpServer: past its bound a connection that never asked gives way like any other", async () => {
  const { clock, server, connect } = open();
  const all: Awaited<ReturnType<typeof connect>>[] = [];
  while (all.length < HTTP_LIMITS.connections) all.push(await connect());
  for (const { client } of all.slice(1)) {
    await send(client, GET);
    await receive(client);
  }
  await clock.advance(0);
  await connect();
  assert.deepEqual(all.flatMap(({ conn }, i) => conn.closed ? [i] : []), [0]);
  await server.close();
});
