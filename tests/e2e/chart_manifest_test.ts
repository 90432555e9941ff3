/**
 * What helm makes of the chart, sent to the real API server without being kept: accepted to the last field and without a
 * warning, by Pod Security's strictest level too. Wrong values leave no trace in a cluster.
 *
 * `helm install --dry-run=server` would check nothing (it accepts unknown fields and impossible ports), so the rendered
 * objects are sent in a dry run with strict validation, as `kubectl apply --dry-run=server --validate=strict` does it.
 * What the chart renders and refuses without a cluster is tested in `tests/chart`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { VALUE_SETS } from "../chart/value_sets.ts";
import { CHART, type Values } from "./helm.ts";
import { ApiError, KubeApi, type KubeObject } from "./kube_api.ts";
import { collectionPath, contentsOf, discover, parseManifests, type Resource } from "./manifests.ts";
import { RELEASE, type Release, releaseScenario } from "./release.ts";

/** Kinds that only clusters with the Prometheus operator or cert-manager have. */
const CUSTOM_KINDS = ["ServiceMonitor", "PodMonitor", "PrometheusRule", "Certificate"];

async function render(release: Release, values: Values): Promise<readonly KubeObject[]> {
  return parseManifests(
    await release.helm.run(["template", RELEASE, CHART, "--namespace", release.namespace], values),
  );
}

let resources: readonly Resource[] | undefined;

/** Sends an object in a dry run, and gives what the server warned of. */
async function dryRun(release: Release, object: KubeObject): Promise<readonly string[]> {
  const api = new KubeApi(release.api.access);
  try {
    resources ??= await discover(api);
    const path = collectionPath(resources, object, release.namespace);
    await api.create(`${path}?dryRun=All&fieldValidation=Strict&fieldManager=kubectl`, object);
    return api.warnings;
  } finally {
    api.close();
  }
}

releaseScenario(
  "the API server accepts every object of every set of values, without a warning",
  {},
  async (release) => {
    const namespaces = new Set<string | undefined>([release.namespace]);
    let sent = 0;
    for (const [name, values] of VALUE_SETS) {
      for (const object of await render(release, values as Values)) {
        if (CUSTOM_KINDS.includes(object.kind)) continue;
        const { namespace } = object.metadata;
        if (namespace !== undefined && !namespaces.has(namespace)) {
          await release.api.create("/api/v1/namespaces", {
            apiVersion: "v1",
            kind: "Namespace",
            metadata: { name: namespace },
          });
          namespaces.add(namespace);
        }
        sent += 1;
        const warnings = await dryRun(release, admissible(object)).catch((
          error: ApiError,
        ) => [error.message]);
        if (object.kind === "Namespace" && /already exists/.test(String(warnings))) continue;
        assert.deepEqual(warnings, [], `${name}: ${JSON.stringify(object, null, 2)}`);
      }
    }
    release.phase(`${sent} objects of ${VALUE_SETS.size} sets`);
    assert.ok(sent > 7 * VALUE_SETS.size, `${sent} objects`);
  },
);

releaseScenario("the API server's dry run refuses a field that it does not know", {}, async (release) => {
  const [deployment] = (await render(release, {})).filter(({ kind }) => kind === "Deployment");
  const spec = { ...deployment!.spec as object, replicasCount: 1 };
  await assert.rejects(
    dryRun(release, { ...deployment!, spec }),
    (error: ApiError) => error.status === 400 && error.message.includes('unknown field "spec.replicasCount"'),
  );
});

/** The pod of `helm test` with a service account that is there: nothing of the release is. */
function admissible(object: KubeObject): KubeObject {
  if (object.kind !== "Pod") return object;
  return { ...object, spec: { ...object.spec as object, serviceAccountName: "default" } };
}

/** A pod as a controller would make it from the object's template. */
function podOf(object: KubeObject): KubeObject {
  const { template, volumeClaimTemplates = [] } = object.spec as {
    readonly template: { readonly metadata: object; readonly spec: { readonly volumes?: readonly object[] } };
    readonly volumeClaimTemplates?: readonly KubeObject[];
  };
  const claims = volumeClaimTemplates.map(({ metadata: { name } }) => ({
    name,
    persistentVolumeClaim: { claimName: name },
  }));
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...template.metadata, name: "from-template" },
    spec: {
      ...template.spec,
      serviceAccountName: "default",
      volumes: [...template.spec.volumes ?? [], ...claims],
    },
  };
}

releaseScenario(
  "Pod Security takes the autoscaler's pods at its level restricted, and not buildkitd's",
  {
    labels: {
      "pod-security.kubernetes.io/enforce": "restricted",
      "pod-security.kubernetes.io/warn": "restricted",
    },
  },
  async (release) => {
    const objects = await render(release, {});
    const deployment = objects.find(({ kind }) => kind === "Deployment")!;
    assert.deepEqual(await dryRun(release, deployment), []);
    assert.deepEqual(await dryRun(release, podOf(deployment)), []);
    assert.deepEqual(await dryRun(release, admissible(objects.find(({ kind }) => kind === "Pod")!)), []);
    const statefulSet = objects.find(({ kind }) => kind === "StatefulSet")!;
    assert.match(
      String(await dryRun(release, statefulSet)),
      /would violate PodSecurity \\?"restricted:latest/,
    );
    await assert.rejects(
      dryRun(release, podOf(statefulSet)),
      (error: ApiError) =>
        error.status === 403 && /violates PodSecurity "restricted:latest"/.test(error.message),
    );
  },
);

for (const helm of ["helm", "helm3"] as const) {
  releaseScenario(
    `${helm} installs nothing with a value that the schema or the chart refuses`,
    { helm },
    async (release) => {
      const refused: readonly (readonly [Values, RegExp])[] = [
        [{ buildkitd: { service: { port: 99999 } } }, /\/buildkitd\/service\/port': maximum: got 99,999/],
        [{ autoscaler: { replicaCount: 2, rbac: { leases: false } } }, /autoscaler\.replicaCount is 2, and/],
      ];
      for (const [values, says] of refused) {
        const args = ["install", RELEASE, CHART, "--namespace", release.namespace];
        const { code, stderr } = await release.helm.outcome(args, values);
        assert.notEqual(code, 0);
        assert.match(stderr, says);
      }
      assert.deepEqual(await contentsOf(release.api, release.namespace), []);
    },
  );
}
