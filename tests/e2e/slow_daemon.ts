/**
 * A daemon whose port listens long before it answers, as buildkitd's does when its workers take long to come up.
 *
 * A relay in the test's own process stands on the pod's address; the kernel completes connections to it from the first
 * moment on, and only after a while are they accepted and carried to the daemon on an address of its own. Its readiness
 * is what a `tcpSocket` probe says, or what the daemon itself says.
 *
 * @module
 */

import { type PodIdentity, type PodRuntime, TARGET_PORT } from "./pod_process.ts";
import { delay } from "./waiting.ts";

/** What the pod's readiness probe looks at. */
export type Probe = "port" | "daemon";

let daemonsSoFar = 0;

/** Runs `runtime` behind a port that listens at once and answers after `silentMs`. */
export function slowDaemon(runtime: PodRuntime, silentMs: number, probe: Probe): PodRuntime {
  return async (pod: PodIdentity) => {
    const listener = Deno.listen({ hostname: pod.ip, port: TARGET_PORT });
    const daemonIp = `10.99.90.${1 + daemonsSoFar++ % 250}`;
    const daemon = await runtime({ ...pod, ip: daemonIp });
    const stopped = new AbortController();
    carryAll(listener, daemonIp, silentMs, stopped.signal);
    return {
      exited: daemon.exited.finally(() => {
        stopped.abort();
        listener.close();
      }),
      isReady: () => probe === "port" ? Promise.resolve(true) : daemon.isReady(),
      terminate: () => daemon.terminate(),
      kill: () => daemon.kill(),
    };
  };
}

async function carryAll(
  listener: Deno.Listener,
  daemonIp: string,
  silentMs: number,
  signal: AbortSignal,
): Promise<void> {
  await delay(silentMs);
  while (!signal.aborted) {
    try {
      carry(await listener.accept(), daemonIp);
    } catch {
      return; // The listener was closed.
    }
  }
}

/** Carries one connection. What goes wrong with it is for its two ends to notice. */
async function carry(client: Deno.Conn, daemonIp: string): Promise<void> {
  const daemon = await Deno.connect({ hostname: daemonIp, port: TARGET_PORT }).catch(() => undefined);
  if (daemon === undefined) return client.close();
  await Promise.allSettled([
    client.readable.pipeTo(daemon.writable),
    daemon.readable.pipeTo(client.writable),
  ]);
}
