/**
 * A laptop that sleeps: its session through the API server ends, its record lapses, and it joins again before it serves.
 * The whole program, on clocks that the test moves. (That nothing is scaled away under other proxies meanwhile, the
 * simulation checks: it suspends proxies, too.)
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Conn } from "../../../lib/base/network.ts";
import { askForUpgrade } from "../../../lib/kube/upgrade.ts";
import { HttpListener } from "../../../lib/miniature/http_listener.ts";

import { VirtualProgram } from "../../support/virtual_program.ts";

const MINUTE_MS = 60_000;
const API = { hostname: "192.0.2.200", port: 6443 };

/** A program that reaches its pods through an API server on the network in memory, whose streams a test may silence. */
function onLaptop() {
  const way = { silent: false };
  const program: VirtualProgram = new VirtualProgram({
    cluster: { replicas: 1 },
    settings: { upstream: "port-forward", idleTimeoutMs: "2m" },
    access: {
      http: {
        send: (request) => program.http.send(request),
        upgrade: async (request) =>
          await askForUpgrade(silenced(await program.network.connect(API, request.signal), way), request),
        reset: () => {},
        close: () => {},
      },
    },
  });
  const listener = new HttpListener(program.cluster.api, program.network, API);
  return { program, listener, way };
}

/** A connection that carries nothing any more while the way is silent: its peer forgot it while the machine slept. */
function silenced(conn: Conn, way: { readonly silent: boolean }): Conn {
  return Object.assign(Object.create(conn) as Conn, {
    remoteAddr: conn.remoteAddr,
    read: async (buffer: Uint8Array) => {
      const n = await conn.read(buffer);
      return way.silent ? await new Promise<never>((_, reject) => closers.push(reject)) : n;
    },
    write: (bytes: Uint8Array) => way.silent ? Promise.resolve(bytes.length) : conn.write(bytes),
    close: () => {
      for (const reject of closers.splice(0)) reject(new Deno.errors.BadResource("Bad resource ID"));
      conn.close();
    },
  });
}
const closers: ((reason: Error) => void)[] = [];

Deno.test("runApp() on a laptop that has slept: the dead session ends within two minutes, and a new one is served", async () => {
  const { program, listener, way } = onLaptop();
  await using _listener = listener;
  await using _program = program;
  await program.pass(1_000);
  await program.start();
  const client = await program.connect("hello");
  await program.pass(1_000);
  assert.equal(client.text, "hello");
  await program.pass(MINUTE_MS);
  way.silent = true;
  program.clock.suspend(8 * 60 * MINUTE_MS);
  await program.pass(MINUTE_MS);
  assert.equal(program.log.of("session_ended").length, 0);
  await program.pass(2 * MINUTE_MS);
  assert.equal(program.log.of("session_ended")[0]?.fields["outcome"], "upstream_reset");
  assert.ok(client.ended !== undefined);
  assert.equal(program.log.of("own_record_expired").length, 1);
  const claims = program.log.of("replicas_claimed").map(({ fields }) => fields["because"]);
  assert.deepEqual(claims, ["the proxy has joined", "the proxy has joined"], "it has joined again");
  assert.equal(program.cluster.replicas, 1, "it had a session until then");
  way.silent = false;
  assert.equal((await program.admin("/readyz")).status, 200);
  const next = await program.connect("again");
  await program.pass(2_000);
  assert.equal(next.text, "again");
});
