/**
 * Both ways to speak HTTP against real servers: what they have in common, then what only one of them can do.
 *
 * @module
 */
import assert from "node:assert/strict";
import { connect as connectTcp, createServer as createTcpServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { ClientHttp } from "../../../lib/kube/connection.ts";
import { TlsHttp } from "../../../lib/kube/tls_http.ts";
import { never } from "../../unit/kube/fakes.ts";
import { within } from "../../support/deadline.ts";
import {
  base,
  ca,
  elsewhere,
  fetchText,
  get,
  good,
  KINDS,
  otherCa,
  rawTls,
  textOf,
  using,
  withNodeServer,
  withServer,
} from "./http_stage.ts";

for (const [kind, make] of KINDS) {
  Deno.test(`${kind} sends method, path, headers and body, and gives status, headers and body`, async () => {
    await withServer(
      async (request) => {
        const { pathname, search } = new URL(request.url);
        const seen = [request.method, pathname + search, request.headers.get("x-mine"), await request.text()];
        return new Response(seen.join("|"), { status: 422, headers: { "x-answer": "yes" } });
      },
      good,
      async (url) => {
        await using(make(), async (http) => {
          const target = new URL("/apis/x?watch=1&a=%20", url);
          const request = {
            method: "PUT",
            url: target,
            headers: { "x-mine": "1" },
            body: "grüße",
            signal: never,
          };
          const { status, headers, body } = await http.send(request);
          assert.equal(status, 422);
          assert.equal(headers.get("x-answer"), "yes");
          assert.equal(await textOf(body), "PUT|/apis/x?watch=1&a=%20|1|grüße");
        });
      },
    );
  });

  Deno.test(`${kind} follows no redirect and takes an answer without a body`, async () => {
    await withServer(
      ({ url }) =>
        url.endsWith("/empty")
          ? new Response(null, { status: 204 })
          : Response.redirect("https://elsewhere.example/"),
      good,
      async (url) => {
        await using(make(), async (http) => {
          const redirect = await http.send(get(url));
          await redirect.body.cancel();
          assert.equal(redirect.status, 302);
          assert.equal(await fetchText(http, new URL("/empty", url)), "");
        });
      },
    );
  });

  Deno.test(`${kind} gives the body as it comes, and ends with the signal's own reason`, async () => {
    const encoder = new TextEncoder();
    await withServer(
      () =>
        new Response(
          new ReadableStream({ start: (controller) => controller.enqueue(encoder.encode("first\n")) }),
        ),
      good,
      async (url) => {
        await using(make(), async (http) => {
          const abort = new AbortController();
          const { body } = await http.send(get(url, abort.signal));
          const reader = body.getReader();
          assert.deepEqual((await reader.read()).value, encoder.encode("first\n"));
          const reason = new Error("enough");
          const next = reader.read();
          abort.abort(reason);
          await assert.rejects(next, reason);
        });
      },
    );
  });

  Deno.test(`${kind} ends the wait for an answer with the signal's own reason`, async () => {
    const arrived = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    await withServer(
      async () => {
        arrived.resolve();
        await release.promise;
        return new Response("late");
      },
      good,
      async (url) => {
        await using(make(), async (http) => {
          const abort = new AbortController();
          const pending = http.send(get(url, abort.signal));
          pending.catch(() => {});
          await arrived.promise;
          const reason = new Error("enough");
          abort.abort(reason);
          await assert.rejects(pending, reason);
          await assert.rejects(http.send(get(url, abort.signal)), reason);
          release.resolve();
        });
      },
    );
  });

  Deno.test(`${kind} lets requests under way end after reset() and goes on`, async () => {
    const release = Promise.withResolvers<void>();
    await withServer(
      () =>
        new Response(
          new ReadableStream({
            async start(controller) {
              controller.enqueue(new TextEncoder().encode("a"));
              await release.promise;
              controller.enqueue(new TextEncoder().encode("b"));
              controller.close();
            },
          }),
        ),
      good,
      async (url) => {
        await using(make(), async (http) => {
          const { body } = await http.send(get(url));
          http.reset();
          release.resolve();
          assert.equal(await textOf(body), "ab");
          assert.equal(await fetchText(http, url), "ab");
        });
      },
    );
  });

  Deno.test(`${kind} uses no connection again after reset()`, async () => {
    let connections = 0;
    const server = createTlsServer({ cert: good.cert, key: good.key }, (socket) => {
      const answer = `HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n${String(++connections).padStart(4)}`;
      socket.on("error", () => {});
      socket.on("data", () => socket.write(answer));
    });
    await withNodeServer(server, async (port) => {
      await using(make(), async (http) => {
        const ask = () => fetchText(http, new URL(`https://127.0.0.1:${port}/`));
        const before = new Set([await ask()]);
        // A connection returns to the pool a moment after its answer was read: wait until one has been used again.
        for (let next = await ask(); kind === "FetchHttp" && !before.has(next); next = await ask()) {
          before.add(next);
        }
        http.reset();
        for (let i = 0; i < 5; i++) assert.ok(!before.has(await ask()));
      });
    });
  });

  Deno.test(`${kind} presents a client certificate, and the new one after a change`, async () => {
    const server = rawTls((socket) => {
      const { CN } = (socket as Socket & { getPeerCertificate(): { subject: { CN: string } } })
        .getPeerCertificate().subject;
      socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${CN.length}\r\nconnection: close\r\n\r\n${CN}`);
    }, { ca: [ca.cert], requestCert: true, rejectUnauthorized: true });
    await withNodeServer(server, async (port) => {
      const url = new URL(`https://127.0.0.1:${port}/`);
      await using(make(), async (http) => {
        await assert.rejects(
          fetchText(http, url),
          /Error: Cannot reach the API server "https:\/\/127.0.0.1:\d+": /,
        );
        http.useClientCertificate(await ca.issue({ commonName: "alice" }));
        assert.equal(await fetchText(http, url), "alice");
        http.useClientCertificate(await ca.issue({ commonName: "bob" }));
        assert.equal(await fetchText(http, url), "bob");
      });
    });
  });

  Deno.test(`${kind} reports a body that was cut off`, async () => {
    const cut = (socket: Socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    await withNodeServer(rawTls(cut), async (port) => {
      await using(make(), async (http) => {
        const { body } = await http.send(get(new URL(`https://127.0.0.1:${port}/`)));
        await assert.rejects(textOf(body));
      });
    });
  });

  Deno.test(`${kind} goes through an HTTP proxy with user and password`, async () => {
    const asked: string[] = [];
    const proxy = createTcpServer((socket) => {
      socket.once("data", (bytes) => {
        const request = String(bytes);
        asked.push(request.split("\r\n")[0]!, /^proxy-authorization: (.*)$/im.exec(request)?.[1] ?? "none");
        const port = Number(/:(\d+) /.exec(request)![1]);
        const upstream = connectTcp(port, "127.0.0.1", () => {
          socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
          socket.pipe(upstream).pipe(socket);
        });
        upstream.on("error", () => socket.destroy());
        socket.on("close", () => upstream.destroy());
      });
    });
    await withServer(() => new Response("through"), good, async (url) => {
      await withNodeServer(proxy, async (port) => {
        await using(make({ proxy: new URL(`http://me:p%40ss@127.0.0.1:${port}`) }), async (http) => {
          assert.equal(await fetchText(http, url), "through");
        });
      });
      assert.deepEqual(asked, [`CONNECT ${url.host} HTTP/1.1`, `Basic ${btoa("me:p@ss")}`]);
    });
  });

  const fails = (http: ClientHttp, url: URL, message: RegExp) =>
    using(http, async (http) => {
      await assert.rejects(fetchText(http, url), (error: Error) => {
        assert.match(error.message, /^Cannot reach the API server "https:\/\//);
        assert.match(error.message, message);
        assert.ok(error.cause instanceof Error);
        return true;
      });
    });
  const hello = () => new Response("hello");

  Deno.test(`${kind} explains an unknown issuer`, () =>
    withServer(
      hello,
      good,
      (url) =>
        fails(
          make({ ca: otherCa.cert }),
          url,
          /the server's certificate is not signed by the test authority/,
        ),
    ));

  Deno.test(`${kind} explains a certificate for another name`, () =>
    withServer(hello, elsewhere, (url) =>
      fails(
        make(),
        url,
        /the server's certificate is not for the name "127.0.0.1".*set "tls-server-name"/,
      )));

  Deno.test(`${kind} explains an expired certificate of the server`, async () => {
    const expired = await ca.issue({
      commonName: "api",
      ipAddresses: ["127.0.0.1"],
      notAfter: new Date(Date.now() - 1000),
    });
    await withServer(hello, expired, (url) => fails(make(), url, /has expired/));
  });

  Deno.test(`${kind} explains a port without TLS`, async () => {
    const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, hello);
    await fails(
      make(),
      new URL(`https://127.0.0.1:${server.addr.port}/`),
      /it does not speak TLS on this port/,
    );
    await within(server.shutdown(), "the end of the server's connections");
  });

  Deno.test(`${kind} explains a refused connection`, async () => {
    const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const { port } = listener.addr;
    listener.close();
    await fails(make(), new URL(`https://127.0.0.1:${port}/`), /the connection was refused/);
    const proxy = new URL(`http://127.0.0.1:${port}`);
    await fails(
      make({ proxy }),
      new URL("https://api.example/"),
      new RegExp(
        `through the proxy "127.0.0.1:${port}": the connection was refused, check that the server and`,
      ),
    );
  });

  Deno.test(`${kind} explains a name that does not resolve`, () =>
    fails(
      make(),
      new URL("https://no-such-host.invalid/"),
      /the name "no-such-host.invalid" cannot be resolved/,
    ));

  Deno.test(`${kind} explains a server that ends the handshake`, async () => {
    await withNodeServer(
      createTcpServer((socket) => socket.destroy()),
      (port) => fails(make(), new URL(`https://127.0.0.1:${port}/`), /it ended the connection/),
    );
  });
}

Deno.test("TlsHttp verifies the certificate for another server name", async () => {
  await withServer(() => new Response("hello"), elsewhere, async (url) => {
    await using(new TlsHttp({ ...base, serverName: "kubernetes.example" }), async (http) => {
      assert.equal(await fetchText(http, url), "hello");
    });
    await using(new TlsHttp({ ...base, serverName: "wrong.example" }), async (http) => {
      await assert.rejects(
        fetchText(http, url),
        /not for the name "wrong.example" but for "kubernetes.example"/,
      );
    });
    await using(new TlsHttp({ ...base, serverName: "10.1.1.1" }), async (http) => {
      await assert.rejects(fetchText(http, url), /not for the name "10.1.1.1"/);
    });
  });
  await withServer(() => new Response("hello"), good, async (url) => {
    const byName = new URL(`https://localhost:${url.port}/`);
    await using(new TlsHttp({ ...base, serverName: "127.0.0.1" }), async (http) => {
      assert.equal(await fetchText(http, byName), "hello");
    });
    await using(new TlsHttp({ ...base, serverName: "127.0.0.2" }), async (http) => {
      await assert.rejects(fetchText(http, url), /not for the name "127.0.0.2"/);
    });
  });
});

Deno.test("TlsHttp takes any certificate when told to", async () => {
  await withServer(() => new Response("hello"), elsewhere, async (url) => {
    await using(new TlsHttp({ ...base, ca: undefined, insecure: true }), async (http) => {
      assert.equal(await fetchText(http, url), "hello");
    });
  });
});

Deno.test("TlsHttp sends a header several times", async () => {
  let seen = "";
  await withNodeServer(
    rawTls((socket, request) => {
      seen = request;
      socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    }),
    async (port) => {
      await using(new TlsHttp(base), async (http) => {
        await fetchText(http, new URL(`https://127.0.0.1:${port}/`), { "impersonate-group": "a\nb" });
      });
    },
  );
  assert.match(seen, /impersonate-group: a\r\nimpersonate-group: b\r\n/);
});

Deno.test("TlsHttp applies backpressure: it reads only as fast as its reader", async () => {
  const portion = new Uint8Array(64 * 1024);
  let sent = 0;
  await withServer(
    () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            sent += portion.length;
            controller.enqueue(portion);
            if (sent >= 64 * 1024 * 1024) controller.close();
          },
        }),
      ),
    good,
    async (url) => {
      await using(new TlsHttp(base), async (http) => {
        const { body } = await http.send(get(url));
        const reader = body.getReader();
        let read = (await reader.read()).value!.length;
        // The server stops by itself once the buffers on the way are full: wait until it makes no more progress. (A
        // slow machine can only make this test pass too easily, never fail.)
        for (let before = -1; before !== sent;) {
          before = sent;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        assert.ok(sent < 32 * 1024 * 1024, `the server has sent ${sent} bytes`);
        for (let next = await reader.read(); !next.done; next = await reader.read()) {
          read += next.value.length;
        }
        assert.equal(read, 64 * 1024 * 1024);
      });
    },
  );
});

Deno.test("TlsHttp ends its connection when the body is cancelled", async () => {
  const gone = Promise.withResolvers<void>();
  const server = rawTls((socket) => {
    socket.on("close", () => gone.resolve());
    socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n");
  });
  await withNodeServer(server, async (port) => {
    await using(new TlsHttp(base), async (http) => {
      const { body } = await http.send(get(new URL(`https://127.0.0.1:${port}/`)));
      await body.cancel();
      await gone.promise;
    });
  });
});

Deno.test("TlsHttp refuses a head that is too long or no HTTP, and headers that cannot be sent", async () => {
  const answers = [`HTTP/1.1 200 OK\r\nx: ${"y".repeat(100_000)}\r\n\r\n`, "220 smtp.example ESMTP\r\n"];
  const messages = [/head is too long/, /it does not speak HTTP/];
  for (const [index, answer] of answers.entries()) {
    await withNodeServer(rawTls((socket) => socket.end(answer)), async (port) => {
      await using(new TlsHttp(base), async (http) => {
        const url = new URL(`https://127.0.0.1:${port}/`);
        await assert.rejects(fetchText(http, url), messages[index]!);
        await assert.rejects(fetchText(http, url, { "x-bad": "a\r\nb: c" }), TypeError);
      });
    });
  }
});

Deno.test("TlsHttp says so when the proxy refuses the tunnel", async () => {
  const proxy = (status: string) =>
    createTcpServer((socket) =>
      socket.once("data", () => socket.end(`HTTP/1.1 ${status}\r\ncontent-length: 0\r\n\r\n`))
    );
  for (
    const [status, message] of [
      ["407 Proxy Authentication Required", /the proxy rejected the credentials/],
      ["300 Multiple Choices", /the proxy does not connect to it/],
      ["502 Bad Gateway", /through the proxy "127.0.0.1:\d+": the proxy does not connect to it/],
    ] as const
  ) {
    await withNodeServer(proxy(status), async (port) => {
      await using(new TlsHttp({ ...base, proxy: new URL(`http://127.0.0.1:${port}`) }), async (http) => {
        await assert.rejects(fetchText(http, new URL("https://api.example/")), message);
      });
    });
  }
});
