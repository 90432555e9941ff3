/**
 * The contract of port-forwarding: what `lib/kube/port_forward.ts` relies on, as tests that run against the miniature API
 * server, and against a real kube-apiserver in front of the kubelet's own streaming server.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type Clock, systemClock } from "../../../lib/base/clock.ts";
import type { Conn } from "../../../lib/base/network.ts";
import { ApiError } from "../../../lib/kube/api_error.ts";
import type { KubeClient } from "../../../lib/kube/client.ts";
import { openPortForward } from "../../../lib/kube/port_forward.ts";
import { KEEP_ALIVE_MS } from "../../../lib/kube/websocket.ts";
import { within } from "../../support/deadline.ts";

/** Serves one connection in the pod; it is closed when this is over. */
export type ServeInPod = (conn: Deno.Conn) => Promise<void>;

/** One pod, and a way to it. */
export interface PortForwardTarget {
  readonly client: KubeClient;
  readonly namespace: string;
  /** A pod that runs in this process. */
  readonly pod: string;
  /** Its address. */
  readonly hostname: string;
}

/** What a clause works with: servers in the pod, which are closed after it, and connections to them. */
export class PortForwardContract implements AsyncDisposable {
  readonly #target: PortForwardTarget;
  readonly #listeners: Deno.Listener[] = [];
  readonly #serving: Promise<void>[] = [];

  constructor(target: PortForwardTarget) {
    this.#target = target;
  }

  /** Starts a server in the pod and gives its port. */
  serve(serve: ServeInPod): number {
    const listener = Deno.listen({ hostname: this.#target.hostname, port: 0 });
    this.#listeners.push(listener);
    this.#serving.push((async () => {
      for await (const conn of listener) {
        const task = serve(conn).catch(() => {}).finally(() => {
          try {
            conn.close();
          } catch { /* it is closed */ }
        });
        this.#serving.push(task);
      }
    })());
    return listener.addr.port;
  }

  /** A port of the pod on which nobody listens: it was free a moment ago. */
  freePort(): number {
    const listener = Deno.listen({ hostname: this.#target.hostname, port: 0 });
    listener.close();
    return listener.addr.port;
  }

  /** Connects to a port of the pod. */
  open(port: number, clock: Clock = systemClock, pod = this.#target.pod): Promise<Conn> {
    const { client, namespace } = this.#target;
    const ports = { clock, random: Math.random };
    return within(
      openPortForward(client, { namespace, pod, port }, ports, new AbortController().signal),
      "the port-forward",
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    while (this.#serving.length > 0) await within(this.#serving.pop()!, "the end of the pod's servers");
  }
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (value: string) => new TextEncoder().encode(value);

/** Says hello, and then sends back what comes, until the client's FIN. */
export const helloAndEcho: ServeInPod = async (conn) => {
  await conn.write(bytesOf("hello"));
  const buffer = new Uint8Array(64 * 1024);
  for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
    for (let at = 0; at < n;) at += await conn.write(buffer.subarray(at, n));
  }
};

/** Reads so many bytes, or fewer at the end. */
export async function readBytes(conn: Pick<Conn, "read">, lengthBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes);
  let at = 0;
  for (let n = await conn.read(bytes); n !== null && (at += n) < lengthBytes;) {
    n = await conn.read(bytes.subarray(at));
  }
  return bytes.subarray(0, at);
}

/** Waits until `count` has not changed for some time: with sockets between, there is no event that says so. */
export async function standsStill(count: () => number): Promise<void> {
  for (let last = -1, same = 0; same < 5;) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    same = count() === last && last > 0 ? same + 1 : 0;
    last = count();
  }
}

/** One clause. */
export interface PortForwardClause {
  /** What is promised. */
  readonly title: string;
  /** Asserts it. */
  run(contract: PortForwardContract): Promise<void>;
}

const STALLED_BYTES = 64 * 1024 * 1024;

/** All clauses. */
export const PORT_FORWARD_CONTRACT: readonly PortForwardClause[] = [
  {
    title: "it carries bytes both ways, and nothing of the protocol's own as data",
    async run(contract) {
      const conn = await contract.open(contract.serve(helloAndEcho));
      assert.equal(text(await readBytes(conn, 5)), "hello");
      await conn.write(bytesOf("there"));
      assert.equal(text(await readBytes(conn, 5)), "there");
      conn.close();
    },
  },
  {
    title: "it connects to a server that lets the client speak first",
    async run(contract) {
      const conn = await contract.open(contract.serve(async (conn) => {
        await conn.write(await readBytes(conn, 3));
      }));
      await conn.write(bytesOf("one"));
      assert.equal(text(await readBytes(conn, 10)), "one");
      conn.close();
    },
  },
  {
    title: "messages of all sizes arrive whole, in both directions at a time",
    async run(contract) {
      const conn = await contract.open(contract.serve(helloAndEcho));
      const sizes = [1, 2, 124, 125, 126, 127, 65_533, 65_534, 65_535, 65_536, 1_000_000];
      const sent = sizes.map((size, n) => new Uint8Array(size).map((_, at) => (at * 31 + n) & 255));
      const writing = (async () => {
        for (const bytes of sent) {
          for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
        }
      })();
      assert.equal(text(await readBytes(conn, 5)), "hello");
      for (const bytes of sent) assert.deepEqual(await readBytes(conn, bytes.length), bytes);
      await writing;
      conn.close();
    },
  },
  {
    title: "where nothing listens, the server says so",
    async run(contract) {
      await assert.rejects(contract.open(contract.freePort()), (error: Error) => {
        assert.equal(error.name, "PortForwardError");
        assert.match(
          error.message,
          /^Cannot connect to port \d+ of pod "\S+": error forwarding port .*refused/,
        );
        return true;
      });
    },
  },
  {
    title: "a server that ends the connection at once was not reached, or has ended it",
    async run(contract) {
      // containerd says so a second later, when it may count as connected already.
      const conn = await contract.open(contract.serve(() => Promise.resolve())).catch((error) => {
        assert.match(error.message, /Cannot connect to port \d+ of pod "\S+": the connection was closed/);
      });
      if (conn === undefined) return;
      assert.equal(await within(conn.read(new Uint8Array(1)), "the end of the stream"), null);
      conn.close();
    },
  },
  {
    title: "a pod that does not exist is a 404",
    async run(contract) {
      await assert.rejects(contract.open(1234, undefined, "buildkitd-9"), (error: Error) => {
        assert.ok(error instanceof ApiError && error.status === 404, String(error));
        assert.match(error.message, /pods "buildkitd-9" not found/);
        return true;
      });
    },
  },
  {
    title: "the end of the server's connection is an end of the stream, after all that it has sent",
    async run(contract) {
      const conn = await contract.open(contract.serve(async (conn) => {
        await conn.write(bytesOf("hello"));
        await readBytes(conn, 3);
        await conn.write(new Uint8Array(300_000).fill(7));
      }));
      await conn.write(bytesOf("end"));
      const got = await readBytes(conn, 400_000);
      assert.equal(got.length, 300_005);
      assert.equal(got.at(-1), 7);
      assert.equal(await conn.read(new Uint8Array(1)), null);
      conn.close();
    },
  },
  {
    title: "after closeWrite() what is on its way arrives, and then both sides end",
    async run(contract) {
      const ended = Promise.withResolvers<number | null>();
      const conn = await contract.open(contract.serve(async (conn) => {
        await conn.write(bytesOf("hello"));
        await conn.write(await readBytes(conn, 3));
        ended.resolve(await conn.read(new Uint8Array(1)));
      }));
      await conn.write(bytesOf("end"));
      await conn.closeWrite();
      assert.equal(text(await within(readBytes(conn, 100), "the end of the stream")), "helloend");
      assert.equal(await within(ended.promise, "the end of the connection in the pod"), null);
      conn.close();
    },
  },
  {
    title: "close() ends the connection in the pod",
    async run(contract) {
      const ended = Promise.withResolvers<number | null>();
      const conn = await contract.open(contract.serve(async (conn) => {
        await conn.write(bytesOf("hello"));
        ended.resolve(await conn.read(new Uint8Array(1)));
      }));
      conn.close();
      assert.equal(await within(ended.promise, "the end of the connection in the pod"), null);
    },
  },
  {
    title: "Pings and empty messages disturb nothing",
    async run(contract) {
      let rounds = 0;
      const fifth = Promise.withResolvers<void>();
      const clock: Clock = {
        ...systemClock,
        setTimer: (delayMs, callback) =>
          systemClock.setTimer(delayMs === KEEP_ALIVE_MS ? 20 : delayMs, () => {
            if (delayMs === KEEP_ALIVE_MS && ++rounds === 5) fifth.resolve();
            callback();
          }),
      };
      const conn = await contract.open(contract.serve(helloAndEcho), clock);
      assert.equal(text(await readBytes(conn, 5)), "hello");
      const reading = readBytes(conn, 5);
      await within(fifth.promise, "five Pings");
      await conn.write(bytesOf("there"));
      assert.equal(text(await reading), "there");
      conn.close();
    },
  },
  {
    title: "of what nobody reads only a part is taken in, and then all of it comes",
    async run(contract) {
      let sent = 0;
      const conn = await contract.open(contract.serve(async (conn) => {
        const chunk = new Uint8Array(64 * 1024).fill(7);
        while (sent < STALLED_BYTES) sent += await conn.write(chunk.subarray(0, STALLED_BYTES - sent));
      }));
      await standsStill(() => sent);
      assert.ok(sent < STALLED_BYTES / 2, `${sent} bytes were taken in`);
      const buffer = new Uint8Array(256 * 1024);
      let read = 0;
      for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
        read += n;
        assert.equal(buffer[n - 1], 7);
      }
      assert.equal(read, STALLED_BYTES);
      conn.close();
    },
  },
  {
    title: "of what the pod does not read only a part is taken, and then it gets all",
    async run(contract) {
      const go = Promise.withResolvers<void>();
      let received = 0;
      const conn = await contract.open(contract.serve(async (conn) => {
        await conn.write(bytesOf("hello"));
        await go.promise;
        const buffer = new Uint8Array(256 * 1024);
        while (received < STALLED_BYTES) received += (await conn.read(buffer))!;
        await conn.write(bytesOf("bye"));
      }));
      let taken = 0;
      const chunk = new Uint8Array(256 * 1024);
      const writing = (async () => {
        while (taken < STALLED_BYTES) taken += await conn.write(chunk.subarray(0, STALLED_BYTES - taken));
      })();
      await standsStill(() => taken);
      assert.ok(taken < STALLED_BYTES / 2, `${taken} bytes were taken`);
      go.resolve();
      await within(writing, "the end of the writes");
      assert.equal(text(await readBytes(conn, 8)), "hellobye");
      assert.equal(received, STALLED_BYTES);
      conn.close();
    },
  },
];
