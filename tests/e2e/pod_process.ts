/**
 * What runs in a pod: a real buildkitd, or an echo server where only the path to a pod is under test.
 *
 * A pod process listens on its pod's own address. It knows nothing of the API server.
 *
 * @module
 */

import { join } from "node:path";
import { Child } from "./child_process.ts";
import type { Pod } from "./containers/pod_spec.ts";

export const TARGET_PORT = 8372;

/** The pod that a process is started for. */
export interface PodIdentity {
  readonly name: string;
  readonly ip: string;
  readonly pod: Pod;
  /** Kept over restarts and over pods of the same name, as a persistent volume would be. */
  readonly volume: string;
  readonly logFile: string;
}

export interface PodProcess {
  /** Resolves with a description of how the process ended. */
  readonly exited: Promise<string>;
  isReady(): Promise<boolean>;
  /** Resolves when {@link isReady} may say something else than now. A process without it stays ready. */
  readinessChange?(): Promise<void>;
  /** Asks it to leave, as SIGTERM does. */
  terminate(): void;
  kill(): Promise<void>;
  /** Runs a command beside it. */
  exec?(command: readonly string[]): Promise<{ readonly code: number; readonly output: string }>;
  /** Lets it stand still, as a hang would. */
  freeze?(): Promise<void>;
}

export type PodRuntime = (pod: PodIdentity) => Promise<PodProcess>;

/**
 * A real buildkitd whose root lies on the pod's volume, so that its cache outlives the pod. Its containers get control
 * groups below one of the given name, so that whoever chose the name can remove what a killed daemon leaves behind.
 * A build's steps find the pod's name as search domain in `/etc/resolv.conf`. `more` are further arguments.
 */
export function buildkitdRuntime(
  command: string,
  cgroupParent: string,
  more: readonly string[] = [],
): PodRuntime {
  return async (pod) => {
    await Deno.mkdir(pod.volume, { recursive: true });
    const config = join(pod.volume, "buildkitd.toml");
    await Deno.writeTextFile(
      config,
      `[worker.oci]\ndefaultCgroupParent = "/${cgroupParent}"\n[dns]\nsearchDomains = ["${pod.name}"]\n`,
    );
    const child = new Child({
      name: `${pod.name} (buildkitd)`,
      command,
      args: [
        `--config=${config}`,
        `--root=${join(pod.volume, "root")}`,
        `--addr=tcp://${pod.ip}:${TARGET_PORT}`,
        `--otel-socket-path=${join(pod.volume, "otel.sock")}`,
        "--oci-worker-net=host",
        "--containerd-worker=false",
        ...more,
      ],
      logFile: pod.logFile,
    });
    const client = Deno.createHttpClient({ http1: false, http2: true });
    const exited = child.exited.then((status) => {
      client.close();
      return status.signal === null ? `exit ${status.code}` : status.signal;
    });
    return {
      exited,
      isReady: () => isServing(pod.ip, client),
      terminate: () => child.signal("SIGTERM"),
      kill: () => child.kill(),
    };
  };
}

/** `grpc.health.v1.Health/Check` by hand: an empty request, and an answer whose one field says SERVING (1). */
export async function isServing(
  ip: string,
  client: Deno.HttpClient,
  port: number = TARGET_PORT,
): Promise<boolean> {
  try {
    const response = await fetch(`http://${ip}:${port}/grpc.health.v1.Health/Check`, {
      method: "POST",
      client,
      headers: { "content-type": "application/grpc", "te": "trailers" },
      body: new Uint8Array(5),
      signal: AbortSignal.timeout(2_000),
    });
    const answer = new Uint8Array(await response.arrayBuffer());
    return answer.toHex() === "00000000020801";
  } catch {
    // Refused, reset or not yet able to answer: all of them mean "not ready".
    return false;
  }
}

/** Sends back what it receives. Lives in the test's own process, so it is up in no time. */
export const echoRuntime: PodRuntime = (pod) => {
  const listener = Deno.listen({ hostname: pod.ip, port: TARGET_PORT });
  const open = new Set<Deno.Conn>();
  const ended = Promise.withResolvers<string>();
  const serve = async (conn: Deno.Conn) => {
    open.add(conn);
    try {
      const buffer = new Uint8Array(64 * 1024);
      for (let read = await conn.read(buffer); read !== null; read = await conn.read(buffer)) {
        for (let at = 0; at < read;) at += await conn.write(buffer.subarray(at, read));
      }
    } catch {
      // The peer is gone; there is nobody left to tell.
    } finally {
      if (open.delete(conn)) conn.close();
    }
  };
  (async () => {
    try {
      for await (const conn of listener) serve(conn);
    } catch {
      // The listener was closed.
    }
  })();
  let up = true;
  const stop = () => {
    if (!up) return;
    up = false;
    listener.close();
    for (const conn of open) conn.close();
    open.clear();
    ended.resolve("exit 0");
  };
  return Promise.resolve({
    exited: ended.promise,
    isReady: () => Promise.resolve(up),
    terminate: stop,
    kill: () => Promise.resolve(stop()),
  });
};
