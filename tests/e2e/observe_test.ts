/**
 * Observe mode, as the chart installs it: builds are carried by a builder that runs all the time, what would have been done
 * is told, and the API server's audit log has no write to `/scale`, which the Role does not allow either. Then the same
 * release scales.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { StatusFacts } from "../../lib/ops/status_facts.ts";
import type { AuditRecord } from "./control_plane.ts";
import type { KubeObject } from "./kube_api.ts";
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
    assert.deepEqual([...new Set(ended.map(({ outcome }) => outcome))], ["completed"]);
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
