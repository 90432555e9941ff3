/**
 * Connections of load balancers, which begin with a header of the PROXY protocol, on real sockets.
 *
 * @module
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { systemClock } from "../../../lib/base/clock.ts";
import { concat } from "../../../lib/base/bytes.ts";
import { parseIpNetwork } from "../../../lib/config/ip_networks.ts";
import { Arrivals } from "../../../lib/entrance/arrivals.ts";
import { Entrance } from "../../../lib/entrance/entrance.ts";
import { denoNetwork } from "../../../lib/proxy/deno_network.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { within } from "../../support/deadline.ts";
import { v2Header } from "../../support/proxy_headers.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { settleWithSockets } from "../../support/virtual_clock.ts";
import { readToEnd, receive, send } from "./stage.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const V1 = bytesOf("PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n");

/** An entrance without TLS, and its client. */
async function stage(from = "127.0.0.0/8") {
  const log = recordingLog();
  const metrics = countedMetrics(() => {});
  const entrance = new Entrance(
    denoNetwork.listen({ hostname: "127.0.0.1", port: 0 }),
    { proxiesFrom: [parseIpNetwork(from)!] },
    { log, metrics, arrivals: new Arrivals(systemClock) },
  );
  const accepting = within(entrance.accept(), "a connection that has passed the entrance");
  accepting.catch(() => {});
  const client = await denoNetwork.connect(entrance.addr, new AbortController().signal);
  return {
    log,
    metrics,
    accepting,
    client,
    port: entrance.addr.port,
    [Symbol.dispose]() {
      entrance.close();
      client.close();
    },
  };
}

for (const [version, header] of [[1, V1], [2, v2Header({ extensions: 40 })]] as const) {
  Deno.test(`Entrance takes the client's address from a header of version ${version}, and no byte with it`, async () => {
    using parts = await stage();
    const { accepting, client } = parts;
    await send(client, concat([header, bytesOf("hello")]));
    const conn = await accepting;
    assert.deepEqual(conn.remoteAddr, { hostname: "203.0.113.7", port: 4711 });
    const small = new Uint8Array(2);
    assert.equal(await conn.read(small), 2);
    assert.equal(new TextDecoder().decode(small), "he");
    assert.equal(await receive(conn), "llo");
    await send(client, " again");
    await client.closeWrite();
    assert.equal(new TextDecoder().decode(await readToEnd(conn)), " again");
    await send(conn, "answer");
    assert.equal(await receive(client), "answer");
    await conn.closeWrite();
    assert.equal(await receive(client), null);
    conn.close();
  });

  Deno.test(`Entrance takes a header of version ${version} that comes byte by byte`, async () => {
    using parts = await stage();
    const { accepting, client } = parts;
    client.setNoDelay(true);
    for (const byte of header) await send(client, Uint8Array.of(byte));
    const conn = await accepting;
    assert.equal(conn.remoteAddr.hostname, "203.0.113.7");
    await send(client, "hello");
    assert.equal(await receive(conn), "hello");
    conn.close();
  });
}

for (
  const [what, header] of [
    ["LOCAL", v2Header({ command: 0 })],
    ["UNKNOWN", bytesOf("PROXY UNKNOWN\r\n")],
  ] as const
) {
  Deno.test(`Entrance ends a connection that is ${what}, without a line in the log`, async () => {
    using parts = await stage();
    const { log, metrics, client } = parts;
    await send(client, header);
    assert.equal(await receive(client), null);
    assert.deepEqual(log.records.map(({ level }) => level), ["debug"]);
    assert.equal(metrics.value("entrance_failures_total", { cause: "proxy_header" }), 0);
  });
}

for (
  const [what, sent, cause] of [
    [
      "without a header",
      "PRI * HTTP/2.0\r\n\r\n",
      "The PROXY header cannot be used: found no header of the PROXY protocol",
    ],
    ["whose header is not whole", "PROXY TCP4", "The PROXY header is not whole: the connection has ended"],
  ] as const
) {
  Deno.test(`Entrance ends a connection of a load balancer ${what}, and says so`, async () => {
    using parts = await stage();
    const { log, metrics, client } = parts;
    await send(client, sent);
    await client.closeWrite();
    const { level, fields } = await within(
      log.next("connection_rejected"),
      "a line in the log",
    );
    assert.deepEqual([level, fields.cause], ["info", cause]);
    assert.equal(metrics.value("entrance_failures_total", { cause: "proxy_header" }), 1);
    await receive(client).catch(() => {}); // what was not read makes it a reset
  });
}

for (const [what, sent] of [["without a byte", ""], ["within its header", "PROXY TCP4"]] as const) {
  Deno.test(`Entrance is silent about a load balancer that resets a connection ${what}`, async () => {
    using parts = await stage();
    const { accepting, log, metrics, port } = parts;
    const socket = net.connect({ host: "127.0.0.1", port });
    socket.on("error", () => {});
    await within(once(socket, "connect"), "a connection");
    if (sent !== "") socket.write(sent);
    await settleWithSockets();
    socket.resetAndDestroy();
    const { level, fields } = await within(log.next("connection_rejected"), "a record");
    assert.deepEqual([level, fields.cause], ["debug", "The client left before its first bytes were whole"]);
    assert.equal(metrics.value("entrance_failures_total", { cause: "left" }), 1);
    accepting.catch(() => {});
  });
}

Deno.test("Entrance reads no header of a client that is not in the trusted networks", async () => {
  using parts = await stage("192.0.2.0/24");
  const { accepting, client } = parts;
  await send(client, V1);
  const conn = await accepting;
  assert.equal(conn.remoteAddr.hostname, "127.0.0.1");
  assert.equal(await receive(conn), new TextDecoder().decode(V1));
  conn.close();
});
