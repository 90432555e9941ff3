/**
 * The chart installed by helm, its pods run for real, a real build through them, and what is left when it is taken away.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { HelmName } from "./helm.ts";
import { contentsOf } from "./manifests.ts";
import { quick, type Release, releaseScenario } from "./release.ts";
import { until } from "./waiting.ts";

/** Waits until nothing of the release is left but the cache volume. */
async function untilOnlyCacheIsLeft(release: Release): Promise<void> {
  let left: readonly string[] = [];
  await until("all but the cache volume to be gone", async () => {
    left = await contentsOf(release.api, release.namespace);
    return left.length === 1 && left[0]!.startsWith("PersistentVolumeClaim ");
  }, { explain: () => `left: ${left.join(", ")}\n${release.report()}`, pollMs: 200 });
}

for (const helm of ["helm", "helm3"] satisfies HelmName[]) {
  releaseScenario(
    `${helm}: install, build, idle, uninstall during a build that ends well: only the cache volume is left`,
    { helm },
    async (release) => {
      const notes = await release.install(quick());
      assert.match(notes, /STATUS: deployed/);
      release.phase("install");
      await release.timeline.settle([0]);
      const [endpoint] = await release.untilEndpoints(1);
      const build = await release.build(endpoint!.address);
      await build.finish();
      release.phase("build");
      await release.timeline.settle([0, 1, 0]);
      await release.untilBuildkitdGone();
      release.phase("idle");
      const user = await release.programUser();
      assert.deepEqual(await release.plane.refusedTo(user), []);
      const last = await (await release.build()).running();
      await release.uninstall();
      await until("the pods to be told to leave", async () => {
        const pods = [...await release.pods("ReplicaSet"), ...await release.pods("StatefulSet")];
        return pods.length === 2 && pods.every(({ metadata }) => metadata.deletionTimestamp !== undefined);
      }, { explain: () => release.report() });
      assert.equal(last.ended, false);
      await last.finish();
      await release.untilNoPods();
      await untilOnlyCacheIsLeft(release);
      release.phase("uninstall");
    },
  );
}
