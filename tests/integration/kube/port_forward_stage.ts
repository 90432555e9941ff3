/**
 * A pod behind the miniature API server, and a client that reaches it by port-forward only: on sockets, with a server
 * in the pod that the test writes.
 *
 * @module
 */
import { systemClock } from "../../../lib/base/clock.ts";
import type { Conn } from "../../../lib/base/network.ts";
import type { Http } from "../../../lib/kube/http.ts";
import { FetchHttp } from "../../../lib/kube/fetch_http.ts";
import { openPortForward } from "../../../lib/kube/port_forward.ts";
import { ApiServer } from "../../../lib/miniature/api_server.ts";
import { HttpListener } from "../../../lib/miniature/http_listener.ts";
import { PODS } from "../../../lib/miniature/objects.ts";
import { denoNetwork } from "../../../lib/proxy/deno_network.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { base } from "./http_stage.ts";

/** A stage with one pod, `buildkitd-0`. */
export class PortForwardStage implements AsyncDisposable {
  readonly api = new ApiServer({ clock: systemClock });
  readonly listener = new HttpListener(this.api, denoNetwork, { hostname: "127.0.0.1", port: 0 });
  readonly #pod: Deno.Listener | undefined;
  readonly #serving = new Set<Promise<void>>();
  readonly #ways: Http[] = [];
  /** Where the server in the pod listens. */
  readonly port: number;

  /** `serve` is the pod's server, for each connection; without it nothing listens. */
  constructor(serve?: (conn: Deno.Conn) => Promise<void>) {
    const pod = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = (pod.addr as Deno.NetAddr).port;
    this.api.registry.create(PODS, "default", {
      metadata: { name: "buildkitd-0" },
      spec: { nodeName: "node", containers: [{ name: "main", image: "x" }] },
    }, { manager: "test" });
    const made = this.api.registry.get(PODS, "default", "buildkitd-0");
    this.api.registry.replace(PODS, "default", "buildkitd-0", {
      ...made,
      status: { phase: "Running", podIP: "127.0.0.1" },
    }, { manager: "kubelet", subresource: "status" });
    if (serve === undefined) {
      pod.close();
      return;
    }
    this.#pod = pod;
    const accepting = (async () => {
      for await (const conn of pod) {
        const task = serve(conn).catch(() => {}).finally(() => {
          try {
            conn.close();
          } catch { /* it is closed */ }
        });
        this.#serving.add(task);
      }
    })();
    this.#serving.add(accepting);
  }

  /** A client over `fetch`, or over another way to the API server. */
  client(http: Http = new FetchHttp({ ...base, ca: undefined }), url: URL = this.listener.url) {
    this.#ways.push(http);
    return testClient(http, { clock: systemClock, log: recordingLog() }, { server: url });
  }

  /** A connection to the pod. */
  open(signal: AbortSignal = new AbortController().signal, client = this.client()): Promise<Conn> {
    const to = { namespace: "default", pod: "buildkitd-0", port: this.port };
    return openPortForward(client, to, { clock: systemClock, random: Math.random }, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const http of this.#ways) http.close();
    await this.listener[Symbol.asyncDispose]();
    this.#pod?.close();
    await Promise.all(this.#serving);
  }
}

/** Says hello, and then sends back what comes, until the client's FIN. */
export async function helloAndEcho(conn: Deno.Conn): Promise<void> {
  await conn.write(new TextEncoder().encode("hello"));
  const buffer = new Uint8Array(64 * 1024);
  for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
    for (let at = 0; at < n;) at += await conn.write(buffer.subarray(at, n));
  }
}

/** Reads so many bytes, or fewer at the end. */
export async function readBytes(conn: Pick<Conn, "read">, lengthBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes);
  let at = 0;
  for (let n = await conn.read(bytes); n !== null && (at += n) < lengthBytes;) {
    n = await conn.read(bytes.subarray(at));
  }
  return bytes.subarray(0, at);
}

/** Waits until `count` has not changed for some time: with sockets between, there is no event that says so. */
export async function standsStill(count: () => number): Promise<void> {
  for (let last = -1, same = 0; same < 5;) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    same = count() === last && last > 0 ? same + 1 : 0;
    last = count();
  }
}
