/**
 * A client of whatever API server stands behind an {@link Http}: what unit tests of its users are set up with.
 *
 * @module
 */
import type { Clock } from "../../lib/base/clock.ts";
import type { Log } from "../../lib/base/log.ts";
import { type Metrics, noMetrics } from "../../lib/base/metrics.ts";
import { KubeClient } from "../../lib/kube/client.ts";
import type { Cluster } from "../../lib/kube/cluster.ts";
import type { Http } from "../../lib/kube/http.ts";

/** What a client needs besides its way to the API server. */
export interface TestClientPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics?: Metrics;
}

/** Makes one, without credentials if `cluster` has none. */
export function testClient(
  http: Http,
  { clock, log, metrics = noMetrics }: TestClientPorts,
  cluster: Partial<Cluster> = {},
): KubeClient {
  return new KubeClient({
    cluster: {
      server: new URL("http://api.test"),
      source: "test",
      namespace: undefined,
      http,
      authenticate: () => Promise.resolve({}),
      refresh: () => Promise.resolve(),
      renew: () => Promise.resolve(false),
      ...cluster,
    },
    clock,
    log,
    metrics,
  });
}
