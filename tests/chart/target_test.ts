/**
 * In front of a builder that exists already, the notes after an install say what is wrong with the names in the values, by a
 * look at the cluster, and nothing where all is right or there is no cluster to look at.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Helm, type KubeObject } from "./helm.ts";
import { LookedUpCluster } from "./looked_up_cluster.ts";

const HELMS = [await Helm.of("helm"), await Helm.of("helm3")];

// deno-lint-ignore no-explicit-any -- parts of objects
type Tree = any;

/** A StatefulSet of the shape of BuildKit's own example, that listens on TCP, with no pod now. */
function builder(replicas = 0, ports: Tree = [{ containerPort: 1234 }]): KubeObject {
  const labels = { app: "buildkitd", tier: "ci" };
  const containers = [{ name: "buildkitd", image: "moby/buildkit:master", ports }, {
    name: "sidecar",
    image: "sidecar",
  }];
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name: "buildkitd", namespace: "tools" },
    spec: {
      replicas,
      serviceName: "buildkitd",
      selector: { matchLabels: { app: "buildkitd" } },
      template: { metadata: { labels }, spec: { containers } },
    },
  };
}

function service(selector: Tree = { app: "buildkitd" }, name = "buildkitd"): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "tools" },
    spec: { clusterIP: "None", ...(selector === null ? {} : { selector }) },
  };
}

const VALUES = {
  autoscaler: {
    target: { statefulSet: "buildkitd", headlessService: "buildkitd", port: 1234, namespace: "tools" },
  },
  buildkitd: { enabled: false },
};

/** The warnings of a helm that looks at a cluster with these objects, each on one line. */
async function warnings(helm: Helm, objects: readonly KubeObject[], autoscaler: Tree = {}) {
  await using cluster = await LookedUpCluster.with(...objects);
  const notes = await helm.withCluster(cluster.kubeconfig).notes({
    ...VALUES,
    autoscaler: { ...VALUES.autoscaler, ...autoscaler },
  });
  return notes.split("\n\n").filter((part) => part.startsWith("WARNING: "))
    .map((part) => part.trim().replaceAll("\n", " "));
}

const WRONG: readonly (readonly [string, readonly KubeObject[], RegExp])[] = [
  [
    "no such StatefulSet",
    [],
    /StatefulSet buildkitd does not exist in namespace tools: the autoscaler is unready until it does\. Correct autoscaler\.target\.statefulSet or autoscaler\.target\.namespace/,
  ],
  [
    "no such Service",
    [builder()],
    /Service buildkitd does not exist in namespace tools: .*Create it, with a selector .* and clusterIP None, or correct autoscaler\.target\.headlessService/,
  ],
  [
    "another Service than the StatefulSet's",
    [{ ...builder(), spec: { ...builder().spec, serviceName: "builders" } }],
    /The Service of StatefulSet buildkitd is builders: correct autoscaler\.target\.headlessService/,
  ],
  [
    "a Service of other pods",
    [builder(), service({ app: "other" })],
    /Service buildkitd does not select the pods of StatefulSet buildkitd: .*Its selector is {"app":"other"}, and the pods have the labels {"app":"buildkitd","tier":"ci"}/,
  ],
  ["a Service without a selector", [builder(), service(null)], /Its selector is {}/],
  [
    "another port",
    [builder(0, [{ containerPort: 8372 }, { containerPort: 9 }]), service()],
    /declare the ports 8372, 9, and autoscaler\.target\.port is 1234\. Correct it, unless buildkitd listens there/,
  ],
  [
    "several replicas",
    [builder(3), service()],
    /has 3 replicas: the autoscaler uses pod buildkitd-0 alone, and scales the others down/,
  ],
];

for (const [what, objects, message] of WRONG) {
  Deno.test(`chart: the notes warn of ${what} of the target`, async () => {
    for (const helm of HELMS) {
      const found = await warnings(helm, objects, { autoscalerConfig: { minReplicas: 1 } });
      assert.equal(found.length, 1, found.join("\n"));
      assert.match(found[0]!, message);
    }
  });
}

Deno.test("chart: the notes warn that clients of a running builder are not seen, unless one replica stays", async () => {
  for (const helm of HELMS) {
    const running = [builder(1), service()];
    const [found] = await warnings(helm, running);
    assert.match(
      found!,
      /does not see clients that connect to its pods directly: .*for 2m0s\. Upgrade with .*minReplicas 1/,
    );
    assert.deepEqual(await warnings(helm, running, { autoscalerConfig: { minReplicas: 1 } }), []);
    assert.deepEqual(await warnings(helm, [builder(), service()]), []);
    assert.deepEqual(await warnings(helm, [builder(0, []), service({ app: "buildkitd", tier: "ci" })]), []);
  }
});

Deno.test("chart: without a cluster the notes say nothing of the target", async () => {
  assert.doesNotMatch(await HELMS[0]!.notes(VALUES), /WARNING/);
});
