/**
 * `kill -9` of a proxy's container, as a crash does it: what the kubelet, the clients and the other proxies make of it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { until } from "../../e2e/waiting.ts";
import { runInside } from "../namespace.ts";
import { groundTest, type Pod, Release } from "../release.ts";

/** Kills the first process of a proxy's container. */
async function kill(pod: Pod): Promise<void> {
  const id = pod.status.containerStatuses![0]!.containerID!.replace("containerd://", "");
  const state = JSON.parse(await runInside("runc", "--root", "/run/containerd/runc/k8s.io", "state", id));
  await runInside("kill", "-KILL", String(state.pid));
}

/** Waits until the kubelet has started the container of that pod again. */
async function untilRestarted(release: Release, uid: string): Promise<void> {
  await until("the killed proxy to be back", async () => {
    const pod = (await release.proxies()).find(({ metadata }) => metadata.uid === uid);
    return pod !== undefined && Release.restarts(pod) === 1 && Release.isReady(pod);
  }, { pollMs: 200 });
}

groundTest(
  "a lone proxy that is killed ends its build, keeps the builder's count, and serves the next client in the same pod",
  { namespace: "killed-alone" },
  async (release) => {
    await release.install();
    const [proxy] = await release.untilProxies(1);
    const build = await (await release.build()).running();
    await kill(proxy!);
    assert.notEqual(await build.code(), 0, "a build does not outlive its connection");
    await untilRestarted(release, proxy!.metadata.uid);
    assert.equal(await release.replicas(), 1);
    await (await (await release.build()).running()).finish();
    await release.untilNoBuilder();
  },
);

groundTest(
  "one of two proxies that is killed: builds of the other one end well, and new clients are served meanwhile",
  { namespace: "killed-pair" },
  async (release) => {
    await release.install({ autoscaler: { replicaCount: 2 } });
    const proxies = await release.untilProxies(2);
    const build = await (await release.build()).running();
    const sessions = await Promise.all(proxies.map(async (proxy) => ({
      proxy,
      carries: (await release.status(proxy.metadata.name)).includes("1 sessions open"),
    })));
    const idle = sessions.find(({ carries }) => !carries)!.proxy;
    await kill(idle);
    await (await (await release.build()).running()).finish();
    await untilRestarted(release, idle.metadata.uid);
    await build.finish();
    await release.untilNoBuilder();
  },
);
