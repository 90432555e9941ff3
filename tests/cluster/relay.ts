/**
 * Carries connections from one listener to one target, each a `host:port` or the path of a Unix socket:
 *
 *     deno run -A tests/cluster/relay.ts LISTEN TARGET
 *
 * Two of them carry the API server out of the cluster's network namespace: a Unix socket is a file, and files do not
 * belong to a network namespace. A connection whose target does not answer is closed.
 *
 * @module
 */

type Address = Deno.ConnectOptions | Deno.UnixConnectOptions;

function parse(text: string): Address & { readonly transport: "tcp" | "unix" } {
  if (text.startsWith("/")) return { transport: "unix", path: text };
  const [hostname = "", port = ""] = text.split(":");
  return { transport: "tcp", hostname, port: Number(port) };
}

async function connect(address: Address): Promise<Deno.Conn> {
  return await ("path" in address
    ? Deno.connect({ transport: "unix", path: address.path })
    : Deno.connect(address));
}

/** Carries the bytes of one connection in both directions until both have ended. */
async function carry(client: Deno.Conn, target: Address): Promise<void> {
  using _client = client;
  using server = await connect(target);
  await Promise.all([
    client.readable.pipeTo(server.writable, { preventClose: true }).then(() => server.closeWrite()),
    server.readable.pipeTo(client.writable, { preventClose: true }).then(() => client.closeWrite()),
  ]);
}

/** Accepts connections for `target` until the listener is closed. */
export async function relay(listener: Deno.Listener, target: string): Promise<void> {
  // The ends of single connections, however they come, are between client and server.
  for await (const client of listener) carry(client, parse(target)).catch(() => {});
}

/** Listens on a TCP address or on a new Unix socket. */
export function listen(text: string): Deno.Listener {
  const address = parse(text);
  if (!("path" in address)) return Deno.listen(address as Deno.TcpListenOptions);
  try {
    Deno.removeSync(address.path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return Deno.listen({ transport: "unix", path: address.path }) as Deno.Listener;
}

if (import.meta.main) {
  const [from = "", to = ""] = Deno.args;
  await relay(listen(from), to);
}
