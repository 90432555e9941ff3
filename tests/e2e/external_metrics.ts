/**
 * An adapter of external metrics in miniature: what a HorizontalPodAutoscaler reads, as the test sets it.
 *
 * It serves the API `external.metrics.k8s.io` over HTTPS, and is registered with the API server, which passes requests on
 * to it (the aggregation layer). An adapter that is away makes the deletion of namespaces wait, so it goes last.
 *
 * @module
 */

import { makeCa } from "../integration/kube/certificates.ts";
import type { KubeApi } from "./kube_api.ts";
import { until, within } from "./waiting.ts";

const GROUP = "external.metrics.k8s.io";
const VERSION = "v1beta1";
const NAMESPACE = "kube-system";
const SERVICE = "external-metrics";
const PORT = 6444;

const RESOURCES = {
  kind: "APIResourceList",
  apiVersion: "v1",
  groupVersion: `${GROUP}/${VERSION}`,
  resources: [{
    name: "*",
    singularName: "",
    namespaced: true,
    kind: "ExternalMetricValueList",
    verbs: ["get"],
  }],
};

/** The adapter. Until a value is set, a metric is not there. */
export class ExternalMetrics {
  readonly #server: Deno.HttpServer;
  readonly #values = new Map<string, number>();
  /** How often each metric was asked for. */
  readonly asked = new Map<string, number>();

  private constructor(address: string, { cert, key }: { readonly cert: string; readonly key: string }) {
    this.#server = Deno.serve(
      { hostname: address, port: PORT, cert, key, onListen: () => {} },
      (request) => this.#answer(new URL(request.url).pathname),
    );
  }

  /** Starts it on `address`, and waits until the API server passes requests on. */
  static async start(api: KubeApi, address: string): Promise<ExternalMetrics> {
    const certificate = await (await makeCa()).issue({ commonName: SERVICE, dnsNames: [SERVICE] });
    const metrics = new ExternalMetrics(address, certificate);
    try {
      await register(api, address);
      return metrics;
    } catch (error) {
      await metrics.stop();
      throw error;
    }
  }

  /** The metric's value in that namespace from now on. */
  set(namespace: string, metric: string, value: number): void {
    this.#values.set(`${namespace}/${metric}`, value);
  }

  #answer(path: string): Response {
    const [, groupVersion, , namespace, metric] =
      /^\/apis\/([^/]+\/[^/]+)(\/namespaces\/([^/]+)\/([^/]+))?$/.exec(path) ?? [];
    if (groupVersion !== `${GROUP}/${VERSION}`) return new Response("not found", { status: 404 });
    if (namespace === undefined || metric === undefined) return Response.json(RESOURCES);
    const name = `${namespace}/${metric}`;
    this.asked.set(name, (this.asked.get(name) ?? 0) + 1);
    const value = this.#values.get(name);
    const timestamp = new Date().toISOString();
    return Response.json({
      kind: "ExternalMetricValueList",
      apiVersion: `${GROUP}/${VERSION}`,
      metadata: {},
      items: value === undefined
        ? []
        : [{ metricName: metric, metricLabels: {}, timestamp, value: String(value) }],
    });
  }

  async stop(): Promise<void> {
    await within("the end of the metrics server", this.#server.shutdown());
  }
}

/** Makes the API known, and where it is: a Service without pods, whose endpoint is written by hand. */
async function register(api: KubeApi, address: string): Promise<void> {
  await until("the system's namespace", () => api.get(`/api/v1/namespaces/${NAMESPACE}`));
  const ports = [{ name: "https", port: PORT }];
  await api.create(`/api/v1/namespaces/${NAMESPACE}/services`, {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: SERVICE },
    spec: { ports },
  });
  await api.create(`/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}/endpointslices`, {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: SERVICE, labels: { "kubernetes.io/service-name": SERVICE } },
    addressType: "IPv4",
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
    ports,
  });
  await api.create("/apis/apiregistration.k8s.io/v1/apiservices", {
    apiVersion: "apiregistration.k8s.io/v1",
    kind: "APIService",
    metadata: { name: `${VERSION}.${GROUP}` },
    spec: {
      group: GROUP,
      version: VERSION,
      service: { namespace: NAMESPACE, name: SERVICE, port: PORT },
      insecureSkipTLSVerify: true,
      groupPriorityMinimum: 100,
      versionPriority: 100,
    },
  });
  await until("the external metrics to be served", () => api.get(`/apis/${GROUP}/${VERSION}`), {
    pollMs: 200,
  });
}
