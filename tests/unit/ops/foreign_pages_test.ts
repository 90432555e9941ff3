/**
 * Which requests of web pages the admin port refuses.
 *
 * @module
 */
import assert from "node:assert/strict";
import { MemoryConn } from "../../support/memory_network.ts";
import { hello, open, receive, send } from "./http_stage.ts";

/** What a request gets that arrives at `local`. */
async function answered(local: string | undefined, headers: readonly string[], version = "1.1") {
  const { clock, listener, server } = open(hello);
  const [client, conn] = MemoryConn.pair();
  listener.give(
    local === undefined ? conn : Object.assign(conn, { localAddr: { hostname: local, port: 8081 } }),
  );
  await send(client, [`GET /status.json HTTP/${version}`, ...headers, "", ""].join("\r\n"));
  await clock.advance(0);
  const answer = await receive(client);
  await server.close();
  return { status: Number(answer.slice(9, 12)), answer };
}

const LOOPBACK = ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"];
const OTHERS = ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", undefined];
const OWN = ["localhost", "LOCALHOST:8081", "127.0.0.1:1", "192.0.2.1:8081", "[::1]:8081", "[2001:db8::1]"];
const NAMES = [
  "evil.example",
  "evil.example:8081",
  "localhost.evil.example",
  "127.0.0.1.nip.io",
  "buildkitd",
  "",
];

Deno.test("HttpServer answers on a loopback address for localhost and IP addresses only", async () => {
  for (const local of LOOPBACK) {
    for (const host of OWN) {
      assert.equal((await answered(local, [`host: ${host}`])).status, 200, `${local} ${host}`);
    }
    for (const host of NAMES) {
      const { status, answer } = await answered(local, [`host: ${host}`]);
      assert.equal(status, 403, `${local} ${host}`);
      assert.ok(answer.includes(`found the Host "${host}", want "localhost" or an IP address`), answer);
      assert.ok(!answer.includes("GET /status.json"));
    }
    // No browser speaks HTTP/1.0; health checks of load balancers do.
    assert.equal((await answered(local, [], "1.0")).status, 200);
  }
});

Deno.test("HttpServer answers on other addresses whatever the name", async () => {
  for (const local of OTHERS) {
    for (const host of [...OWN, ...NAMES]) {
      assert.equal((await answered(local, [`host: ${host}`])).status, 200);
    }
  }
});

Deno.test("HttpServer refuses what a page of another origin asks, on every address", async () => {
  for (
    const [host, origin, status] of [
      ["localhost:8081", "http://localhost:8081", 200],
      ["192.0.2.1", "http://192.0.2.1", 200],
      ["status.example", "https://status.example", 200],
      ["status.example:443", "https://status.example", 200],
      ["[::1]:8081", "http://[::1]:8081", 200],
      ["localhost:8081", "http://localhost:3000", 403],
      ["localhost:8081", "http://localhost", 403],
      ["localhost:8081", "https://evil.example", 403],
      ["status.example", "https://other.example", 403],
      ["localhost:8081", "null", 403],
      ["localhost:8081", "", 403],
    ] as const
  ) {
    for (const local of ["192.0.2.1", ...(/^[^s]/.test(host) ? ["127.0.0.1"] : [])]) {
      const { status: found, answer } = await answered(local, [`host: ${host}`, `origin: ${origin}`]);
      assert.equal(found, status, `${local} ${host} ${origin}`);
      assert.equal(answer.includes("of another origin"), status === 403);
    }
  }
});
