/**
 * A pod behind the miniature API server, whose servers run in this process, and clients that reach it on sockets.
 *
 * @module
 */
import { systemClock } from "../../../lib/base/clock.ts";
import { FetchHttp } from "../../../lib/kube/fetch_http.ts";
import { ApiServer } from "../../../lib/miniature/api_server.ts";
import { HttpListener } from "../../../lib/miniature/http_listener.ts";
import { PODS } from "../../../lib/miniature/objects.ts";
import { denoNetwork } from "../../../lib/proxy/deno_network.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { PortForwardContract } from "../contract/port_forward.ts";
import { base } from "./http_stage.ts";

/** A stage with one pod, `buildkitd-0`. */
export class PortForwardStage implements AsyncDisposable {
  readonly api = new ApiServer({ clock: systemClock });
  readonly listener = new HttpListener(this.api, denoNetwork, { hostname: "127.0.0.1", port: 0 });
  readonly #http = new FetchHttp({ ...base, ca: undefined });
  readonly client = testClient(this.#http, { clock: systemClock, log: recordingLog() }, {
    server: this.listener.url,
  });
  /** The pod's servers, and connections to them. */
  readonly pod = new PortForwardContract({
    client: this.client,
    namespace: "default",
    pod: "buildkitd-0",
    hostname: "127.0.0.1",
  });

  constructor() {
    const { registry } = this.api;
    registry.create(PODS, "default", {
      metadata: { name: "buildkitd-0" },
      spec: { nodeName: "node", containers: [{ name: "main", image: "x" }] },
    }, { manager: "test" });
    const made = registry.get(PODS, "default", "buildkitd-0");
    const status = { phase: "Running", podIP: "127.0.0.1" };
    registry.replace(PODS, "default", "buildkitd-0", { ...made, status }, {
      manager: "kubelet",
      subresource: "status",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http.close();
    await this.listener[Symbol.asyncDispose]();
    await this.pod[Symbol.asyncDispose]();
  }
}
