/**
 * The kubelet's streaming server on the stand-in's Node: where the API server sends port-forwards. It is the library that
 * kubelets and container runtimes use (`tools/streaming`), and dials the pods' addresses.
 *
 * @module
 */

import { join } from "node:path";
import { Child } from "./child_process.ts";
import { API_ADDRESS } from "./control_plane.ts";
import { NODE } from "./scenario.ts";
import { type KubeApi } from "./kube_api.ts";
import { programPath, surroundings } from "./surroundings.ts";
import { until } from "./waiting.ts";

/** The port of every kubelet. */
const KUBELET_PORT = 10250;

/** Starts it, and tells the API server where it is. The Node has to exist. Ends with {@link Child.kill}. */
export async function startStreaming(api: KubeApi): Promise<Child> {
  const child = new Child({
    name: "kubelet-streaming",
    command: programPath("kubelet-streaming"),
    args: [
      `-listen=${API_ADDRESS}:${KUBELET_PORT}`,
      `-api=${api.access.baseUrl}`,
      `-token=${api.access.token}`,
    ],
    logFile: join(surroundings().folder, "kubelet-streaming.log"),
  });
  await api.patch(`/api/v1/nodes/${NODE}/status`, {
    status: {
      addresses: [{ type: "InternalIP", address: API_ADDRESS }],
      daemonEndpoints: { kubeletEndpoint: { Port: KUBELET_PORT } },
    },
  });
  await until("the kubelet's streaming server to listen", async () => {
    if (child.status !== undefined) throw new Error(`It has ended\n${child.tail()}`);
    try {
      (await Deno.connect({ hostname: API_ADDRESS, port: KUBELET_PORT })).close();
      return true;
    } catch {
      return false;
    }
  });
  return child;
}
