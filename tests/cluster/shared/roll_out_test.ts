/**
 * Roll-outs of the proxies while a build runs, with the kubelet's probes and grace periods.
 *
 * @module
 */

import assert from "node:assert/strict";
import { groundTest, Release } from "../release.ts";

groundTest(
  "one proxy becomes three during a build: the first one stays, the build ends well, and no Event warns",
  { namespace: "three-proxies" },
  async (release) => {
    await release.install();
    const [first] = await release.untilProxies(1);
    const build = await (await release.build()).running();
    await release.upgrade({ autoscaler: { replicaCount: 3 } });
    const three = await release.untilProxies(3);
    assert.ok(
      three.some(({ metadata }) => metadata.uid === first!.metadata.uid),
      "the first proxy was replaced",
    );
    await build.finish();
    assert.deepEqual(three.map(Release.restarts), [0, 0, 0]);
    await release.untilNoBuilder();
    await release.assertNoWarnings();
  },
);

groundTest(
  "a new pod template replaces the proxy during a build: the old one carries it to its end, and no Event warns",
  { namespace: "roll-out" },
  async (release) => {
    await release.install();
    const [first] = await release.untilProxies(1);
    const build = await (await release.build()).running();
    await release.upgrade({ autoscaler: { podAnnotations: { upgraded: "yes" } } });
    const pods = await release.proxies();
    const old = pods.find(({ metadata }) => metadata.uid === first!.metadata.uid);
    assert.ok(old?.metadata.deletionTimestamp !== undefined, "the old proxy drains");
    const second = await (await release.build()).running();
    assert.equal(await release.replicas(), 1);
    await build.finish();
    await second.finish();
    await release.untilProxies(1);
    await release.untilNoBuilder();
    await release.assertNoWarnings();
  },
);
