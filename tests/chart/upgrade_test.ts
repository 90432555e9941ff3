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
function upgrade(
  live: KubeObject,
  buildkitd: Tree,
  look: (rendered: Promise<string>, helm: keyof typeof HELMS) => Promise<void>,
): Promise<void> {
  return upgradeAll([live], { buildkitd }, look);
}

/** The same with any objects and values. */
async function upgradeAll(
  live: readonly KubeObject[],
  values: Tree,
  look: (rendered: Promise<string>, helm: keyof typeof HELMS) => Promise<void>,
): Promise<void> {
  await using cluster = await LookedUpCluster.with(...live);
  for (const [name, helm] of Object.entries(HELMS)) {
    await look(
      helm.withCluster(cluster.kubeconfig).template(values),
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

Deno.test("chart: TLS to buildkitd is not switched on or off while a builder runs that would not be restarted", async () => {
  const encrypted = { autoscaler: { tls: { upstream: { enabled: true, secretName: "buildkitd-tls" } } } };
  const sets = async (values: Tree, replicas: number) => {
    const made = [...(await HELMS.helm.objects(values)).values()].find(({ kind }) => kind === "StatefulSet")!;
    return { ...made, spec: { ...made.spec, replicas } };
  };
  const until = 'Upgrade when no builder runs, or with buildkitd.updateStrategy "RollingUpdate"';
  await upgradeAll([await sets({}, 1)], encrypted, async (rendered) => {
    await assert.rejects(
      rendered,
      (error: Error) =>
        error.message.includes(
          "upstream.enabled is true, and the builder that runs does not speak TLS: clients",
        ) &&
        error.message.includes(until),
    );
  });
  await upgradeAll([await sets(encrypted, 1)], {}, async (rendered) => {
    await assert.rejects(
      rendered,
      /upstream\.enabled is false, and the builder that runs speaks TLS: clients/,
    );
  });
  await upgradeAll([await sets(encrypted, 1)], encrypted, async (rendered) => void await rendered);
  await upgradeAll([await sets({}, 0)], encrypted, async (rendered) => void await rendered);
  const restarts = { ...encrypted, buildkitd: { updateStrategy: "RollingUpdate" } };
  await upgradeAll([await sets({}, 1)], restarts, async (rendered) => void await rendered);
});

Deno.test("chart: another port is refused while a builder runs that would not be restarted", async () => {
  await upgrade(await installed({}, 1), { service: { port: 9000 } }, async (rendered) => {
    await assert.rejects(
      rendered,
      /buildkitd\.service\.port is 9000, and the builder that runs listens on 8372: clients would wait for it in vain, and keep it\. Upgrade when no builder runs, or with buildkitd\.updateStrategy "RollingUpdate"/,
    );
  });
});

/** An owner of fields of the specification, as the API server notes it. */
function owner(manager: string, fields: readonly string[], more: Tree = {}): Tree {
  const owned = Object.fromEntries(fields.map((field) => [`f:${field}`, {}]));
  return { manager, operation: "Apply", fieldsV1: { "f:spec": owned }, ...more };
}

const HELM = owner("helm", ["template"]);
const HELM_OWNS = owner("helm", ["replicas", "template"]);
const PROXY_OWNS = owner("buildkitd-autoscaler-1", ["replicas"], { subresource: "scale" });
const UPDATES = { operation: "Update" };
const STATUS = { manager: "kube-controller-manager", ...UPDATES, fieldsV1: { "f:status": {} } };

/** Owners of the StatefulSet's fields, and whether helm 4 is to render the replicas. */
const OWNED: readonly (readonly [string, readonly Tree[] | undefined, boolean])[] = [
  ["the autoscaler", [HELM, PROXY_OWNS, STATUS], false],
  ["helm and the autoscaler", [HELM_OWNS, PROXY_OWNS], false],
  ["somebody who has scaled by hand", [
    HELM,
    owner("kubectl", ["replicas"], { ...UPDATES, subresource: "scale" }),
  ], false],
  ["helm and an editor", [HELM_OWNS, owner("kubectl-edit", ["replicas"], UPDATES)], false],
  ["only helm, as while the proxy observes", [HELM_OWNS, STATUS], true],
  ["only Flux", [owner("helm-controller", ["replicas", "template"])], true],
  ["nobody", [HELM, STATUS], true],
  ["the autoscaler, of a release that helm 3 has made", [
    owner("helm", ["template"], UPDATES),
    PROXY_OWNS,
  ], true],
  ["unknown owners", undefined, true],
];

for (const [who, managedFields, isRendered] of OWNED) {
  const helm4 = isRendered ? "is told the live number too" : "leaves the number out, and helm 3 is told it";
  Deno.test(`chart: of replicas that are owned by ${who}, helm 4 ${helm4}`, async () => {
    const made = await installed({}, 3);
    const live = { ...made, metadata: { ...made.metadata, managedFields } };
    for (const observe of [true, false]) {
      const values = { autoscaler: { autoscalerConfig: { observe } }, buildkitd: { replicaCount: 2 } };
      await upgradeAll([live], values, async (rendered, helm) => {
        const statefulSet = /kind: StatefulSet[\s\S]*?serviceName/.exec(await rendered)![0];
        const want = helm === "helm3" || isRendered ? "  replicas: 3" : undefined;
        assert.equal(statefulSet.match(/^ {2}replicas: .*$/m)?.[0], want, `${helm}, observe ${observe}`);
      });
    }
  });
}

/** What an install with these values made of the autoscaler that the chart looks up, and a pod of it in that phase. */
async function installedProxy(values: Tree, phase = "Running"): Promise<KubeObject[]> {
  const objects = [...(await HELMS.helm.objects(values)).values()];
  const { metadata, spec: { template } } = objects.find(({ kind }) => kind === "Deployment")!;
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...template.metadata, name: "proxy-1", namespace: metadata.namespace ?? "" },
    spec: template.spec,
    status: { phase },
  };
  const lookedUp = ["Deployment", "RoleBinding", "StatefulSet"];
  return [...objects.filter(({ kind }) => lookedUp.includes(kind)), pod];
}

const STACK = "ci-buildkitd-stack-autoscaler";
const ACCOUNT = `ServiceAccount builds/${STACK}`;
const ROLE = `Role builds/${STACK}`;
const BINDING = `RoleBinding builds/${STACK} of builds/${STACK}`;

/** What was installed, the upgrade, what it would take away. */
const TAKING: readonly (readonly [string, Tree, Tree, readonly string[]])[] = [
  ["another name of the account", {}, { serviceAccount: { name: "proxy" } }, [ACCOUNT, BINDING]],
  [
    "an account that the chart does not make any more",
    {},
    { serviceAccount: { create: false, name: STACK } },
    [
      ACCOUNT,
    ],
  ],
  ["no rights", {}, { rbac: { create: false } }, [ROLE, BINDING]],
  ["another name of the autoscaler", {}, { fullnameOverride: "proxy" }, [ACCOUNT, ROLE, BINDING]],
  ["another namespace for everything", {}, { namespaceOverride: "moved" }, [ACCOUNT, ROLE, BINDING]],
  ["another namespace", {}, { separateNamespace: "proxies" }, [ACCOUNT, BINDING]],
  ["no namespace of its own", { separateNamespace: "proxies" }, {}, [
    `ServiceAccount proxies/${STACK}`,
    `RoleBinding builds/${STACK} of proxies/${STACK}`,
  ]],
  [
    "another account that somebody else has made",
    { serviceAccount: { create: false, name: "one" } },
    { serviceAccount: { create: false, name: "two" } },
    [`RoleBinding builds/${STACK} of builds/one`],
  ],
];

for (const [what, before, after, lost] of TAKING) {
  Deno.test(`chart: an upgrade to ${what} is refused while a proxy runs, and taken when none does`, async () => {
    const live = await installedProxy({ autoscaler: before });
    const namespace = before.separateNamespace ?? "builds";
    await upgradeAll(live, { autoscaler: after }, async (rendered) => {
      const error = await rendered.then(() => undefined, (error: Error) => error);
      const message =
        `found 1 problem in the values:\n  the upgrade would take away ${
          lost.join(", ")
        } while proxies run with it ` +
        `(${namespace}/proxy-1): they could not keep their builds any more. Keep the names and namespaces as they are; or ` +
        `upgrade with autoscaler.replicaCount 0 and all else as it was, wait until`;
      assert.ok(error?.message.includes(message), error?.message ?? "it was taken");
    });
    const none = live.filter(({ kind }) => kind !== "Pod");
    for (const others of [none, await installedProxy({ autoscaler: before }, "Succeeded")]) {
      await upgradeAll(others, { autoscaler: after }, async (rendered) => {
        assert.match(await rendered, /kind: Deployment/);
      });
    }
  });
}

Deno.test("chart: only an upgrade that may take something away needs the right to list pods", async () => {
  const live = await installedProxy({});
  const older = live.map((each) =>
    each.kind !== "Deployment" ? each : { ...each, spec: { ...each.spec, template: { metadata: {} } } }
  );
  for (const installed of [live, older]) {
    await using cluster = await LookedUpCluster.with(...installed);
    cluster.hidesPods = true;
    for (const helm of Object.values(HELMS)) {
      const there = helm.withCluster(cluster.kubeconfig);
      assert.match(await there.template({ autoscaler: { minReadySeconds: 5 } }), /kind: Deployment/);
      await assert.rejects(
        there.template({ autoscaler: { fullnameOverride: "proxy" } }),
        /error calling lookup/,
      );
    }
  }
});

Deno.test("chart: an upgrade that leaves the proxies' account and rights is taken, whatever else changes", async () => {
  const cases: readonly (readonly [Tree, Tree])[] = [
    [{}, {}],
    [{}, { podAnnotations: { a: "b" }, minReadySeconds: 5, serviceAccount: { labels: { a: "b" } } }],
    [{}, { replicaCount: 0 }],
    [{ serviceAccount: { create: false, name: "one" }, rbac: { create: false } }, {
      serviceAccount: { create: false, name: "two" },
      rbac: { create: false },
    }],
    // What is new takes nothing away.
    [{ serviceAccount: { create: false, name: "one" }, rbac: { create: false } }, {
      serviceAccount: { name: "one" },
    }],
  ];
  for (const [before, after] of cases) {
    await upgradeAll(
      await installedProxy({ autoscaler: before }),
      { autoscaler: after },
      async (rendered) => {
        assert.match(await rendered, /kind: Deployment/);
      },
    );
  }
  const foreign = (await installedProxy({})).map((each) =>
    each.kind !== "Pod" ? each : {
      ...each,
      metadata: {
        ...each.metadata,
        labels: { ...each.metadata.labels, "app.kubernetes.io/instance": "another" },
      },
    }
  );
  await upgradeAll(foreign, { autoscaler: { fullnameOverride: "proxy" } }, async (rendered) => {
    assert.match(await rendered, /kind: Deployment/, "pods of another release do not count");
  });
});
