/**
 * Floods of the TLS port, in front of clients with certificates of many authorities: clients that say nothing, and clients
 * that send a whole ClientHello and never go on.
 *
 * @module
 */
import net from "node:net";
import { realHello } from "../../support/client_hello.ts";
import type { Attack } from "./attack.ts";

const MOST_OPEN = 1_400;

/** Opens `perSecond` connections and sends `bytes` on each; the oldest is closed when too many are open. */
async function flood(
  address: string,
  perSecond: number,
  addresses: number,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  const at = address.lastIndexOf(":");
  const to = { host: address.slice(0, at), port: Number(address.slice(at + 1)) };
  const open: net.Socket[] = [];
  for (let opened = 0, startMs = performance.now(); !signal.aborted;) {
    const due = (performance.now() - startMs) / 1_000 * perSecond;
    for (; opened < due; opened++) {
      const n = opened % addresses;
      const socket = net.connect({ ...to, localAddress: `127.1.${n >> 8}.${n & 255}` });
      socket.on("error", () => {});
      if (bytes.length > 0) socket.write(bytes);
      open.push(socket);
      if (open.length > MOST_OPEN) open.shift()!.destroy();
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  for (const socket of open) socket.destroy();
}

/** The kinds: what is sent, from how many addresses, and how many connections a second. */
const FLOODS = [
  ["silent clients from 2 addresses, 600 a second", false, 600, 2],
  ["silent clients from 1,000 addresses, 300 a second", false, 300, 1_000],
  ["half-open handshakes from 2 addresses, 600 a second", true, 600, 2],
  ["half-open handshakes from 1,000 addresses, 300 a second", true, 300, 1_000],
] as const;

/** One for each kind. */
export const TLS_FLOODS: readonly Attack[] = FLOODS.map(([what, hasHello, perSecond, addresses]) => ({
  name: `TLS: ${what}`,
  state: "held",
  tls: "mutual",
  run: async ({ address }, signal) => {
    const bytes = hasHello
      ? await realHello({ servername: "localhost", ALPNProtocols: ["h2"] })
      : new Uint8Array();
    await flood(address, perSecond, addresses, bytes, signal);
  },
}));
