/**
 * The admin port's HTTP server against clients that are slow, greedy or broken, on connections in memory and a clock
 * that the test moves.
 *
 * @module
 */
import assert from "node:assert/strict";
import { MAX_FIELDS } from "../../../lib/base/http1_server.ts";
import { HTTP_LIMITS } from "../../../lib/ops/http_server.ts";
import { encoder, GET, hello, open, receive, send, toEnd } from "./http_stage.ts";

const fields = (count: number) => Array.from({ length: count }, (_, i) => `a${i}:\r\n`).join("");

Deno.test("HttpServer answers one request after the other on a connection, pipelined or in pieces", async () => {
  const { clock, server, connect } = open();
  const { client } = await connect();
  await send(client, `${GET}\r\n${GET}${GET.slice(0, 5)}`);
  await clock.advance(0);
  const two = await receive(client);
  assert.equal(two.split("HTTP/1.1 200 OK\r\n").length - 1, 2);
  assert.ok(two.endsWith("\r\n\r\nGET /a?b\n"));
  await send(client, GET.slice(5));
  await clock.advance(0);
  assert.match(await receive(client), /^HTTP\/1\.1 200 OK\r\ncontent-length: 9\r\n/);
  await server.close();
  assert.equal(await receive(client), "the end");
  assert.equal(clock.pending, 0);
});

Deno.test("HttpServer yields to other tasks after each answer, however many requests wait", async () => {
  let answered = 0;
  const { clock, server, connect } = open((request) => {
    answered++;
    return hello(request);
  });
  const { client } = await connect();
  await send(client, GET.repeat(3));
  // Whatever needs no turn of the event loop has happened by then.
  for (let i = 0; i < 1_000; i++) await Promise.resolve();
  assert.equal(answered, 1);
  await clock.advance(10);
  assert.equal(answered, 3);
  await server.close();
  assert.equal(clock.pending, 0);
});

Deno.test("HttpServer ends the connection when the client wants it, speaks HTTP/1.0, or sends a body", async () => {
  for (
    const request of [
      "GET / HTTP/1.1\r\nhost: x\r\nConnection: close\r\n\r\n",
      "GET / HTTP/1.0\r\n\r\n",
      `PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n${GET}`,
      "PUT / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
    ]
  ) {
    const { clock, server, connect } = open();
    const { client, conn } = await connect();
    await send(client, request);
    const answer = await toEnd(client);
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(answer, /connection: close/);
    assert.equal(answer.split("HTTP/1.1").length, 2, "a body is no request");
    assert.equal(conn.closed, false, "what the client still sends meets no reset");
    await send(client, "more of the body");
    await clock.advance(HTTP_LIMITS.lingerMs - 1);
    assert.equal(conn.closed, false);
    await clock.advance(1);
    assert.ok(conn.closed, "not for ever");
    await server.close();
  }
});

Deno.test("HttpServer refuses malformed requests and closes the connection", async () => {
  for (
    const [request, status] of [
      ["hello\r\n\r\n", 400],
      ["GET / HTTP/2.0\r\nhost: x\r\n\r\n", 400],
      ["\rGET / HTTP/1.1\r\nhost: x\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\nhost: x\r\nHost: y\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\nhost: x\r\na: b\r\nhost: x\r\n\r\n", 400],
      ["GET / HTTP/1.0\r\nhost: x\r\nhost: x\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\nhost: x, y\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\nhost: x/y\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\nhost: x\r\n folded\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\nhost x\r\n\r\n", 400],
      ["GET nonsense HTTP/1.1\r\nhost: x\r\n\r\n", 400],
      ["CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n", 400],
      ["TRACE / HTTP/1.1\r\nhost: x\r\n\r\n", 400],
      ["\x16\x03\x01 a TLS client\r\n\r\n", 400],
      [`GET / HTTP/1.1\r\nhost: x\r\na: ${"x".repeat(HTTP_LIMITS.headBytes)}\r\n\r\n`, 431],
      [`GET / HTTP/1.1\r\nhost: x\r\na: ${"x".repeat(HTTP_LIMITS.headBytes)}`, 431],
    ] as const
  ) {
    const { server, connect } = open(() => assert.fail("no request"));
    const { client } = await connect();
    await send(client, request);
    assert.match(
      await toEnd(client),
      new RegExp(`^HTTP/1\\.1 ${status} `),
      JSON.stringify(request.slice(0, 40)),
    );
    await server.close();
  }
});

Deno.test("HttpServer takes as many fields as any client sends, and no more: their cost grows with the square", async () => {
  const { clock, server, connect } = open();
  const { client } = await connect();
  await send(client, `GET / HTTP/1.1\r\nhost: x\r\n${fields(MAX_FIELDS - 1)}\r\n`);
  assert.match(await receive(client), /^HTTP\/1\.1 200 /);
  await clock.advance(0);
  await send(client, `GET / HTTP/1.1\r\nhost: x\r\n${fields(MAX_FIELDS)}\r\n`);
  assert.match(await receive(client), /^HTTP\/1\.1 400 /);
  await server.close();
});

Deno.test("HttpServer takes a whole URL as the target, and never the client's word for its host", async () => {
  const { clock, server, connect } = open((request) =>
    Promise.resolve(new Response(null, { headers: { x: request.url } }))
  );
  const { client } = await connect();
  await send(client, "GET http://elsewhere/livez?verbose HTTP/1.1\r\nhost: x\r\n\r\n");
  assert.match(await receive(client), /x: http:\/\/localhost\/livez\?verbose\r\n/);
  await clock.advance(0);
  await send(client, "GET //elsewhere/livez HTTP/1.1\r\nhost: x\r\n\r\n");
  assert.match(await receive(client), /x: http:\/\/localhost\/\/elsewhere\/livez\r\n/);
  await server.close();
});

Deno.test("HttpServer says no more than 500 of a handler that fails, and goes on", async () => {
  const { clock, server, connect } = open(() => Promise.reject(new Error("secret")));
  const { client } = await connect();
  for (let i = 0; i < 2; i++) {
    await send(client, GET);
    const answer = await receive(client);
    assert.match(answer, /^HTTP\/1\.1 500 Internal Server Error\r\n/);
    assert.ok(!answer.includes("secret"));
    await clock.advance(0);
  }
  await server.close();
});

Deno.test("HttpServer streams an answer as it comes, and cancels it when the client has left", async () => {
  let stream!: ReadableStreamDefaultController<Uint8Array>;
  const cancelled = Promise.withResolvers<void>();
  const { clock, server, connect } = open(() =>
    Promise.resolve(
      new Response(
        new ReadableStream<Uint8Array>({
          start: (controller) => void (stream = controller),
          cancel: () => cancelled.resolve(),
        }),
      ),
    )
  );
  const { client, conn } = await connect();
  await send(client, GET);
  assert.match(
    await receive(client),
    /transfer-encoding: chunked\r\n\r\n$/,
    "the head does not wait for the body",
  );
  stream.enqueue(new Uint8Array()); // no chunk: that would be the end
  stream.enqueue(encoder.encode("first"));
  assert.equal(await receive(client), "5\r\nfirst\r\n");
  conn.reset();
  stream.enqueue(encoder.encode("second"));
  stream.enqueue(encoder.encode("third"));
  await clock.advance(0);
  await cancelled.promise;
  await server.close();
});

Deno.test("HttpServer cancels an answer whose client has left before it began", async () => {
  const answers = Promise.withResolvers<Response>();
  const cancelled = Promise.withResolvers<void>();
  const { clock, server, connect } = open(() => answers.promise);
  const { client, conn } = await connect();
  await send(client, GET);
  await clock.advance(0);
  conn.reset();
  answers.resolve(new Response(new ReadableStream({ cancel: () => cancelled.resolve() })));
  await cancelled.promise;
  await server.close();
});

Deno.test("HttpServer tells an event stream when its client leaves, and reuses no connection after one", async () => {
  const left = Promise.withResolvers<void>();
  const { clock, server, connect } = open(({ signal }) => {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) =>
        signal.addEventListener("abort", () => {
          controller.close();
          left.resolve();
        }),
    });
    return Promise.resolve(new Response(body, { headers: { "content-type": "text/event-stream" } }));
  });
  const { client, conn } = await connect();
  await send(client, GET);
  assert.match(await receive(client), /transfer-encoding: chunked\r\nconnection: close\r\n\r\n$/);
  await send(client, GET); // discarded
  await clock.advance(HTTP_LIMITS.idleMs * 10);
  assert.equal(conn.closed, false);
  await client.closeWrite();
  await left.promise;
  await clock.advance(HTTP_LIMITS.lingerMs);
  assert.ok(conn.closed);
  await server.close();
  assert.equal(clock.pending, 0);
});

Deno.test("HttpServer ends event streams first when it needs room, so that probes get theirs", async () => {
  let left = 0;
  const { clock, server, connect } = open((request) => {
    if (!request.url.endsWith("/live")) return hello(request);
    const body = new ReadableStream<Uint8Array>({
      start: (controller) =>
        request.signal.addEventListener("abort", () => {
          left++;
          controller.close();
        }),
    });
    return Promise.resolve(new Response(body, { headers: { "content-type": "text/event-stream" } }));
  });
  for (let stream = 0; stream < 16; stream++) {
    const { client } = await connect();
    await send(client, "GET /live HTTP/1.1\r\nhost: x\r\n\r\n");
    await receive(client);
  }
  for (let probe = 0; probe < 64 - 16; probe++) {
    const { client } = await connect();
    await send(client, GET);
    await receive(client);
  }
  assert.equal(left, 0);
  const { client } = await connect();
  await send(client, GET);
  assert.match(await receive(client), /200 OK/);
  await clock.advance(0);
  assert.equal(left, 1);
  await server.close();
  assert.equal(left, 16);
});

Deno.test("HttpServer frames no body for HTTP/1.0, and sends the head of an empty one", async () => {
  const { server, connect } = open((request) =>
    Promise.resolve(
      request.url.endsWith("/empty")
        ? new Response(new Uint8Array(), { headers: { "content-length": "0" } })
        : new Response("streamed"),
    )
  );
  const old = await connect();
  await send(old.client, "GET / HTTP/1.0\r\n\r\n");
  const answer = await toEnd(old.client);
  assert.ok(answer.endsWith("\r\n\r\nstreamed") && !answer.includes("chunked"), answer);
  const { client } = await connect();
  await send(client, "GET /empty HTTP/1.1\r\nhost: x\r\n\r\n");
  assert.equal(await receive(client), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  await server.close();
});

Deno.test("HttpServer gives a client its time for a request, for a head that has begun, and for reading", async () => {
  const { clock, server, connect } = open(() => Promise.resolve(new Response("x".repeat(1_000))));
  const { idleMs, headMs, writeMs } = HTTP_LIMITS;
  const silent = await connect();
  const slow = await connect();
  const deaf = await connect(100);
  await send(deaf.client, GET);
  await clock.advance(writeMs - 1);
  assert.equal(deaf.conn.closed, false);
  await clock.advance(1);
  assert.ok(deaf.conn.closed, "it takes nothing");
  await send(slow.client, "G");
  await clock.advance(headMs - 1);
  await send(slow.client, "E");
  assert.equal(slow.conn.closed, false);
  await clock.advance(1);
  assert.ok(slow.conn.closed, "a byte now and then does not help");
  const greedy = await connect();
  await send(greedy.client, `${GET}G`);
  await receive(greedy.client);
  await clock.advance(headMs - 1);
  assert.equal(greedy.conn.closed, false);
  await clock.advance(1);
  assert.ok(greedy.conn.closed, "the next head has begun with the request before");
  await clock.advance(idleMs - writeMs - 2 * headMs - 1);
  assert.equal(silent.conn.closed, false);
  await clock.advance(1);
  assert.ok(silent.conn.closed);
  await server.close();
  assert.equal(clock.pending, 0);
});

Deno.test("HttpServer: past its bound the connection gives way whose last request is longest ago", async () => {
  const answers = Promise.withResolvers<Response>();
  const { clock, server, connect } = open((request) =>
    request.url.endsWith("/wait") ? answers.promise : hello(request)
  );
  const busy = await connect();
  const idle: Awaited<ReturnType<typeof connect>>[] = [];
  while (idle.length < HTTP_LIMITS.connections - 1) idle.push(await connect());
  for (const { client } of [...idle.slice(1), idle[0]!]) {
    await send(client, GET);
    await receive(client);
  }
  await send(busy.client, "GET /wait HTTP/1.1\r\nhost: x\r\n\r\n");
  await clock.advance(0);
  const probe = await connect();
  assert.deepEqual(
    idle.flatMap(({ conn }, i) => conn.closed ? [i] : []),
    [1],
    "the first was of use just now",
  );
  await send(probe.client, GET);
  assert.match(await receive(probe.client), /^HTTP\/1\.1 200/);
  answers.resolve(new Response("done"));
  assert.match(await receive(busy.client), /^HTTP\/1\.1 200/);
  await server.close();
});

Deno.test("HttpServer: clients that never read do not keep others out", async () => {
  const { server, connect } = open(() => Promise.resolve(new Response("x".repeat(1_000))));
  const deaf: Awaited<ReturnType<typeof connect>>[] = [];
  while (deaf.length < HTTP_LIMITS.connections) deaf.push(await connect(100));
  for (const { client } of deaf) await send(client, GET);
  const { client } = await connect();
  assert.deepEqual(deaf.flatMap(({ conn }, i) => conn.closed ? [i] : []), [0], "the oldest gives way");
  await send(client, GET);
  assert.match(await receive(client), /^HTTP\/1\.1 200/);
  await server.close();
});

Deno.test("HttpServer: beside clients that never read, one that has just come is not the first to give way", async () => {
  const { server, connect } = open(() => Promise.resolve(new Response("x".repeat(1_000))));
  for (let i = 1; i < HTTP_LIMITS.connections; i++) await send((await connect(100)).client, GET);
  const { client } = await connect();
  await connect();
  await send(client, GET);
  assert.match(await receive(client), /^HTTP\/1\.1 200/);
  await server.close();
});

Deno.test("HttpServer outlives running out of descriptors, and says so", async () => {
  const { clock, log, listener, server, connect } = open();
  listener.fail("ENOTCONN");
  await clock.advance(0);
  assert.equal(log.records.length, 0, "a client that has left before is no fault");
  listener.fail("EMFILE");
  await clock.advance(0);
  assert.equal(log.of("admin_accept_failed").length, 1);
  await clock.advance(100);
  const { client } = await connect();
  await send(client, GET);
  assert.match(await receive(client), /^HTTP\/1\.1 200/);
  assert.equal(log.of("admin_accept_failed_recovered").length, 1);
  await server.close();
});

Deno.test("HttpServer also closes during a pause between accepts", async () => {
  const { clock, listener, server } = open();
  listener.fail("EMFILE");
  await clock.advance(0);
  await server.close();
  assert.equal(clock.pending, 0);
});
