/**
 * Observe mode, as the chart installs it: builds are carried by a builder that runs all the time, what would have been done
 * is told, and the API server's audit log has no write to `/scale`, which the Role does not allow either. Then the same
 * release scales. Upgrades with helm 4 keep the count that helm alone has written.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { StatusFacts } from "../../lib/ops/status_facts.ts";
import type { AuditRecord } from "./control_plane.ts";
import type { Values } from "./helm.ts";
import type { KubeObject } from "./kube_api.ts";
import { assertEndedByClient } from "./program.ts";
import { quick, type Release, releaseScenario } from "./release.ts";
import { until } from "./waiting.ts";

/** Requests to the count, other than reads. */
function writes(requests: readonly AuditRecord[]): readonly string[] {
  return requests.filter(({ objectRef, requestURI, verb }) =>
    (objectRef?.subresource === "scale" || /\/scale(?:\?|$)/.test(requestURI)) && verb !== "get"
  ).map(({ verb, requestURI }) => `${verb} ${requestURI}`);
}

/** Waits until the log of the autoscaler has these changes that would have been made. */
async function untilWould(release: Release, pod: string, want: readonly string[]): Promise<void> {
  let seen: readonly string[] = [];
  await until(`would_scale ${want.join(", ")}`, async () => {
    const records = (await release.records(pod)).filter(({ code }) => code === "would_scale");
    seen = records.map(({ from, to, reason }) => `${from} → ${to} ${reason}`);
    return seen.length >= want.length;
  }, { explain: () => `seen: ${seen.join(", ")}\n${release.report()}` });
  assert.deepEqual(seen, want);
}

releaseScenario(
  "--observe carries builds, tells what it would have done, and no write to /scale is in the audit log",
  {},
  async (release) => {
    await release.install(quick({ autoscalerConfig: { observe: true } }));
    const { pod } = (await release.untilEndpoints(1))[0]!;
    const want = ["1 → 0 idle"];
    await untilWould(release, pod, want);
    release.phase("would have scaled down");
    for (let builds = 1; builds <= 2; builds++) {
      await (await release.build()).finish();
      want.push("0 → 1 held_session", "1 → 0 idle");
      await untilWould(release, pod, want);
    }
    release.phase("two builds");

    const records = await release.records(pod);
    assert.equal(records.filter(({ code }) => code === "observing").length, 1);
    const ended = records.filter(({ code }) => code === "session_ended");
    assert.ok(ended.length >= 2, "the builds' sessions");
    ended.forEach(assertEndedByClient);
    assert.deepEqual(records.filter(({ level, code }) => level === "error" || code === "wake_withheld"), []);

    const facts: StatusFacts = JSON.parse((await release.probe(pod, 8081, "/status.json")).body);
    const [builder] = facts.builders;
    assert.deepEqual([facts.observes, builder!.replicas, builder!.observed?.replicas], [true, 1, 0]);
    assert.equal(facts.wouldSave?.coldStarts, 2);
    assert.ok(facts.wouldSave!.podSecondsAsleep > 0);
    assert.equal(facts.saved.podSecondsAsleep, 0);
    assert.equal(builder!.observed!.isStartMeasured, true, "the chart grants the right to get pods");
    assert.equal(facts.wouldSave!.secondsWaited, 2 * builder!.observed!.startSeconds);
    assert.deepEqual([...new Set(builder!.decisions.map(({ event }) => event))], ["would_scale"]);
    assert.match((await release.probe(pod, 8081, "/")).body, /<strong>Observe mode:<\/strong>/);
    const { body: metrics } = await release.probe(pod, 8081, "/metrics");
    assert.match(metrics, /^buildkitd_autoscaler_observes 1$/m);
    assert.match(metrics, /_observe_scalings_total\{.*direction="down".*reason="idle".*\} 3\n/);
    assert.match(metrics, /_observe_scalings_total\{.*direction="up".*reason="held_session".*\} 2\n/);
    assert.match(metrics, /_observe_cold_starts_total\{.*\} 2\n/);

    const user = await release.programUser();
    const requests = await release.plane.requestsBy(user);
    assert.ok(requests.some(({ objectRef }) => objectRef?.subresource === "scale"), "it reads the count");
    assert.deepEqual(writes(requests), []);
    assert.deepEqual(await release.plane.refusedTo(user), [], "nor has it asked for what it may not do");
    assert.deepEqual(release.timeline.counts, [1]);
    const events = await release.list<KubeObject & { readonly reason?: string }>(
      "/apis/events.k8s.io/v1 events",
    );
    assert.deepEqual(events.filter(({ reason }) => /^Scaled/.test(reason ?? "")), []);
    release.phase("audit log read");

    await release.upgrade(quick(), "--wait");
    await release.timeline.settle([1, 0]);
    await (await release.build()).finish();
    await release.timeline.settle([1, 0, 1, 0]);
    assert.ok(writes(await release.plane.requestsBy(user)).length > 0, "the audit log shows writes");
    release.phase("scaled");
  },
);

/** Who owns the count, by the API server's notes, and through which subresource. */
function ownersOf({ metadata }: KubeObject): readonly string[] {
  const { managedFields = [] } = metadata as {
    readonly managedFields?: readonly {
      readonly manager: string;
      readonly subresource?: string;
      readonly fieldsV1: { readonly "f:spec"?: { readonly "f:replicas"?: unknown } };
    }[];
  };
  return managedFields.filter(({ fieldsV1 }) => fieldsV1["f:spec"]?.["f:replicas"] !== undefined)
    .map(({ manager, subresource }) => subresource === undefined ? manager : `/${subresource}`);
}

releaseScenario(
  "helm 4 keeps two builders through upgrades of an observer, and to a proxy that scales, while one builds",
  {},
  async (release) => {
    const values = (autoscaler: Values, version: string) =>
      quick({ ...autoscaler, podAnnotations: { "example.com/version": version } }, { replicaCount: 2 });
    const observe = { autoscalerConfig: { observe: true } };
    const builders = async () => {
      const pods = await release.pods("StatefulSet");
      return pods.map(({ metadata }) => [metadata.name, metadata.uid, metadata.deletionTimestamp]).sort();
    };
    await release.install(values(observe, "one"));
    const [one] = await release.untilEndpoints(1);
    await until("two builders", async () => (await builders()).length === 2);
    const before = await builders();
    const build = await (await release.build()).running();
    assert.deepEqual(ownersOf(await release.statefulSet()), ["helm"]);
    release.phase("installed, a build under way");

    await release.upgrade(values(observe, "two"));
    const [two] = await release.untilEndpoints(1, [one!.pod]);
    assert.deepEqual(ownersOf(await release.statefulSet()), ["helm"]);
    assert.deepEqual(await builders(), before, "the upgrade left the builders alone");
    release.phase("upgraded as an observer");

    await release.upgrade(values({}, "three"));
    await release.untilEndpoints(1, [one!.pod, two!.pod]);
    assert.deepEqual(await builders(), before, "the upgrade to a proxy that scales left the builders alone");
    await until("the autoscaler to own the count as well", async () => {
      return ownersOf(await release.statefulSet()).includes("/scale");
    }, { explain: () => release.report() });
    await release.upgrade(values({}, "four"));
    assert.deepEqual(ownersOf(await release.statefulSet()), ["/scale"], "helm has let go of it");
    assert.deepEqual(await builders(), before);
    assert.equal(build.ended, false, "the build has not ended before its time");
    release.phase("upgraded to scale, twice");

    await build.finish();
    await release.timeline.settle([2, 0]);
    release.phase("idle");
  },
);
