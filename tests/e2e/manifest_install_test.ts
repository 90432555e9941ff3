/**
 * `docs/manifest.yaml`, applied as it is: its pods run for real, a real build goes through them, and applying it again
 * during the next build changes nothing.
 *
 * @module
 */

import assert from "node:assert/strict";
import { parseManifests } from "./manifests.ts";
import { releaseScenario } from "./release.ts";

const MANIFEST = new URL("../../docs/manifest.yaml", import.meta.url);
const IDLE_MS = 2_000;

releaseScenario(
  "docs/manifest.yaml: a build through what it makes, and it can be applied again during one",
  { namespace: "ci" },
  async (release) => {
    const text = await Deno.readTextFile(MANIFEST);
    const objects = parseManifests(text.replace(
      "- name: PROXY_LISTEN_ADDR",
      `- {name: SCALE_DOWN_IDLE_TIMEOUT, value: ${IDLE_MS}ms}\n            - name: PROXY_LISTEN_ADDR`,
    ));
    await release.apply(objects, "kubectl");
    const [endpoint] = await release.untilEndpoints(1);
    // Without a count in the manifest Kubernetes takes 1.
    await release.untilCount(0);
    await release.watch();
    const build = await (await release.build()).running();
    const [builder] = await release.pods("StatefulSet");
    await release.apply(objects, "kubectl");
    await build.finish();
    assert.deepEqual(release.timeline.counts, [0, 1]);
    assert.equal((await release.pods("StatefulSet"))[0]!.metadata.uid, builder!.metadata.uid);
    assert.deepEqual(await release.endpoints(), [endpoint]);
    await release.timeline.settle([0, 1, 0]);
    assert.deepEqual(await release.plane.refusedTo(await release.programUser()), []);
    release.phase("applied, built, applied again");
  },
);
