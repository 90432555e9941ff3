/**
 * The chart in front of a builder that runs already: the manifest and the order of `docs/in-front-of-what-you-have.md`, with
 * real builds at each step, none of which is cut.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fenced } from "../repo/documents.ts";
import { parseManifests } from "./manifests.ts";
import { quick, releaseScenario } from "./release.ts";
import { until } from "./waiting.ts";

const PAGE = new URL("../../docs/in-front-of-what-you-have.md", import.meta.url);
const PORT = 1234;

const TARGET = { statefulSet: "buildkitd", headlessService: "buildkitd", port: PORT };

/** The page's values, with or without a replica that stays. */
function values(minReplicas: number) {
  return quick({ target: TARGET, autoscalerConfig: { minReplicas } }, { enabled: false });
}

releaseScenario(
  "docs/in-front-of-what-you-have.md: attached under a running build, scaled to zero, detached under one, nothing is cut",
  {},
  async (release) => {
    const manifest = fenced(await Deno.readTextFile(PAGE), "yaml").find((block) =>
      /kind: StatefulSet/.test(block)
    );
    await release.apply(parseManifests(manifest!), "kubectl");
    const address = await until("the builder to be ready", async () => {
      const [pod] = await release.pods("StatefulSet");
      const ready = pod?.status?.conditions?.some(({ type, status }) =>
        type === "Ready" && status === "True"
      );
      return ready && `tcp://${pod!.status!.podIP}:${PORT}`;
    }, { explain: () => release.report() });
    const direct = await (await release.build(address)).running();
    release.phase("a builder, and a build on it");

    const notes = await release.install(values(1));
    assert.doesNotMatch(notes, /WARNING/);
    const through = await (await release.build()).running();
    await through.finish();
    assert.equal(direct.ended, false);
    await direct.finish();
    assert.deepEqual(release.timeline.counts, [1]);
    release.phase("attached, built beside it");

    await release.upgrade(values(0), "--wait");
    await release.timeline.settle([1, 0]);
    await release.untilBuildkitdGone();
    await (await release.build()).finish();
    await release.timeline.settle([1, 0, 1, 0]);
    release.phase("scaled to zero and back");

    const last = await (await release.build()).running();
    await release.upgrade(values(1), "--wait");
    await release.uninstall();
    await until("the autoscaler to be told to leave", async () => {
      const pods = await release.pods("ReplicaSet");
      return pods.length > 0 && pods.every(({ metadata }) => metadata.deletionTimestamp !== undefined);
    }, { explain: () => release.report() });
    const [pod] = await release.pods("StatefulSet");
    const after = await (await release.build(`tcp://${pod!.status!.podIP}:${PORT}`)).running();
    assert.equal(last.ended, false);
    await last.finish();
    await until("the autoscaler to be gone", async () => (await release.pods("ReplicaSet")).length === 0, {
      explain: () => release.report(),
    });
    await after.finish();
    assert.deepEqual(release.timeline.counts, [1, 0, 1, 0, 1]);
    assert.deepEqual((await release.pods("StatefulSet")).map(({ metadata }) => metadata.uid), [
      pod!.metadata.uid,
    ]);
    release.phase("detached under a build");
  },
);
