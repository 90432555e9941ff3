/**
 * A real API server takes `docs/manifest.yaml` to the last field and without a warning, and Pod Security's strictest level
 * takes the proxy's pods.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { ApiError, KubeObject } from "./kube_api.ts";
import { collectionPath, discover, parseManifests } from "./manifests.ts";
import { type Cluster, scenario } from "./scenario.ts";

const MANIFEST = new URL("../../docs/manifest.yaml", import.meta.url);

/** The dry run of `kubectl apply --dry-run=server --validate=strict`, and what the server warned of. */
async function dryRun({ api }: Cluster, object: KubeObject): Promise<readonly string[]> {
  const before = api.warnings.length;
  const path = collectionPath(await discover(api), object, "default");
  await api.create(`${path}?dryRun=All&fieldValidation=Strict&fieldManager=kubectl`, object);
  return api.warnings.slice(before);
}

scenario("the API server takes docs/manifest.yaml, and restricts only buildkitd", {}, async (cluster) => {
  const objects = parseManifests(await Deno.readTextFile(MANIFEST));
  const [namespace, ...rest] = objects;
  assert.equal(namespace!.kind, "Namespace");
  await cluster.api.create("/api/v1/namespaces", {
    ...namespace,
    metadata: { ...namespace!.metadata, labels: { "pod-security.kubernetes.io/warn": "restricted" } },
  });
  assert.ok(rest.length >= 7, `${rest.length} objects`);
  for (const object of rest) {
    const warnings = await dryRun(cluster, object);
    // Privileged, since it makes containers: the one object that this level warns of.
    if (object.kind === "StatefulSet") {
      assert.match(warnings.join(), /would violate PodSecurity .*privileged/);
    } else assert.deepEqual(warnings, [], object.kind);
  }
  const deployment = rest.find(({ kind }) => kind === "Deployment")!;
  await assert.rejects(
    dryRun(cluster, { ...deployment, spec: { ...deployment.spec as object, replicasCount: 1 } }),
    (error: ApiError) => /unknown field "spec.replicasCount"/.test(error.message),
  );
});
