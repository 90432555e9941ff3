/**
 * How both ways to speak HTTP begin and end connections: to whom nothing is sent, and that nothing stays open.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createServer as createTlsServer } from "node:tls";
import { TlsHttp } from "../../../lib/kube/tls_http.ts";
import { within } from "../../support/deadline.ts";
import { never } from "../../unit/kube/fakes.ts";
import {
  base,
  ca,
  fetchText,
  good,
  KINDS,
  otherCa,
  rawTls,
  textOf,
  using,
  withNodeServer,
  withServer,
} from "./http_stage.ts";

for (
  const [what, answer] of [
    ["has been read", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"],
    ["is malformed", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"],
    ["has no head", "220 smtp.example ESMTP\r\n"],
  ] as const
) {
  Deno.test(`TlsHttp ends its connection when the answer ${what}, although the server would not`, async () => {
    const gone = Promise.withResolvers<void>();
    const server = rawTls((socket) => {
      socket.on("close", () => gone.resolve());
      socket.write(answer);
    });
    await withNodeServer(server, async (port) => {
      await using(new TlsHttp(base), async (http) => {
        await fetchText(http, new URL(`https://127.0.0.1:${port}/`)).catch(() => {});
        await within(gone.promise, "the end of the connection");
      });
    });
  });
}

for (const [kind, make] of KINDS) {
  Deno.test(`${kind} sends no credentials to a server whose certificate it does not accept`, async () => {
    let received = 0;
    const ended = Promise.withResolvers<void>();
    const server = createTlsServer({ cert: good.cert, key: good.key }, (socket) => {
      socket.on("error", () => {});
      socket.on("data", (bytes) => received += bytes.length);
    });
    server.on("connection", (socket) => socket.on("close", () => ended.resolve()));
    await withNodeServer(server, async (port) => {
      await using(make({ ca: otherCa.cert }), async (http) => {
        const url = new URL(`https://127.0.0.1:${port}/`);
        await assert.rejects(fetchText(http, url, { authorization: "Bearer secret" }), /is not signed by/);
        await within(ended.promise, "the end of the connection");
      });
    });
    assert.equal(received, 0);
  });

  Deno.test(`${kind} sends nothing once it is closed`, async () => {
    await withServer(() => new Response("hello"), good, async (url) => {
      const http = make();
      assert.equal(await fetchText(http, url), "hello");
      http.close();
      await assert.rejects(fetchText(http, url), /^Error: Cannot send a request: the HTTP client is closed$/);
    });
  });

  Deno.test(`${kind} trusts another authority when it is told to`, async () => {
    await withServer(() => new Response("hello"), good, async (url) => {
      await using(make({ ca: otherCa.cert }), async (http) => {
        await assert.rejects(fetchText(http, url), /is not signed by the test authority/);
        http.trust(ca.cert);
        assert.equal(await fetchText(http, url), "hello");
      });
    });
  });
}

Deno.test("TlsHttp ends requests under way when it is closed", async () => {
  const arrived = Promise.withResolvers<void>();
  await withNodeServer(rawTls(() => arrived.resolve()), async (port) => {
    const http = new TlsHttp(base);
    const pending = fetchText(http, new URL(`https://127.0.0.1:${port}/`));
    pending.catch(() => {});
    await arrived.promise;
    http.close();
    await assert.rejects(pending, /it ended the connection$/);
  });
});

Deno.test("TlsHttp states the length of a body, also of an empty one, and the host with its port", async () => {
  const seen: string[] = [];
  const server = rawTls((socket, request) => {
    seen.push(request);
    socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  });
  await withNodeServer(server, async (port) => {
    await using(new TlsHttp(base), async (http) => {
      const url = new URL(`https://127.0.0.1:${port}/a?b`);
      for (const body of [undefined, "", "é"]) {
        await textOf((await http.send({ method: "PUT", url, headers: {}, body, signal: never })).body);
      }
      const head = `PUT /a?b HTTP/1.1\r\nhost: ${url.host}\r\nconnection: close\r\n`;
      assert.deepEqual(seen.map((request) => request.split("\r\n\r\n")[0] + "\r\n"), [
        head,
        `${head}content-length: 0\r\n`,
        `${head}content-length: 2\r\n`,
      ]);
    });
  });
});
