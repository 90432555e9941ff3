/**
 * An upgrade is held against the StatefulSet that the cluster has: what Kubernetes would refuse half-way, or take and
 * break, is refused by both helms before anything is changed, and nothing else is.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Helm, type KubeObject } from "./helm.ts";
import { LookedUpCluster } from "./looked_up_cluster.ts";

const HELMS = { helm: await Helm.of("helm"), helm3: await Helm.of("helm3") };

// deno-lint-ignore no-explicit-any -- values and parts of objects
type Tree = any;

/** The StatefulSet that an install with these values of buildkitd made, with so many replicas now. */
async function installed(buildkitd: Tree, replicas = 0): Promise<KubeObject> {
  const objects = await HELMS.helm.objects({ buildkitd });
  const made = [...objects.values()].find(({ kind }) => kind === "StatefulSet")!;
  return { ...made, spec: { ...made.spec, replicas } };
}

/** Renders an upgrade to these values of buildkitd in both helms, while the cluster has that StatefulSet. */
async function upgrade(
  live: KubeObject,
  buildkitd: Tree,
  look: (rendered: Promise<string>, helm: keyof typeof HELMS) => Promise<void>,
): Promise<void> {
  await using cluster = await LookedUpCluster.with(live);
  for (const [name, helm] of Object.entries(HELMS)) {
    await look(
      helm.withCluster(cluster.kubeconfig).template({ buildkitd }),
      name as keyof typeof HELMS,
    );
  }
}

const CLASS = { persistence: { storageClassName: "fast" } };
const NAME = "ci-buildkitd-stack-buildkitd";
const DELETE = `kubectl --namespace builds delete statefulset ${NAME} --cascade=orphan`;
const STAYS =
  `To have it changed, delete the StatefulSet when nobody builds (${DELETE}), and upgrade again; a claim that is there stays as it is until it is deleted, too`;

const REFUSED: readonly (readonly [string, Tree, Tree, string])[] = [
  [
    "a larger volume",
    { persistence: { size: "50Gi" } },
    { persistence: { size: "0.2Ti" } },
    `buildkitd.persistence.size is "0.2Ti", and StatefulSet "${NAME}" was made with "50Gi", which Kubernetes lets nobody change. ` +
    `To enlarge it, enlarge the claim if it is there (kubectl --namespace builds patch pvc cache-${NAME}-0 --patch ` +
    `'{"spec":{"resources":{"requests":{"storage":"0.2Ti"}}}}'; its storage class has to allow that), ` +
    `delete the StatefulSet when nobody builds (${DELETE}), and upgrade again`,
  ],
  [
    "a smaller volume",
    { persistence: { size: "50Gi" } },
    { persistence: { size: "50G" } },
    `buildkitd.persistence.size is "50G", and StatefulSet "${NAME}" was made with "50Gi", which Kubernetes lets nobody change. ${STAYS}`,
  ],
  [
    "another storage class",
    CLASS,
    { persistence: { storageClassName: "-" } },
    `buildkitd.persistence.storageClassName is "", and StatefulSet "${NAME}" was made with "fast", which Kubernetes lets nobody change. ${STAYS}`,
  ],
  [
    "a storage class instead of the default",
    {},
    CLASS,
    `buildkitd.persistence.storageClassName is "fast", and StatefulSet "${NAME}" was made with null, which`,
  ],
  [
    "other access modes",
    {},
    { persistence: { accessModes: ["ReadWriteMany"] } },
    `buildkitd.persistence.accessModes is ["ReadWriteMany"], and StatefulSet "${NAME}" was made with ["ReadWriteOnce"], which`,
  ],
  [
    "another label of the claim",
    { persistence: { labels: { team: "a", tier: "x" } } },
    { persistence: { labels: { team: "b" } } },
    `buildkitd.persistence.labels is {"app.kubernetes.io/component":"buildkitd",`,
  ],
  [
    "an annotation of the claim",
    {},
    { persistence: { annotations: { backup: "no" } } },
    `buildkitd.persistence.annotations is {"backup":"no"}, and StatefulSet "${NAME}" was made with null, which`,
  ],
  [
    "no volume any more",
    {},
    { persistence: { enabled: false } },
    `buildkitd.persistence.enabled is false, existingClaim is "", and StatefulSet "${NAME}" was made with a claim of its own, which Kubernetes lets nobody change. ${STAYS}`,
  ],
  [
    "an own volume at last",
    { persistence: { existingClaim: "cache" } },
    {},
    `buildkitd.persistence.enabled is true, existingClaim is "", and StatefulSet "${NAME}" was made without a claim of its own, which`,
  ],
];

for (const [what, before, after, message] of REFUSED) {
  Deno.test(`chart: an upgrade to ${what} is refused, with what to do instead`, async () => {
    await upgrade(await installed(before), after, async (rendered, helm) => {
      const error = await rendered.then(() => undefined, (error: Error) => error);
      assert.ok(error !== undefined, helm);
      assert.ok(error.message.includes(`found 1 problem in the values:\n  ${message}`), error.message);
    });
  });
}

/** What the cluster added to the claim by itself. */
function admitted(live: KubeObject): KubeObject {
  const claims = structuredClone(live.spec.volumeClaimTemplates);
  claims[0].metadata.labels.team = "storage";
  claims[0].spec = { ...claims[0].spec, storageClassName: "standard", volumeMode: "Filesystem" };
  claims[0].status = { phase: "Pending" };
  return { ...live, spec: { ...live.spec, volumeClaimTemplates: claims } };
}

const TAKEN: readonly (readonly [string, KubeObject, Tree])[] = [
  ["the same values", await installed({}, 1), {}],
  ["the same size in another unit", await installed({}), { persistence: { size: "51200Mi" } }],
  ["the same size in bytes", await installed({}), { persistence: { size: "53687091200" } }],
  ["the same size as a fraction", await installed({ persistence: { size: "1536Mi" } }), {
    persistence: { size: "1.5Gi" },
  }],
  ["a claim that the cluster has added something to", admitted(await installed({})), {}],
  ["no volume as before", await installed({ persistence: { enabled: false } }), {
    persistence: { enabled: false, size: "1Ti" },
  }],
  ["a claim that exists instead of an emptyDir", await installed({ persistence: { enabled: false } }), {
    persistence: { existingClaim: "cache" },
  }],
  ["another port while no builder runs", await installed({}), { service: { port: 9000 } }],
  ["another port by a restart of the builder", await installed({}, 1), {
    service: { port: 9000 },
    updateStrategy: "RollingUpdate",
  }],
  [
    "the same port beside those of other containers",
    await installed({
      extraContainers: [{ name: "a", image: "a", ports: [{ containerPort: 1 }] }, { name: "b", image: "b" }],
    }, 1),
    {},
  ],
];

for (const [what, live, after] of TAKEN) {
  Deno.test(`chart: an upgrade to ${what} is taken`, async () => {
    await upgrade(live, after, async (rendered) => assert.match(await rendered, /kind: StatefulSet/));
  });
}

Deno.test("chart: another port is refused while a builder runs that would not be restarted", async () => {
  await upgrade(await installed({}, 1), { service: { port: 9000 } }, async (rendered) => {
    await assert.rejects(
      rendered,
      /buildkitd\.service\.port is 9000, and the builder that runs listens on 8372: clients would wait for it in vain, and keep it\. Upgrade when no builder runs, or with buildkitd\.updateStrategy "RollingUpdate"/,
    );
  });
});

Deno.test("chart: only helm 3 is told the number of replicas that the cluster has", async () => {
  await upgrade(await installed({}, 1), { replicaCount: 0 }, async (rendered, helm) => {
    const statefulSet = /kind: StatefulSet[\s\S]*?serviceName/.exec(await rendered)![0];
    assert.deepEqual(
      statefulSet.match(/^ {2}replicas: .*$/m)?.[0],
      {
        helm: undefined,
        helm3: "  replicas: 1",
      }[helm],
    );
  });
});
