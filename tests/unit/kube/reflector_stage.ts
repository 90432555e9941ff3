/**
 * A reflector in front of the miniature API server, on a virtual clock.
 *
 * @module
 */
import { ApiServer } from "../../../lib/miniature/api_server.ts";
import { STATEFULSETS } from "../../../lib/miniature/objects.ts";
import { MemoryHttp } from "../../../lib/miniature/memory_http.ts";
import { type Change, Reflector } from "../../../lib/kube/reflector.ts";
import type { StatefulSet } from "../../../lib/kube/types.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

/** Starts one that follows the StatefulSet `b` of the namespace `n`. */
export function setUp() {
  const clock = new VirtualClock();
  const api = new ApiServer({ clock });
  const http = new MemoryHttp(api, clock, "test");
  let resets = 0;
  http.reset = () => resets++;
  const versions: (string | null)[] = [];
  const send = http.send.bind(http);
  http.send = (request) => {
    const { searchParams } = request.url;
    if (searchParams.has("watch")) versions.push(searchParams.get("resourceVersion"));
    return send(request);
  };
  const log = recordingLog();
  const metrics = countedMetrics(() => {});
  const client = testClient(http, { clock, log });
  const changes: string[] = [];
  const reflector = new Reflector<StatefulSet>(
    {
      group: "apps",
      resource: "statefulsets",
      namespace: "n",
      selector: { fieldSelector: "metadata.name=b" },
    },
    { client, clock, random: () => 0.5, log, metrics },
    (change) => changes.push(say(change)),
  );
  const controller = new AbortController();
  const running = reflector.run(controller.signal).catch(() => {});
  const set = (replicas: number) => {
    const body = {
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name: "b", namespace: "n" },
      spec: {
        replicas,
        serviceName: "h",
        selector: { matchLabels: { app: "b" } },
        template: { metadata: { labels: { app: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
      },
    };
    const exists = api.registry.store.get(STATEFULSETS, "n", "b") !== undefined;
    if (exists) api.registry.replace(STATEFULSETS, "n", "b", body, { manager: "test" });
    else api.registry.create(STATEFULSETS, "n", body, { manager: "test" });
  };
  const requests = (verb: string) => api.requests.filter((request) => request.verb === verb).length;
  const stop = async () => {
    controller.abort(new Error("over"));
    http.set("open");
    await clock.advance(0);
    await running;
  };
  /** How often a watch began again, by cause, since the last look. */
  const seen: Record<string, number> = {};
  const restarts = () => {
    const news: Record<string, number> = {};
    for (const cause of ["ended", "expired", "silent", "failed"] as const) {
      const count = metrics.value("watch_restarts_total", { resource: "statefulsets", cause });
      if (count > (seen[cause] ?? 0)) news[cause] = count - (seen[cause] ?? 0);
      seen[cause] = count;
    }
    return news;
  };
  const warnings = () =>
    log.records.filter(({ level }) => level === "warn").map(({ fields }) => fields["cause"]);
  return {
    clock,
    api,
    http,
    log,
    reflector,
    changes,
    set,
    requests,
    versions,
    resets: () => resets,
    restarts,
    warnings,
    stop,
  };
}

function say(change: Change<StatefulSet>): string {
  if (change.type === "list") {
    return `list ${change.items.map(({ spec }) => spec?.replicas).join(" ")}`.trim();
  }
  return `${change.type} ${change.object.spec?.replicas}`;
}
