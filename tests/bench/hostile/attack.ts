/**
 * What an attack of the hostile part is, and the connections that most attacks need.
 *
 * @module
 */
import { closeQuietly } from "../../../lib/miniature/bytes.ts";
import type { Stage } from "../stage.ts";

/** So many connections an attack may open. */
export const MOST_CONNECTIONS = 1_500;

/** What an attack is aimed at. */
export interface AttackTarget {
  /** The proxy's listener, `host:port`. */
  readonly address: string;
  /** The admin port, `host:port`. */
  readonly adminAddress: string;
  /** The miniature cluster. Its API server is open to the attacker, too. */
  readonly stage: Stage;
}

/** One attack. The harness runs honest clients, a build and a poller of `/livez` beside it. */
export interface Attack {
  /** As the table names it. */
  readonly name: string;
  /** `warm`: a pod is ready. `held`: there is none, and none will come, so that honest clients get SETTINGS and wait. */
  readonly state: "warm" | "held";
  /** `server`: clients connect by TLS. `mutual`: they also need a certificate, of one of 140 authorities. Otherwise plain. */
  readonly tls?: "server" | "mutual" | undefined;
  /** Settings of the program, by flag. */
  readonly settings?: Readonly<Record<string, string>>;
  /** For an answer of `/livez`, in ms; 1,000 if not given. */
  readonly livezBarMs?: number;
  /** Holds fail in this attack by design, so the end of a client that waits is no fault. */
  readonly endsHolds?: boolean;
  /** Attacks until the signal is aborted, and then closes all that it has opened. Must not throw for what the program does. */
  run(target: AttackTarget, signal: AbortSignal): Promise<void>;
}

/** A connection to `host:port`. */
export function dial(address: string): Promise<Deno.TcpConn> {
  const at = address.lastIndexOf(":");
  return Deno.connect({ hostname: address.slice(0, at), port: Number(address.slice(at + 1)) });
}

/** Sends all of the bytes, as far as they are taken. Never fails. */
export async function send(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  try {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await conn.write(rest));
  } catch {
    // It has been closed.
  }
}

/**
 * Opens `count` connections, `atATime` of them at once, each of which `use` has until it has ended; then it stays open, and
 * is closed when the signal is aborted. Resolves after that.
 */
export async function crowd(
  address: string,
  count: number,
  use: (conn: Deno.TcpConn, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
  atATime = 64,
): Promise<void> {
  const conns: Deno.TcpConn[] = [];
  const uses: Promise<void>[] = [];
  const over = new Promise<void>((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true })
  );
  for (let i = 0; i < count && !signal.aborted; i += atATime) {
    const opened = await Promise.allSettled(
      Array.from({ length: Math.min(atATime, count - i) }, () => dial(address)),
    );
    for (const outcome of opened) {
      if (outcome.status === "rejected") continue;
      conns.push(outcome.value);
      uses.push(use(outcome.value, signal).catch(() => {}));
    }
  }
  if (!signal.aborted) await over;
  for (const conn of conns) closeQuietly(conn);
  await Promise.all(uses);
}
