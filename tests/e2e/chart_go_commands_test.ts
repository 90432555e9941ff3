/**
 * The commands that the README of the Go program gave for its chart work with this one: install with `--set`, an annotation
 * with escaped dots, upgrade with a file of values, uninstall. A real build goes through what they make.
 *
 * @module
 */

import assert from "node:assert/strict";
import { CHART, type HelmName, type Values } from "./helm.ts";
import { contentsOf } from "./manifests.ts";
import { type Release, releaseScenario } from "./release.ts";
import { until } from "./waiting.ts";

const RELEASE = "my-buildkitd-autoscaler";
const NAMESPACE = "buildkitd-scaler-system";

/** Runs a command as a shell would hand it over; `./helm/buildkitd-stack` is the chart of the checkout. */
async function helm(release: Release, command: string, values?: Values): Promise<string> {
  const args = command.split(/\s+/).map((arg) => arg === "./helm/buildkitd-stack" ? CHART : arg);
  return await release.helm.run(args, values);
}

function scenario(name: HelmName, namespace: string): void {
  releaseScenario(
    `${name}: the Go program's commands install, annotate, upgrade and uninstall`,
    { helm: name, namespace },
    async (release) => {
      await helm(
        release,
        `install ${RELEASE} ./helm/buildkitd-stack --namespace ${namespace} --create-namespace ` +
          "--set autoscaler.image.repository=ghcr.io/earthbuild/buildkitd-autoscaler " +
          "--set autoscaler.image.tag=v2.0.0 " +
          "--set autoscaler.autoscalerConfig.scaleDownIdleTimeout=2s " +
          "--set buildkitd.persistence.size=100Gi " +
          String.raw`--set buildkitd.podAnnotations.traffic\.sidecar\.istio\.io/kubevirtInterfaces=cni0`,
      );
      await release.watch();
      await release.untilEndpoints(1);
      await (await release.build()).finish();
      await release.timeline.settle([0, 1, 0]);
      const { spec } = await release.statefulSet() as Values as {
        spec: { template: { metadata: { annotations: Values } }; volumeClaimTemplates: readonly Values[] };
      };
      assert.equal(
        spec.template.metadata.annotations["traffic.sidecar.istio.io/kubevirtInterfaces"],
        "cni0",
      );
      assert.match(JSON.stringify(spec.volumeClaimTemplates), /"storage":"100Gi"/);
      release.phase("installed, built");

      await helm(
        release,
        `upgrade ${RELEASE} ./helm/buildkitd-stack --namespace ${namespace} --wait`,
        {
          autoscaler: { autoscalerConfig: { scaleDownIdleTimeout: "3s", logLevel: "info" } },
          buildkitd: { persistence: { size: "100Gi" }, podAnnotations: { changed: "yes" } },
        },
      );
      const build = await (await release.build()).running();
      const [pod] = await release.pods("StatefulSet");
      assert.equal((pod!.metadata as { annotations?: Values }).annotations?.changed, "yes");
      release.phase("upgraded");

      await helm(release, `uninstall ${RELEASE} --namespace ${namespace}`);
      await build.finish();
      let left: readonly string[] = [];
      await until("all but the cache volume to be gone", async () => {
        left = await contentsOf(release.api, namespace);
        return left.length === 1 && left[0]!.startsWith("PersistentVolumeClaim ");
      }, { explain: () => `left: ${left.join(", ")}\n${release.report()}`, pollMs: 200 });
      release.phase("uninstalled");
    },
  );
}

scenario("helm", NAMESPACE);
scenario("helm3", `${NAMESPACE}-3`);
