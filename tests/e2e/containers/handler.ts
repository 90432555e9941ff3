/**
 * What a probe or a hook of a container does: an HTTP request, a connection, a health check or a command.
 *
 * Carried out from outside the pod's network, as the kubelet does it. May not decide anything by the outcome. A
 * handler's failure is an answer, not an error.
 *
 * @module
 */

import { isServing } from "../pod_process.ts";
import { delay } from "../waiting.ts";
import type { Container } from "./container.ts";
import type { ContainerSpec, Handler } from "./pod_spec.ts";

export interface HandlerTarget {
  readonly ip: string;
  readonly spec: ContainerSpec;
  readonly container: Container;
}

/** The number of a port that may be given by its name. */
export function portNumber(spec: ContainerSpec, port: number | string): number {
  if (typeof port === "number") return port;
  const found = spec.ports?.find(({ name }) => name === port)?.containerPort;
  if (found === undefined) throw new Error(`Cannot probe "${spec.name}": it has no port named "${port}"`);
  return found;
}

/** Whether the handler succeeded within `timeoutMs`. */
export async function succeeds(handler: Handler, target: HandlerTarget, timeoutMs: number): Promise<boolean> {
  const { ip, spec, container } = target;
  try {
    if (handler.httpGet !== undefined) {
      const { port, path = "/", scheme = "HTTP" } = handler.httpGet;
      const url = new URL(path, `${scheme.toLowerCase()}://${ip}:${portNumber(spec, port)}`);
      const response = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(timeoutMs) });
      await response.body?.cancel();
      return response.status >= 200 && response.status < 400;
    }
    if (handler.tcpSocket !== undefined) {
      const port = portNumber(spec, handler.tcpSocket.port);
      (await Deno.connect({ hostname: ip, port, signal: AbortSignal.timeout(timeoutMs) })).close();
      return true;
    }
    if (handler.grpc !== undefined) {
      const client = Deno.createHttpClient({ http1: false, http2: true });
      try {
        return await isServing(ip, client, handler.grpc.port);
      } finally {
        client.close();
      }
    }
    if (handler.sleep !== undefined) {
      await delay(handler.sleep.seconds * 1000);
      return true;
    }
    return (await container.exec(handler.exec?.command ?? [], timeoutMs)).code === 0;
  } catch {
    // Refused, reset, too late: for the kubelet all of that is a failure.
    return false;
  }
}
