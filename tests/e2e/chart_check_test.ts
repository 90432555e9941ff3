/**
 * `helm test`: the chart's pod looks for faults with the settings and the rights of the proxy, in a container of its own.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import type { HelmName } from "./helm.ts";
import type { Pod } from "./containers/pod_spec.ts";
import { quick, RELEASE, type Release, releaseScenario } from "./release.ts";
import { until } from "./waiting.ts";

async function checkPods(release: Release): Promise<readonly Pod[]> {
  const pods = await release.list<Pod>("/api/v1 pods", release.autoscalerNamespace);
  return pods.filter(({ metadata }) => metadata.name.endsWith("-check"));
}

/** What the pods of that name have printed so far. */
async function printed(release: Release): Promise<string> {
  const [name] = [...Deno.readDirSync(release.folder)].map(({ name }) => name)
    .filter((name) => name.endsWith("-check.log"));
  return name === undefined ? "" : await Deno.readTextFile(join(release.folder, name));
}

function helmTest(release: Release) {
  return release.helm.outcome(["test", RELEASE, "--namespace", release.namespace, "--timeout=80s"]);
}

for (const helm of ["helm", "helm3"] satisfies HelmName[]) {
  releaseScenario(
    `${helm} test passes on a fresh install and leaves a pod for its log`,
    { helm },
    async (release) => {
      await release.install(quick());
      await release.timeline.settle([0]);
      const { code, stdout, stderr } = await helmTest(release);
      assert.equal(code, 0, `${stdout}${stderr}\n${await printed(release)}`);
      assert.match(stdout, /Phase: +Succeeded/);
      const report = await printed(release);
      assert.match(report, /^ok +API server: v1\.\d+/m);
      assert.match(report, /^not checked +pod of "builders-buildkitd-stack-buildkitd": none runs now/m);
      assert.doesNotMatch(report, /^(FAILED|warning)/m);
      assert.deepEqual(release.timeline.replicas.map(({ replicas }) => replicas), [0]);
      assert.equal((await checkPods(release)).length, 1);
      assert.deepEqual(await refused(release), []);
    },
  );
}

/** What the API server has refused to the program, but for reads that are tried. */
async function refused(release: Release): Promise<readonly string[]> {
  const requests = await release.plane.refusedTo(await release.programUser());
  return requests.filter(({ verb }) => !["get", "list"].includes(verb)).map(({ requestURI }) => requestURI);
}

releaseScenario(
  "helm test connects to a running builder, and fails when a right was taken away",
  { split: true },
  async (release) => {
    const values = quick({
      separateNamespace: release.autoscalerNamespace,
      namespace: { create: true },
      autoscalerConfig: { minReplicas: 1 },
    });
    await release.install(values);
    await until("a ready builder", async () => {
      const [pod] = await release.pods("StatefulSet");
      return pod?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True");
    }, { explain: () => release.report() });
    const passed = await helmTest(release);
    assert.equal(passed.code, 0, `${passed.stdout}${passed.stderr}\n${await printed(release)}`);
    assert.match(await printed(release), /-0 accepts\s+connections by its address/);
    assert.match(await printed(release), /-0\s+answers SERVING/);
    const [role] = await release.list("/apis/rbac.authorization.k8s.io/v1 roles");
    const rules = (role as unknown as { rules: readonly { readonly resources: readonly string[] }[] }).rules;
    await release.api.patch(
      `/apis/rbac.authorization.k8s.io/v1/namespaces/${release.namespace}/roles/${role!.metadata.name}`,
      { rules: rules.filter(({ resources }) => !resources.includes("endpointslices")) },
    );
    const failed = await until("the right to be gone", async () => {
      const outcome = await helmTest(release);
      return outcome.code !== 0 && outcome;
    });
    assert.match(failed.stdout + failed.stderr, /failed/i);
    assert.match(await printed(release), /^FAILED +rights to endpointslices: no right to list, watch$/m);
    const [left] = await checkPods(release);
    assert.equal(left?.metadata.name.endsWith("-check"), true, "a failed pod stays, for its log");
  },
);
