/**
 * The objects that the chart makes belong together, whatever the values: selectors find pods, names lead somewhere,
 * and nothing lies in another namespace than it should.
 *
 * @module
 */
import assert from "node:assert/strict";
import { rightsNeeded } from "../../lib/check/rights.ts";
import { CHART, Helm, type KubeObject } from "./helm.ts";
import { VALUE_SETS } from "./value_sets.ts";

const helm = await Helm.of("helm");

// deno-lint-ignore no-explicit-any -- parts of objects
type Tree = any;
type Objects = ReadonlyMap<string, KubeObject>;
const SETS = new Map<string, Objects>();
for (const [name, values] of VALUE_SETS) SETS.set(name, await helm.objects(values));

function ofKind(objects: Objects, kind: string): KubeObject[] {
  return [...objects.values()].filter((each) => each.kind === kind);
}

function only(objects: Objects, kind: string): KubeObject {
  const [first, ...others] = ofKind(objects, kind);
  assert.ok(first !== undefined && others.length === 0, `one ${kind}`);
  return first;
}

/** The autoscaler, and buildkitd where the chart makes it. */
function workloads(objects: Objects): KubeObject[] {
  return [only(objects, "Deployment"), ...ofKind(objects, "StatefulSet")];
}

function includes(
  labels: Readonly<Record<string, string>>,
  selector: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

/** Each test runs on every set of values. */
function everywhere(what: string, check: (objects: Objects) => void): void {
  Deno.test(`chart: ${what}`, () => {
    for (const [name, objects] of SETS) {
      try {
        check(objects);
      } catch (error) {
        throw new Error(`With the values "${name}"`, { cause: error });
      }
    }
  });
}

everywhere("selectors find exactly the pods that they are meant for", (objects) => {
  const pods = workloads(objects).map(({ kind, metadata, spec }) => ({
    owner: `${kind}/${metadata.name}`,
    namespace: metadata.namespace,
    labels: spec.template.metadata.labels,
  }));
  const check = only(objects, "Pod");
  pods.push({ owner: "check", namespace: check.metadata.namespace, labels: check.metadata.labels });
  const found = (
    namespace: string | undefined,
    selector: Readonly<Record<string, string>>,
    among: readonly { readonly key: string; readonly values: readonly string[] }[] = [],
  ) =>
    pods.filter(({ namespace: own, labels }) =>
      own === namespace && includes(labels, selector) &&
      among.every(({ key, values }) => values.includes(labels[key]))
    ).map(({ owner }) => owner);
  const autoscaler = `Deployment/${only(objects, "Deployment").metadata.name}`;
  const of = (name: string) => [
    name.endsWith("-headless") ? `StatefulSet/${name.replace(/-headless$/, "")}` : autoscaler,
  ];
  for (const { kind, metadata, spec } of workloads(objects)) {
    assert.deepEqual(found(metadata.namespace, spec.selector.matchLabels), [`${kind}/${metadata.name}`]);
  }
  for (const { metadata, spec } of ofKind(objects, "Service")) {
    assert.deepEqual(found(metadata.namespace, spec.selector), of(metadata.name));
  }
  for (const { metadata, spec } of ofKind(objects, "NetworkPolicy")) {
    const { matchLabels, matchExpressions } = spec.podSelector;
    const selected = found(metadata.namespace, matchLabels, matchExpressions);
    if (metadata.name.endsWith("-egress")) assert.deepEqual(selected, [autoscaler, "check"]);
    else assert.equal(selected.length, 1);
  }
  for (const { metadata, spec } of ofKind(objects, "PodDisruptionBudget")) {
    assert.equal(found(metadata.namespace, spec.selector.matchLabels).length, 1);
  }
  for (const { metadata, spec: { scaleTargetRef } } of ofKind(objects, "HorizontalPodAutoscaler")) {
    const target = objects.get(`${scaleTargetRef.kind}/${scaleTargetRef.name}`);
    assert.equal(target?.metadata.namespace, metadata.namespace);
  }
  for (const { spec } of ofKind(objects, "ServiceMonitor")) {
    const services = ofKind(objects, "Service").filter((each) =>
      includes(each.metadata.labels!, spec.selector.matchLabels)
    );
    assert.equal(services.length, 1);
    assert.deepEqual(spec.namespaceSelector.matchNames, [services[0]!.metadata.namespace]);
    assert.ok(services[0]!.spec.ports.some((port: { name: string }) => port.name === spec.endpoints[0].port));
  }
});

everywhere("helm test runs the proxy's program with its settings, its rights and its files", (objects) => {
  const { metadata, spec } = only(objects, "Pod");
  const proxy = only(objects, "Deployment").spec.template.spec;
  const [check] = spec.containers;
  const [own] = proxy.containers;
  assert.equal(metadata.annotations!["helm.sh/hook"], "test");
  assert.equal(metadata.namespace, only(objects, "Deployment").metadata.namespace);
  assert.deepEqual(check.args, ["check", ...own.args ?? []]);
  for (const field of ["image", "env", "envFrom", "securityContext", "volumeMounts", "resources"]) {
    assert.deepEqual(check[field], own[field], field);
  }
  for (const field of ["serviceAccountName", "automountServiceAccountToken", "securityContext", "volumes"]) {
    assert.deepEqual(spec[field], proxy[field], field);
  }
});

for (
  const [set, name, observe] of [["defaults", "ci-buildkitd-stack-buildkitd", false], [
    "observe",
    "buildkitd",
    true,
  ]] as const
) {
  Deno.test(`chart ${set}: helm test asks for each right that the Role grants, and for no other`, () => {
    const { rules } = only(SETS.get(set)!, "Role") as unknown as { rules: readonly Tree[] };
    const granted = rules.flatMap(({ apiGroups: [group], resources: [resource], verbs }) =>
      verbs.map((verb: string) => `${verb} ${group}/${resource}`)
    );
    const builders = [{ name, pods: [] }];
    const asked = rightsNeeded({ builders, portForward: "never", events: true, observe }).flatMap((
      { rights },
    ) => rights.map(({ verb, group, resource }) => `${verb} ${group}/${resource}`));
    assert.deepEqual(asked.sort(), granted.sort());
  });
}

everywhere("ports that are named exist, and a mesh takes those of buildkit for TCP", (objects) => {
  const ports = (workload: KubeObject) =>
    workload.spec.template.spec.containers[0].ports as { name: string; containerPort: number }[];
  const [deployment, statefulSet] = workloads(objects).map(ports);
  for (const { metadata, spec } of ofKind(objects, "Service")) {
    const own = metadata.name.endsWith("-headless") ? statefulSet! : deployment!;
    for (const { targetPort, appProtocol } of spec.ports) {
      assert.ok(own.some((port) => port.name === targetPort), targetPort);
      assert.equal(appProtocol, metadata.name.endsWith("-metrics") ? "http" : "tcp");
    }
  }
  const variables = only(objects, "Deployment").spec.template.spec.containers[0].env;
  const value = (name: string) => variables.find((each: { name: string }) => each.name === name)?.value;
  assert.equal(value("BUILDKITD_TARGET_PORT"), String(statefulSet?.[0]?.containerPort ?? 1234));
  assert.equal(
    (value("PROXY_LISTEN_ADDR") ?? ":8080").split(":").at(-1),
    String(deployment![0]!.containerPort),
  );
  assert.equal(
    (value("AUTOSCALER_ADMIN_ADDR") ?? ":8081").split(":").at(-1),
    String(deployment![1]!.containerPort),
  );
  assert.equal(
    value("AUTOSCALER_TLS_LISTEN_ADDR")?.split(":").at(-1),
    deployment!.find(({ name }) => name === "tls-buildkit")?.containerPort.toString(),
  );
  const listeners: string[] = value("AUTOSCALER_LISTENERS")?.split(", ") ?? [];
  const doors = deployment!.filter(({ name }) => /^(?:pool|project)-/.test(name));
  assert.deepEqual(
    listeners.map((listener) => Number(listener.split(":")[1])),
    doors.map(({ containerPort }) => containerPort),
  );
  for (
    const of of [
      ...deployment!.map(({ name }) => name),
      ...deployment!.map((port) => port.containerPort),
    ]
  ) {
    assert.equal(deployment!.filter((port) => port.name === of || port.containerPort === of).length, 1);
  }
  for (const policy of ofKind(objects, "NetworkPolicy")) {
    for (const { port } of (policy.spec.ingress ?? []).flatMap((rule: { ports: unknown[] }) => rule.ports)) {
      assert.ok([...deployment!, ...statefulSet ?? []].some(({ name }) => name === port), port);
    }
  }
});

function selects(
  { matchLabels, matchExpressions = [] }: Tree = {},
  labels: Readonly<Record<string, string>>,
) {
  return matchLabels !== undefined && includes(labels, matchLabels) &&
    matchExpressions.every(({ key, values }: Tree) => values.includes(labels[key]));
}

/** What the values "in-front" name. */
const EXISTING = {
  metadata: { name: "buildkitd", namespace: "tools" },
  spec: { serviceName: "buildkitd" },
};

everywhere("a policy lets the autoscaler connect to buildkitd at its port", (objects) => {
  const policy = ofKind(objects, "NetworkPolicy").find(({ spec }) => spec.policyTypes[0] === "Egress");
  if (policy === undefined) return;
  const [buildkitd, api, dns] = policy.spec.egress;
  const variables = only(objects, "Deployment").spec.template.spec.containers[0].env;
  const value = (name: string) => variables.find((each: { name: string }) => each.name === name).value;
  assert.deepEqual(buildkitd.ports, [{ port: Number(value("BUILDKITD_TARGET_PORT")) }]);
  const [{ namespaceSelector, podSelector }] = buildkitd.to;
  assert.deepEqual(namespaceSelector.matchLabels, {
    "kubernetes.io/metadata.name": value("BUILDKITD_STATEFULSET_NAMESPACE"),
  });
  for (const { spec } of ofKind(objects, "StatefulSet")) {
    const { labels } = spec.template.metadata;
    assert.ok(selects(podSelector, labels));
  }
  assert.ok(!selects(podSelector, only(objects, "Deployment").spec.template.metadata.labels));
  assert.ok(api.ports.some(({ port }: Tree) => port === 6443));
  assert.ok(dns.ports.some(({ port, protocol }: Tree) => port === 53 && protocol === "UDP"));
});

everywhere("the autoscaler is told which StatefulSet, and has its rights there", (objects) => {
  const statefulSets = ofKind(objects, "StatefulSet");
  const [statefulSet = EXISTING] = statefulSets;
  const deployment = only(objects, "Deployment");
  const variables = deployment.spec.template.spec.containers[0].env;
  const value = (name: string) => variables.find((each: { name: string }) => each.name === name)?.value;
  assert.equal(value("BUILDKITD_STATEFULSET_NAME"), statefulSet.metadata.name);
  assert.equal(value("BUILDKITD_STATEFULSET_NAMESPACE"), statefulSet.metadata.namespace);
  assert.equal(value("BUILDKITD_HEADLESS_SERVICE_NAME"), statefulSet.spec.serviceName);
  for (const { spec } of statefulSets) {
    assert.equal(objects.get(`Service/${spec.serviceName}`)?.spec.clusterIP, "None");
  }
  const all = (statefulSets.length > 0 ? statefulSets : [EXISTING]).map(({ metadata }) => metadata.name);
  assert.deepEqual(
    value("AUTOSCALER_BUILDERS")?.split(",").map((entry: string) => entry.replace(/^.*\//, "")) ?? [all[0]],
    all,
  );
  const ordinals = Array.from({ length: Number(value("AUTOSCALER_MAX_REPLICAS") ?? 1) }, (_, index) => index);
  const account = {
    name: deployment.spec.template.spec.serviceAccountName,
    namespace: deployment.metadata.namespace,
  };
  for (const { rules } of ofKind(objects, "Role")) {
    for (const { apiGroups, resources, resourceNames } of rules) {
      const pods = all.flatMap((name) => ordinals.map((ordinal) => `${name}-${ordinal}`));
      const tunnels = resources[0] === "pods/portforward";
      const names = apiGroups[0] === "apps" ? all : tunnels ? pods : undefined;
      assert.deepEqual(resourceNames, names);
    }
  }
  for (const { metadata, roleRef, subjects } of ofKind(objects, "RoleBinding")) {
    assert.equal(metadata.namespace, statefulSet.metadata.namespace);
    assert.equal(objects.get(`Role/${roleRef.name}`)?.metadata.namespace, metadata.namespace);
    if (roleRef.name.endsWith("-laptop")) {
      assert.deepEqual(subjects.map(({ kind }: Tree) => kind), ["Group"]);
      continue;
    }
    assert.deepEqual(subjects, [{ kind: "ServiceAccount", ...account }]);
    assert.equal(objects.get(`ServiceAccount/${account.name}`)?.metadata.namespace, account.namespace);
  }
});

everywhere("no object is without namespace, and none reaches beyond its namespace", (objects) => {
  for (const { kind, metadata } of objects.values()) {
    assert.equal(metadata.namespace === undefined, kind === "Namespace", `${kind} ${metadata.name}`);
    assert.equal(metadata.labels?.["app.kubernetes.io/instance"], "ci");
    assert.ok(!kind.startsWith("Cluster"), kind);
  }
});

everywhere("volumes and configuration that are mounted exist", (objects) => {
  for (const { metadata, spec } of workloads(objects)) {
    const pod = spec.template.spec;
    const named = (list: { name: string }[] = []) => list.map(({ name }) => name);
    const claims = (spec.volumeClaimTemplates ?? []).map((claim: KubeObject) => claim.metadata.name);
    const volumes = new Set([...named(pod.volumes), ...claims]);
    for (const container of pod.containers) {
      for (const name of named(container.volumeMounts)) assert.ok(volumes.has(name), name);
    }
    const paths = pod.containers[0].volumeMounts?.map(({ mountPath }: { mountPath: string }) => mountPath) ??
      [];
    assert.equal(new Set(paths).size, paths.length);
    const ofVolumes = (pod.volumes ?? []).map((volume: Tree) => volume.configMap?.name);
    const ofVariables = pod.containers[0].env.map((variable: Tree) =>
      variable.valueFrom?.configMapKeyRef?.name
    );
    for (const name of [...ofVolumes, ...ofVariables].filter((each) => each !== undefined)) {
      assert.ok(objects.has(`ConfigMap/${name}`), `${metadata.name}: ${name}`);
    }
  }
});

/** What Pod Security asks for at the level "restricted"; see https://kubernetes.io/docs/concepts/security/pod-security-standards/ */
everywhere(
  "Pod Security would accept the autoscaler as restricted, unless somebody took that away",
  (objects) => {
    const { securityContext: pod, volumes = [], hostNetwork } =
      only(objects, "Deployment").spec.template.spec;
    if (pod === undefined) return;
    const container = only(objects, "Deployment").spec.template.spec.containers[0].securityContext;
    assert.equal(pod.runAsNonRoot, true);
    assert.ok(pod.runAsUser > 0);
    assert.equal(pod.seccompProfile.type, "RuntimeDefault");
    assert.ok(
      pod.sysctls.every(({ name }: { name: string }) =>
        /^net\.ipv4\.tcp_keepalive_(time|intvl|probes)$/.test(name)
      ),
    );
    assert.equal(container.allowPrivilegeEscalation, false);
    assert.deepEqual(container.capabilities, { drop: ["ALL"] });
    assert.equal(container.readOnlyRootFilesystem, true);
    assert.ok(volumes.every((volume: Record<string, unknown>) => volume.hostPath === undefined));
    assert.equal(hostNetwork, undefined);
  },
);

everywhere("the pod template of buildkitd has nothing that changes with the chart's version", (objects) => {
  for (const { spec: { template, volumeClaimTemplates = [] } } of ofKind(objects, "StatefulSet")) {
    assert.ok(!JSON.stringify([template, volumeClaimTemplates]).includes("helm.sh/chart"));
  }
  assert.ok(
    !JSON.stringify(only(objects, "Deployment").spec.template.metadata.labels).includes("helm.sh/chart"),
  );
});

Deno.test("chart: names fit, however long the release's is", async () => {
  const release = "r".repeat(53);
  const { stdout, success } = await helm.run(
    "template",
    release,
    CHART,
    "--set",
    "autoscaler.metrics.service.enabled=true",
  );
  assert.ok(success);
  const names = [...stdout.matchAll(/^(?:kind: (\w+)\nmetadata:\n)? {2}name: (\S+)/gm)].map((
    [, kind, name],
  ) => ({ kind, name: name! }));
  assert.ok(names.length >= 8);
  for (const { kind, name } of names) {
    assert.ok(name.length <= (kind === "StatefulSet" ? 52 : 63), `${kind} ${name}`);
  }
});

Deno.test("chart: a preset brings its image, unless another one is given", async () => {
  const image = async (buildkitd: unknown) =>
    only(await helm.objects({ buildkitd }), "StatefulSet").spec.template.spec.containers[0].image;
  assert.equal(await image({}), "earthly/buildkitd:v0.8.15");
  assert.match(await image({ preset: "moby" }), /^moby\/buildkit:v[0-9.]+$/);
  assert.match(await image({ preset: "moby-rootless" }), /^moby\/buildkit:v[0-9.]+-rootless$/);
  assert.match(await image({ preset: "earthbuild" }), /^ghcr\.io\/earthbuild\/earthbuild:buildkitd-v/);
  assert.equal(
    await image({ preset: "moby", image: { repository: "mirror/buildkit", tag: "v1" } }),
    "mirror/buildkit:v1",
  );
  assert.match(
    await image({ preset: "moby", image: { repository: "mirror/buildkit" } }),
    /^mirror\/buildkit:v0\.[0-9.]+$/,
  );
  assert.equal(
    await image({ image: { digest: `sha256:${"a".repeat(64)}` } }),
    `earthly/buildkitd@sha256:${"a".repeat(64)}`,
  );
});

Deno.test("chart: global values of a parent chart name the registry and the Secrets of all images", async () => {
  const objects = await helm.objects({
    global: { imageRegistry: "registry.example.com:5000/", imagePullSecrets: ["a", { name: "b" }] },
    imagePullSecrets: [{ name: "b" }, { name: "c" }],
    autoscaler: { imagePullSecrets: [{ name: "d" }] },
    buildkitd: { binfmt: { enabled: true }, image: { repository: "localhost/x/buildkitd" } },
  });
  const pod = (kind: string) => only(objects, kind).spec.template.spec;
  const images = ["Deployment", "StatefulSet"].flatMap((kind) =>
    [...pod(kind).initContainers ?? [], ...pod(kind).containers].map(({ image }: Tree) =>
      image.replace(/:[^:]*$/, "")
    )
  );
  assert.deepEqual(images, [
    "registry.example.com:5000/earthbuild/buildkitd-autoscaler",
    "registry.example.com:5000/tonistiigi/binfmt",
    "registry.example.com:5000/x/buildkitd",
  ]);
  const secrets = (kind: string) => pod(kind).imagePullSecrets.map(({ name }: Tree) => name);
  assert.deepEqual(secrets("Deployment"), ["a", "b", "c", "d"]);
  assert.deepEqual(secrets("StatefulSet"), ["a", "b", "c"]);
});

everywhere("spread constraints are about the pods that have them", (objects) => {
  for (const { spec } of workloads(objects)) {
    for (const constraint of spec.template.spec.topologySpreadConstraints ?? []) {
      assert.deepEqual(constraint.labelSelector, spec.selector);
    }
  }
  const deployment = only(objects, "Deployment").spec;
  assert.ok(deployment.template.spec.topologySpreadConstraints.length > 0);
});

Deno.test("chart: a variable that is given replaces the chart's of the same name", async () => {
  const objects = await helm.objects({
    autoscaler: { extraEnv: [{ name: "LOG_LEVEL", value: "warn" }] },
    buildkitd: { extraEnvVars: [{ name: "BUILDKIT_TCP_TRANSPORT_ENABLED", value: "1" }] },
  });
  const values = (kind: string, variable: string) =>
    only(objects, kind).spec.template.spec.containers[0].env
      .filter(({ name }: Tree) => name === variable).map(({ value }: Tree) => value);
  assert.deepEqual(values("Deployment", "LOG_LEVEL"), ["warn"]);
  assert.deepEqual(values("StatefulSet", "BUILDKIT_TCP_TRANSPORT_ENABLED"), ["1"]);
});

Deno.test("chart: without a cluster to ask, the number of replicas can be left out", () => {
  assert.ok(!("replicas" in only(SETS.get("gitops")!, "StatefulSet").spec));
  assert.equal(only(SETS.get("defaults")!, "StatefulSet").spec.replicas, 0);
});

Deno.test("chart: in front of a builder that exists, only what the autoscaler needs is made", () => {
  const made = [...SETS.get("in-front")!.values()].map(({ kind, metadata }) =>
    [kind, metadata.labels!["app.kubernetes.io/component"]] as const
  );
  assert.ok(made.length >= 6);
  assert.deepEqual(made.filter(([, component]) => !component!.startsWith("autoscaler")), []);
});

Deno.test("chart: another number of proxies replaces none of those that run", async () => {
  const podOf = async (replicaCount: number) =>
    (only(await helm.objects({ autoscaler: { replicaCount } }), "Deployment").spec as Tree).template;
  assert.deepEqual(await podOf(3), await podOf(1));
});

Deno.test("chart: without the rights to Leases an update stops the old proxy first", () => {
  assert.equal(only(SETS.get("no-rights")!, "Deployment").spec.strategy.type, "Recreate");
  assert.equal(only(SETS.get("defaults")!, "Deployment").spec.strategy.rollingUpdate.maxUnavailable, 0);
});

Deno.test("chart: a namespace that it makes outlives the release", () => {
  const { annotations, labels } = only(SETS.get("other-namespace")!, "Namespace").metadata;
  assert.equal(annotations?.["helm.sh/resource-policy"], "keep");
  assert.equal(annotations?.owner, "platform");
  assert.equal(labels?.["pod-security.kubernetes.io/enforce"], "restricted");
});
