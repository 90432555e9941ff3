/**
 * Clients of the admin port that ask for what costs most, again and again, without waiting for answers.
 *
 * @module
 */
import { type Attack, crowd } from "./attack.ts";

/** Some fewer than the admin port takes, so that no connection gives way. */
const CONNECTIONS = 60;

function pipeline(path: string): Attack {
  const requests = new TextEncoder().encode(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(100));
  return {
    name: `${CONNECTIONS} connections that pipeline ${path} on the admin port`,
    state: "warm",
    run: ({ adminAddress }, signal) =>
      crowd(adminAddress, CONNECTIONS, async (conn, signal) => {
        const buffer = new Uint8Array(64 * 1024);
        void (async () => {
          while (await conn.read(buffer) !== null);
        })().catch(() => {});
        for (let rest = requests; !signal.aborted; rest = rest.length === 0 ? requests : rest) {
          rest = rest.subarray(await conn.write(rest));
        }
      }, signal),
  };
}

/** The facts, the page and the metrics. */
export const PIPELINING: readonly Attack[] = ["/status.json", "/", "/metrics"].map(pipeline);
