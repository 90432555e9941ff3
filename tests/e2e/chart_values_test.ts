/**
 * The chart with other values than the defaults, and what they do to the pods that run.
 *
 * @module
 */

import assert from "node:assert/strict";
import { makeCa } from "../integration/kube/certificates.ts";
import { sysctlOf } from "./containers/network.ts";
import { contentsOf } from "./manifests.ts";
import { noted } from "./kubelet.ts";
import { quick, RELEASE, type Release, releaseScenario } from "./release.ts";
import { delay, until } from "./waiting.ts";

/** Another image, other ports, a namespace for each half, no volume, configuration, limits, an init container. */
function otherValues(release: Release) {
  return quick(
    {
      separateNamespace: release.autoscalerNamespace,
      namespace: { create: true, labels: { "pod-security.kubernetes.io/enforce": "restricted" } },
      autoscalerConfig: {
        proxyListenAddr: ":9372",
        adminAddr: ":9081",
        shutdownDelay: "0s",
        maxHeld: 7,
      },
      service: { port: 1234 },
      startupProbe: { enabled: true },
      resources: { limits: { memory: "256Mi" } },
    },
    {
      preset: "moby",
      service: { port: 4321 },
      startupProbe: { enabled: true },
      config: "[registry.'example.com']\n  http = true\n",
      extraEnvVars: [{ name: "FROM_VALUES", value: "yes" }],
      persistence: { enabled: false },
      resources: { limits: { memory: "1Gi" } },
      initContainers: [{
        name: "before",
        image: "moby/buildkit:v0.34.2",
        command: ["sh", "-c", "echo before > /cache/before"],
        volumeMounts: [{ name: "cache", mountPath: "/cache" }],
      }],
    },
  );
}

releaseScenario(
  "moby, two namespaces, other ports, a configuration, limits: a build, and a namespace that stays",
  { split: true },
  async (release) => {
    const notes = await release.install(otherValues(release));
    assert.match(notes, new RegExp(`\\.${release.autoscalerNamespace}\\.svc:1234`));
    const [endpoint] = await release.untilEndpoints(1);
    assert.match(endpoint!.address, /:9372$/);
    const ip = new URL(endpoint!.address).hostname;
    assert.equal(await sysctlOf(ip, "net.ipv4.tcp_keepalive_time"), "90");
    assert.equal((await release.probe(endpoint!.pod, 9081, "/readyz")).status, 200);
    const settings = (await release.records(endpoint!.pod)).find(({ code }) => code === "settings_loaded");
    assert.equal(settings?.["max-held"], "7");
    const build = await (await release.build()).running();
    const [pod] = await release.pods("StatefulSet");
    const inside = await release.kubelet.exec(pod!.metadata.name, [
      ...[
        "sh",
        "-c",
        "echo $FROM_VALUES; cat /var/lib/buildkit/before; cat /etc/buildkit/buildkitd.toml; buildctl debug workers",
      ],
    ]);
    assert.match(inside, /^yes\nbefore\n\[registry.'example.com'\]\n {2}http = true\n/);
    assert.match(inside, /^ID\s+PLATFORMS\n\w+\s+linux/m);
    await build.finish();
    await release.timeline.settle([0, 1, 0]);
    assert.deepEqual(await release.plane.refusedTo(await release.programUser()), []);
    release.phase("installed, built");
    await release.uninstall();
    await release.untilNoPods();
    for (const namespace of [release.namespace, release.autoscalerNamespace]) {
      let left: readonly string[] = [];
      await until(`all objects in ${namespace} to be gone`, async () => {
        left = await contentsOf(release.api, namespace);
        return left.length === 0;
      }, { explain: () => left.join(", "), pollMs: 200 });
    }
    const { status } = await release.api.get<{ status: { phase: string } }>(
      `/api/v1/namespaces/${release.autoscalerNamespace}`,
    );
    assert.equal(status.phase, "Active", "the namespace that the chart made stays");
    release.phase("uninstalled");
  },
);

releaseScenario(
  "a pod of buildkitd that is deleted during a build ends after it, and the next client gets the next pod",
  {},
  async (release) => {
    await release.install(quick());
    const first = await (await release.build()).running();
    const [pod] = await release.pods("StatefulSet");
    const deletedMs = performance.now();
    await release.api.delete(`/api/v1/namespaces/${release.namespace}/pods/${pod!.metadata.name}`);
    await noted(release.kubelet, "terminating", deletedMs);
    const second = await release.build();
    // Longer than the hook's look at the connections, and buildkitd still answers.
    await delay(2_000);
    await release.kubelet.exec(pod!.metadata.name, ["buildctl", "debug", "workers"]);
    await first.finish();
    await second.finish();
    assert.equal((await noted(release.kubelet, "ended", deletedMs)).uid, pod!.metadata.uid);
    await release.timeline.settle([0, 1, 0]);
    release.phase("two builds, idle");
  },
);

releaseScenario("one autoscaler works without the rights to Leases and pods", {}, async (release) => {
  const without = quick({ rbac: { leases: false, pods: false } });
  await release.install(without);
  const [endpoint] = await release.untilEndpoints(1);
  release.phase("installed");
  await (await release.build()).finish();
  await release.timeline.settle([0, 1, 0]);
  const { body } = await release.probe(endpoint!.pod, 8081, "/healthz?verbose");
  assert.match(body, /proxies ok: .*alone/);
  release.phase("built, idle");
});

releaseScenario("an autoscaler that hangs is restarted by its liveness probe", {}, async (release) => {
  await release.install(quick({
    livenessProbe: { periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 2 },
    terminationGracePeriodSeconds: 1,
  }));
  const [endpoint] = await release.untilEndpoints(1);
  const frozenMs = performance.now();
  await release.kubelet.freezeProcess(endpoint!.pod);
  const ended = await noted(release.kubelet, "ended", frozenMs);
  assert.match(ended.detail ?? "", /after its liveness probe had failed/);
  release.phase("installed, ended");
  await noted(release.kubelet, "ready", ended.atMs);
  const again = await release.untilEndpoints(1);
  assert.deepEqual(again, [endpoint], "the same pod at the same address");
  release.phase("restarted");
  await (await release.build()).finish();
  release.phase("built");
});

releaseScenario(
  "TLS between the autoscaler and buildkitd by a Secret: the probe and the health check work, and so does a build",
  {},
  async (release) => {
    const name = `${RELEASE}-buildkitd-stack-buildkitd-headless.${release.namespace}.svc`;
    const ca = await makeCa();
    const { cert, key } = await ca.issue({ commonName: "buildkitd", dnsNames: [name] });
    await release.api.create(`/api/v1/namespaces/${release.namespace}/secrets`, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "pair" },
      type: "kubernetes.io/tls",
      stringData: { "tls.crt": cert, "tls.key": key, "ca.crt": ca.cert },
    });
    await release.install(quick(
      // Only a health check over TLS lets sessions go to the pod.
      { tls: { upstream: { enabled: true, secretName: "pair" } }, autoscalerConfig: { readiness: "grpc" } },
      { preset: "moby" },
    ));
    const build = await (await release.build()).running();
    const [pod] = await release.pods("StatefulSet");
    await noted(release.kubelet, "ready");
    const files =
      "--tlscacert /etc/buildkitd-tls/ca.crt --tlscert /etc/buildkitd-tls/tls.crt --tlskey /etc/buildkitd-tls/tls.key";
    const asked = (options: string) =>
      release.kubelet.exec(pod!.metadata.name, [
        "sh",
        "-c",
        `buildctl ${options} debug workers 2>&1 || true`,
      ]);
    assert.match(await asked(`${files} --tlsservername ${name}`), /^ID\s+PLATFORMS\n\w+\s+linux/m);
    assert.doesNotMatch(await asked(""), /PLATFORMS/, "nobody is let in without a certificate");
    await build.finish();
    await release.timeline.settle([0, 1, 0]);
  },
);
