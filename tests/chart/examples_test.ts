/**
 * Helm renders what the examples in `docs/examples` give the chart, with the effect that they promise.
 *
 * @module
 */
import assert from "node:assert/strict";
import { loadAll } from "js-yaml";
import { exampleFiles } from "../repo/examples.ts";
import { Helm, type KubeObject } from "./helm.ts";

const helm = await Helm.of("helm");
const examples = await exampleFiles(new URL("../../", import.meta.url));

/** What the chart makes of an example's values, the last word of `path` being the file's name. */
async function render(path: string): Promise<readonly KubeObject[]> {
  const text = examples.find((each) => each.path === `docs/examples/${path}`)?.text;
  assert.ok(text !== undefined, path);
  // deno-lint-ignore no-explicit-any -- values, or an Application that holds them
  const [content] = loadAll(text) as any[];
  return [...(await helm.objects(content.spec?.source?.helm?.valuesObject ?? content)).values()];
}

function find(objects: readonly KubeObject[], kind: string): KubeObject {
  const found = objects.find((each) => each.kind === kind);
  assert.ok(found !== undefined, kind);
  return found;
}

Deno.test("examples: on EKS, buildkitd asks for the builders' nodes and storage class", async () => {
  const { spec } = find(await render("eks-karpenter/values.yaml"), "StatefulSet");
  assert.deepEqual(spec.template.spec.nodeSelector, { pool: "builders" });
  assert.equal(spec.template.spec.tolerations[0].key, "builders");
  assert.equal(spec.volumeClaimTemplates[0].spec.storageClassName, "builders");
});

for (const folder of ["actions-runner-controller", "gitlab-runner"]) {
  Deno.test(`examples: ${folder} lets only its runners reach the proxy`, async () => {
    const objects = await render(`${folder}/values.yaml`);
    const policy = objects.find(({ kind, metadata }) =>
      kind === "NetworkPolicy" && metadata.labels?.["app.kubernetes.io/component"] === "autoscaler"
    );
    const rules: { ports: { port: string }[]; from?: unknown[] }[] = policy?.spec.ingress ?? [];
    const clients = rules.filter(({ ports }) => ports.some(({ port }) => port === "tcp-buildkit"));
    assert.equal(clients.length, 1, "one rule for the proxy port");
    assert.match(
      JSON.stringify(clients[0]!.from),
      /"kubernetes\.io\/metadata\.name":"(?:arc-runners|gitlab-runner)"/,
    );
  });
}

Deno.test("examples: the monorepo has a Service for each project, and builders on nodes of both architectures", async () => {
  const objects = await render("monorepo/values.yaml");
  const names = (kind: string) =>
    objects.filter((each) => each.kind === kind).map(({ metadata }) => metadata.name);
  assert.deepEqual(names("StatefulSet"), [
    ...["builder", "builder-b2", "builder-b3", "builder-arm64", "builder-arm64-b2"],
  ]);
  for (const { metadata, spec } of objects.filter(({ kind }) => kind === "StatefulSet")) {
    const architecture = spec.template.spec.nodeSelector["kubernetes.io/arch"];
    assert.equal(architecture, metadata.name.includes("arm64") ? "arm64" : "amd64");
  }
  const services = names("Service");
  for (const project of ["web", "api", "billing", "search", "mobile", "docs"]) {
    assert.ok(services.includes(project) && services.includes(`${project}-arm64`), project);
  }
  assert.ok(services.includes("buildkitd") && services.includes("buildkitd-arm64"));
});

Deno.test("examples: for Argo CD, no manifest has a number of replicas for buildkitd", async () => {
  const objects = await render("argo-cd/application.yaml");
  assert.equal(find(objects, "StatefulSet").spec.replicas, undefined);
  assert.match(
    find(objects, "Deployment").spec.template.spec.containers[0].image,
    /^registry\.example\.com\/team\//,
  );
});
