/**
 * Serves the miniature API server over HTTP/1.1 on a socket. Written out, rather than `Deno.serve`, so that it can do
 * what a broken server does: drop a connection without an answer, fall silent, be gone and come back; and so that it
 * runs on any {@link Network}. Plain HTTP, no request trailers, no pipelining.
 *
 * @module
 */
import { parseRequestHead, responseBytes } from "../base/http1_server.ts";
import type { Address, Conn, Listener, Network } from "../base/network.ts";
import type { ApiServer } from "./api_server.ts";
import { ByteReader, closeQuietly, writeAll } from "./bytes.ts";
import { isWebSocketRequest, servePortForward } from "./port_forward.ts";

/** One HTTP front of an API server. */
export class HttpListener {
  readonly #api: ApiServer;
  readonly #network: Network;
  readonly #client: string;
  readonly #conns = new Set<Conn>();
  readonly #tasks = new Set<Promise<void>>();
  #listener: Listener;
  readonly #addr: Address;

  /** Listens at once. `client` labels the requests in the server's log. */
  constructor(api: ApiServer, network: Network, address: Address, client = "tcp") {
    this.#api = api;
    this.#network = network;
    this.#client = client;
    this.#listener = network.listen(address);
    this.#addr = this.#listener.addr;
    this.#start();
  }

  /** Where it listens. */
  get addr(): Address {
    return this.#addr;
  }

  /** `http://127.0.0.1:<port>`. */
  get url(): URL {
    return new URL(`http://${this.addr.hostname}:${this.addr.port}`);
  }

  /** Drops all connections and listens no more, as a killed server. */
  stop(): void {
    try {
      this.#listener.close();
    } catch { /* it is closed */ }
    for (const conn of this.#conns) closeQuietly(conn);
  }

  /** Listens again, on the same port. */
  restart(): void {
    this.#listener = this.#network.listen(this.addr);
    this.#start();
  }

  /** Stops, and waits until nothing runs any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await Promise.all(this.#tasks);
  }

  #start(): void {
    this.#run(this.#acceptAll(this.#listener));
  }

  #run(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }

  async #acceptAll(listener: Listener): Promise<void> {
    while (true) {
      let conn: Conn;
      try {
        conn = await listener.accept();
      } catch {
        return;
      }
      conn.setNoDelay(true);
      this.#conns.add(conn);
      this.#run(
        this.#serve(conn).catch(() => {}).finally(() => {
          this.#conns.delete(conn);
          closeQuietly(conn);
        }),
      );
    }
  }

  async #serve(conn: Conn): Promise<void> {
    const reader = new ByteReader(conn);
    while (true) {
      const text = await reader.until("\r\n\r\n");
      const head = parseRequestHead(text?.slice(0, -4) ?? "");
      if (head === undefined) return;
      const headers = Object.fromEntries(head.headers);
      const body = headers["transfer-encoding"] === "chunked"
        ? await readChunks(reader)
        : await reader.exactly(Number(headers["content-length"] ?? 0));
      if (body === null) return;
      const controller = new AbortController();
      // The client has nothing to say until it is answered: an end of its stream means that it has gone.
      const gone = reader.peek().then((more) => more || controller.abort(new Error("The client has gone")));
      const request = {
        method: head.method,
        url: new URL(head.target, this.url),
        headers,
        body: body.length === 0 ? undefined : new TextDecoder().decode(body),
        signal: controller.signal,
      };
      const client = headers["x-client"] ?? this.#client;
      const accepted = isWebSocketRequest(headers)
        ? await this.#api.portForward(request, client)
        : await this.#api.handle(request, client);
      if ("hostname" in accepted) {
        return await servePortForward(conn, reader, headers, accepted, this.#network);
      }
      const response = accepted;
      try {
        for await (const bytes of responseBytes(head, response, false)) await writeAll(conn, bytes);
      } catch {
        return await response.body.cancel().catch(() => {});
      }
      await gone;
    }
  }
}

async function readChunks(reader: ByteReader): Promise<Uint8Array | null> {
  let whole = new Uint8Array();
  while (true) {
    const line = await reader.until("\r\n");
    if (line === null) return null;
    const size = parseInt(line, 16);
    const chunk = await reader.exactly(size + 2);
    if (chunk === null) return null;
    if (size === 0) return whole;
    const longer = new Uint8Array(whole.length + size);
    longer.set(whole);
    longer.set(chunk.subarray(0, size), whole.length);
    whole = longer;
  }
}
