/**
 * Real clients wait behind a load balancer that closes connections on which nothing moves, as HAProxy, nginx and Envoy do in
 * their usual settings. For as long as a client waits, neither it nor the daemon has anything to say.
 *
 * @module
 */
import assert from "node:assert/strict";
import { writeAll } from "../../lib/base/conn.ts";
import { CLIENT_NAMES } from "./build_clients.ts";
import { assertServed } from "./program.ts";
import { scenario } from "./scenario.ts";
import { delay } from "./waiting.ts";

/** The gateway closes after this long, in ms; the common ones do after 50 to 60 s. */
const SILENCE_MS = 25_000;

/** Clients wait for so long, in ms: one sign of life would not do. */
const WAIT_MS = 60_000;

/** Forwards connections, and closes those on which no byte has moved for a while, in either direction. */
class ImpatientGateway implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #to: Deno.ConnectOptions;
  /** Connections that it has closed. */
  closed = 0;

  constructor(address: string) {
    const { hostname, port } = new URL(address.replace(/^tcp:/, "http:"));
    this.#to = { hostname, port: Number(port) };
    void this.#run();
  }

  get address(): string {
    return `tcp://127.0.0.1:${this.#listener.addr.port}`;
  }

  async #run(): Promise<void> {
    for await (const client of this.#listener) void this.#serve(client).catch(() => {});
  }

  async #serve(client: Deno.TcpConn): Promise<void> {
    const server = await Deno.connect(this.#to) as Deno.TcpConn;
    const conns = [client, server];
    const close = () => conns.splice(0).forEach((conn) => conn.close());
    let timer: ReturnType<typeof setTimeout> | undefined;
    const moved = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        this.closed++;
        close();
      }, SILENCE_MS);
    };
    const copy = async (from: Deno.TcpConn, to: Deno.TcpConn) => {
      const buffer = new Uint8Array(64 * 1024);
      for (let n = await from.read(buffer); n !== null; n = await from.read(buffer)) {
        moved();
        await writeAll(to, buffer.subarray(0, n));
      }
      await to.closeWrite();
    };
    moved();
    try {
      await Promise.all([copy(client, server), copy(server, client)]);
    } finally {
      clearTimeout(timer);
      close();
    }
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }
}

scenario(
  `clients wait for ${WAIT_MS / 1_000} s behind a load balancer that closes after ${
    SILENCE_MS / 1_000
  } s of silence, and build`,
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram()).untilReady();
    using gateway = new ImpatientGateway(program.clientAddress);
    cluster.kubelet.behaviour.start.shut();
    const { address } = gateway;
    const builds = await Promise.all(
      CLIENT_NAMES.map((client) => cluster.build(undefined, { client, address })),
    );
    await program.untilAtLeastHeld(CLIENT_NAMES.length, { explain: () => cluster.report() });
    await delay(WAIT_MS);
    assert.equal(gateway.closed, 0, "every connection of a client that waits looks used");
    cluster.kubelet.behaviour.start.open();
    await Promise.all(builds.map((build) => build.finish()));
    await program.untilNoneOpen();
    const served = program.ended.filter(({ outcome }) => outcome !== "client_left");
    served.forEach(assertServed);
    assert.ok(served.some(({ heldMs }) => Number(heldMs) >= WAIT_MS), JSON.stringify(program.ended));
    assert.deepEqual(cluster.timeline.counts, [0, 1]);
    assert.equal(await program.stop(), 0);
  },
);
