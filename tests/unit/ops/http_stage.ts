/**
 * The admin port's HTTP server on connections in memory and a clock that the test moves.
 *
 * @module
 */
import type { Conn, Listener } from "../../../lib/base/network.ts";
import { type HttpHandler, HttpServer } from "../../../lib/ops/http_server.ts";
import { MemoryConn, readAll } from "../../support/memory_network.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

/** Accepts what a test hands it. */
export class QueueListener implements Listener {
  readonly addr = { hostname: "192.0.2.1", port: 1 };
  #next = Promise.withResolvers<Conn>();

  async accept(): Promise<Conn> {
    try {
      return await this.#next.promise;
    } finally {
      this.#next = Promise.withResolvers();
    }
  }

  close(): void {
    this.#next.promise.catch(() => {});
    this.#next.reject(new Deno.errors.BadResource("Listener has been closed"));
  }

  give(conn: Conn): void {
    this.#next.resolve(conn);
  }

  fail(code: string): void {
    this.#next.reject(Object.assign(new Error(code), { code }));
  }
}

/** Says what was asked. */
export const hello: HttpHandler = (request) => {
  const { pathname, search } = new URL(request.url);
  const body = `${request.method} ${pathname}${search}\n`;
  return Promise.resolve(new Response(body, { headers: { "content-length": `${body.length}` } }));
};

/** A server with that handler, and the way to connect to it. */
export function open(handler: HttpHandler = hello) {
  const clock = new VirtualClock();
  const log = recordingLog();
  const listener = new QueueListener();
  const server = new HttpServer(listener, handler, { clock, log });
  const connect = async (capacityBytes?: number) => {
    const options = capacityBytes === undefined ? {} : { capacityBytes };
    const [client, conn] = MemoryConn.pair(options);
    listener.give(conn);
    await clock.advance(0);
    return { client, conn };
  };
  return { clock, log, listener, server, connect };
}

/** For bytes of a body. */
export const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Sends text; does not wait until it was read. */
export function send(client: Conn, text: string): Promise<number> {
  return client.write(encoder.encode(text));
}

/** What has come by now, or comes next. */
export async function receive(client: Conn): Promise<string> {
  const buffer = new Uint8Array(64 * 1024);
  const count = await client.read(buffer);
  return count === null ? "the end" : decoder.decode(buffer.subarray(0, count));
}

/** All that comes until the connection ends. */
export async function toEnd(client: Conn): Promise<string> {
  return decoder.decode(await readAll(client));
}

/** A whole request. */
export const GET = "GET /a?b HTTP/1.1\r\nhost: x\r\n\r\n";
