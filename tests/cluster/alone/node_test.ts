/**
 * Faults of the whole node: a drain, the API server away, the kubelet away. No other test may run beside these.
 *
 * @module
 */

import assert from "node:assert/strict";
import { delay, until } from "../../e2e/waiting.ts";
import { kubectl, outcome, program } from "../commands.ts";
import { start, stop, untilReady } from "../daemon.ts";
import { NODE } from "../place.ts";
import { groundTest, Release } from "../release.ts";
import { daemons } from "../up.ts";

/** How long a part of the cluster is away: longer than any time-out of the program that is not about builds. */
const AWAY_MS = 120_000;

groundTest(
  "kubectl drain waits for the build on the node and cuts nothing; after uncordon the next client is served",
  { namespace: "drained" },
  async (release) => {
    await release.install({ autoscaler: { replicaCount: 2 } });
    await release.untilProxies(2);
    const build = await (await release.build()).running();
    try {
      await kubectl("cordon", NODE);
      const drain = ["drain", NODE, `--pod-selector=app.kubernetes.io/component in (autoscaler,buildkitd)`];
      const drained = outcome(program("kubectl"), [...drain, "--delete-emptydir-data", "--timeout=120s"]);
      await until("builder and proxies to be told to leave", async () => {
        const pods = [...await release.proxies(), ...await release.builders()];
        const told = pods.filter(({ metadata }) => metadata.deletionTimestamp !== undefined);
        return told.length >= 2;
      }, { pollMs: 200 });
      assert.equal(build.ended, false);
      await build.finish();
      assert.equal((await drained).code, 0, (await drained).output);
    } finally {
      await kubectl("uncordon", NODE);
    }
    await release.untilProxies(2);
    await (await (await release.build()).running()).finish();
    await release.untilNoBuilder();
  },
);

/** The state that a part's absence must not change. */
async function stateOf(release: Release) {
  const pods = [...await release.proxies(), ...await release.builders()];
  return {
    pods: pods.map(({ metadata }) => metadata.uid).sort(),
    restarts: pods.map(Release.restarts),
    replicas: await release.replicas(),
  };
}

groundTest(
  "the API server away for two minutes: an idle proxy and one with a build stay as they are, and both serve again",
  { namespace: "api-away" },
  async (release) => {
    await release.install();
    await release.untilProxies(1);
    const build = await (await release.build()).running();
    const before = await stateOf(release);
    const all = daemons(program);
    await stop("kube-apiserver", "KILL");
    try {
      await delay(AWAY_MS);
      assert.equal(build.ended, false);
    } finally {
      await start(all["kube-apiserver"]!);
      await untilReady("kube-apiserver", async () => (await kubectl("get", "--raw=/readyz")) === "ok");
    }
    assert.deepEqual(await stateOf(release), before);
    await build.finish();
    await (await (await release.build()).running()).finish();
    await release.untilNoBuilder();
    const [proxy] = await release.untilProxies(1);
    assert.equal(Release.restarts(proxy!), 0);
    const lines = (await release.log(proxy!.metadata.name)).map(({ code }) => code);
    assert.equal(lines.filter((code) => code === "api_access_failed").length, 1, lines.join(", "));
    assert.equal(lines.filter((code) => code === "api_access_recovered").length, 1, lines.join(", "));
  },
);

groundTest(
  "the kubelet away for two minutes: the build goes on, nothing restarts, nothing is scaled",
  { namespace: "kubelet-away" },
  async (release) => {
    await release.install();
    await release.untilProxies(1);
    const build = await (await release.build()).running();
    const before = await stateOf(release);
    await stop("kubelet", "KILL");
    try {
      await delay(AWAY_MS);
      assert.equal(build.ended, false);
      assert.deepEqual(await stateOf(release), before);
    } finally {
      await start(daemons(program)["kubelet"]!);
      await kubectl("wait", "--for=condition=Ready", `node/${NODE}`, "--timeout=60s");
    }
    await release.untilProxies(1);
    await build.finish();
    await (await (await release.build()).running()).finish();
    await release.untilNoBuilder();
    assert.deepEqual((await release.proxies()).map(Release.restarts), [0]);
  },
);
