/**
 * A TLS server whose certificate, and the authority of its clients, change while it runs: new connections meet the new
 * ones, and those that are open stay. Each request is answered by the test.
 *
 * @module
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import type { TestCertificate } from "./certificates.ts";

/** A request as it has come. */
export interface SeenRequest {
  /** Its path and query. */
  readonly path: string;
  /** Its `authorization`. */
  readonly authorization: string | undefined;
  /** The common name of the client's certificate. */
  readonly client: string | undefined;
}

/** What the server has, from now on. */
export interface Identity {
  /** Its own certificate. */
  readonly server: TestCertificate;
  /** The authority whose certificates clients have to present; without one they need none. */
  readonly clientCa?: string;
}

/** A server that runs. */
export interface RotatingServer {
  /** On 127.0.0.1. */
  readonly port: number;
  /** The requests so far. */
  readonly requests: readonly SeenRequest[];
  /** New connections meet this. */
  rotate(identity: Identity): Promise<void>;
  /** Ends it and all connections. */
  close(): Promise<void>;
}

/** Starts a server; `answer` answers a request. */
export async function rotatingServer(
  identity: Identity,
  answer: (request: SeenRequest) => Response,
): Promise<RotatingServer> {
  const requests: SeenRequest[] = [];
  const seen = (request: SeenRequest) => {
    requests.push(request);
    return answer(request);
  };
  const sockets = new Set<Socket>();
  const own = (socket: Socket) => {
    socket.on("error", () => {});
    sockets.add(socket);
  };
  const backends: Backend[] = [];
  const start = async ({ server, clientCa }: Identity) => {
    const backend = clientCa === undefined
      ? serve(server, seen)
      : await serveAuthenticated(server, clientCa, seen, own);
    backends.push(backend);
    return backend.port;
  };
  let backendPort = await start(identity);
  const front = createServer((socket) => {
    own(socket);
    const upstream = connect(backendPort, "127.0.0.1");
    own(upstream);
    socket.pipe(upstream).pipe(socket);
    socket.on("close", () => upstream.destroy());
    upstream.on("close", () => socket.destroy());
  });
  return {
    port: await listen(front),
    requests,
    async rotate(next) {
      backendPort = await start(next);
    },
    async close() {
      const closed = [closeOf(front), ...backends.map((backend) => backend.close())];
      for (const socket of sockets) socket.destroy();
      await Promise.all(closed);
    },
  };
}

interface Backend {
  readonly port: number;
  close(): Promise<void>;
}

/** Servers of `node:tls` would resume each other's sessions, without a look at the new certificate. */
function serve({ cert, key }: TestCertificate, answer: (request: SeenRequest) => Response): Backend {
  const controller = new AbortController();
  const options = {
    port: 0,
    hostname: "127.0.0.1",
    cert,
    key,
    onListen() {},
    signal: controller.signal,
  };
  const server = Deno.serve(options, ({ url, headers }) => {
    const { pathname, search } = new URL(url);
    const authorization = headers.get("authorization") ?? undefined;
    const response = answer({ path: pathname + search, authorization, client: undefined });
    response.headers.set("connection", "close");
    return response;
  });
  return {
    port: server.addr.port,
    async close() {
      controller.abort();
      await server.finished;
    },
  };
}

/** `Deno.serve` asks for no client certificates. */
async function serveAuthenticated(
  { cert, key }: TestCertificate,
  clientCa: string,
  answer: (request: SeenRequest) => Response,
  own: (socket: Socket) => void,
): Promise<Backend> {
  const options = { cert, key, ca: [clientCa], requestCert: true, rejectUnauthorized: true };
  const server = createTlsServer(options, (socket: TLSSocket) => {
    own(socket);
    socket.once("data", async (bytes) => {
      const [, path = ""] = /^\w+ (\S+)/.exec(String(bytes)) ?? [];
      const client = String(socket.getPeerCertificate().subject.CN);
      const response = answer({ path, authorization: undefined, client });
      const text = await response.text();
      socket.end(
        `HTTP/1.1 ${response.status} X\r\ncontent-length: ${text.length}\r\nconnection: close\r\n\r\n${text}`,
      );
    });
  });
  server.on("connection", own);
  return { port: await listen(server), close: () => closeOf(server) };
}

const closeOf = (server: Server) => new Promise<void>((resolve) => server.close(() => resolve()));

async function listen(server: Server): Promise<number> {
  const listening = new Promise<void>((resolve) => server.once("listening", resolve));
  server.listen(0, "127.0.0.1");
  await listening;
  return (server.address() as { port: number }).port;
}
