/**
 * The machine's own sockets, for tests of the miniature cluster.
 *
 * @module
 */
import type { Network } from "../../../lib/base/network.ts";

/** Listens and connects by `Deno`. */
export const loopback: Network = {
  listen: ({ hostname, port }) => Deno.listen({ hostname, port }),
  connect: ({ hostname, port }, signal) => Deno.connect({ hostname, port, signal }),
};
