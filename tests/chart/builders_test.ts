/**
 * Several builders: the first one is what it is without the others, no selector finds pods of another one, pools have
 * values of their own, and pools and projects have addresses that stay.
 *
 * @module
 */
import assert from "node:assert/strict";
import { poolsOf } from "../../lib/config/builders.ts";
import { parseSettings } from "../../lib/config/parse_settings.ts";
import { Helm, type KubeObject } from "./helm.ts";
import { LookedUpCluster } from "./looked_up_cluster.ts";
import { VALUE_SETS } from "./value_sets.ts";

const HELMS = { helm: await Helm.of("helm"), helm3: await Helm.of("helm3") };
const { helm } = HELMS;

// deno-lint-ignore no-explicit-any -- values and parts of objects
type Tree = any;

/** The name of the first builder. */
const FIRST = "ci-buildkitd-stack-buildkitd";
const PROXY = "ci-buildkitd-stack-autoscaler";

/** The documents of a manifest, each with the comment that names its file. */
function documentsOf(manifest: string): string[] {
  return manifest.split(/^---\n/m).map((text) => text.trim()).filter((text) => text !== "");
}

/** What belongs to the first builder, as text. */
function firstBuilder(manifest: string): string[] {
  return documentsOf(manifest).filter((text) =>
    text.includes("# Source: buildkitd-stack/templates/buildkitd/") &&
    new RegExp(`^ {2}name: ${FIRST}(?:-headless)?$`, "m").test(text)
  );
}

function variable(objects: ReadonlyMap<string, KubeObject>, name: string): string | undefined {
  const { containers: [container] } = objects.get(`Deployment/${PROXY}`)!.spec.template.spec;
  return container.env.find((each: Tree) => each.name === name)?.value;
}

/** Values that draw on everything that belongs to a builder. */
const RICH: Tree = {
  buildkitd: {
    preset: "moby",
    config: "debug = true",
    podDisruptionBudget: { enabled: true },
    serviceAccount: { create: true },
    topologySpreadConstraints: [{ maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "ScheduleAnyway" }],
  },
  networkPolicy: { enabled: true },
};

Deno.test("chart: builders that join and leave change no byte of the first builder", async () => {
  const pools = {
    arm64: { buildkitd: { builders: 2, preset: "earthbuild", config: "" }, idleTimeout: "10m" },
  };
  for (const values of [{}, RICH]) {
    const alone = await helm.template(values);
    const joined = await helm.template({
      ...values,
      buildkitd: { ...values.buildkitd, builders: 3, cordoned: [`${FIRST}-b2`] },
      pools,
      projects: ["team-a"],
    });
    assert.ok(firstBuilder(alone).length >= (values === RICH ? 6 : 2));
    assert.deepEqual(firstBuilder(joined), firstBuilder(alone));
    assert.equal(await helm.template({ ...values, pools: {}, projects: [] }), alone, "and back");
  }
});

Deno.test("chart: an upgrade to three builders and back leaves the first one as it is, in helm 4 and helm 3", async () => {
  const live = [...(await helm.objects({})).values()].filter(({ kind }) => kind === "StatefulSet");
  const runs = live.map((each) => ({ ...each, spec: { ...each.spec, replicas: 1 } }));
  await using cluster = await LookedUpCluster.with(...runs);
  for (const each of Object.values(HELMS)) {
    const there = each.withCluster(cluster.kubeconfig);
    const alone = await there.template({});
    const three = await there.template({ buildkitd: { builders: 3 } });
    assert.deepEqual(firstBuilder(three), firstBuilder(alone));
    assert.equal(documentsOf(three).filter((text) => /^kind: StatefulSet$/m.test(text)).length, 3);
  }
});

Deno.test("chart: no selector of a builder finds pods of another one", () => {
  const tree = (labels: Record<string, string>, selector: Record<string, string>) =>
    Object.entries(selector).every(([key, value]) => labels[key] === value);
  return forAllSets((objects) => {
    const sets = [...objects.values()].filter(({ kind }) => kind === "StatefulSet");
    for (const one of sets) {
      for (const other of sets) {
        const finds = tree(other.spec.template.metadata.labels, one.spec.selector.matchLabels);
        assert.equal(finds, one === other, `${one.metadata.name} and ${other.metadata.name}`);
        const claims = (other.spec.volumeClaimTemplates ?? []).map((claim: Tree) => claim.metadata.labels);
        for (const labels of claims) {
          assert.equal(tree(labels, one.spec.selector.matchLabels), one === other);
        }
      }
    }
  });
});

async function forAllSets(check: (objects: ReadonlyMap<string, KubeObject>) => void): Promise<void> {
  const counts: number[] = [];
  for (const values of VALUE_SETS.values()) {
    const objects = await helm.objects(values);
    counts.push([...objects.values()].filter(({ kind }) => kind === "StatefulSet").length);
    check(objects);
  }
  assert.ok(Math.max(...counts) >= 5, "there are sets with several builders");
}

Deno.test("chart: each builder has a StatefulSet, a headless Service, a claim, a budget, a policy, and its file", async () => {
  const objects = await helm.objects({
    ...RICH,
    buildkitd: { ...RICH.buildkitd, builders: 2 },
    pools: { arm64: { buildkitd: { builders: 2 } } },
  });
  for (const name of [FIRST, `${FIRST}-b2`, `${FIRST}-arm64`, `${FIRST}-arm64-b2`]) {
    for (const kind of ["StatefulSet", "ConfigMap", "NetworkPolicy", "PodDisruptionBudget"]) {
      assert.ok(objects.has(`${kind}/${name}`), `${kind} ${name}`);
    }
    const { spec } = objects.get(`StatefulSet/${name}`)!;
    assert.equal(spec.serviceName, `${name}-headless`);
    assert.deepEqual(objects.get(`Service/${name}-headless`)!.spec.selector, spec.selector.matchLabels);
    assert.equal(spec.volumeClaimTemplates.length, 1);
    assert.equal(spec.template.spec.serviceAccountName, FIRST, "one account for all");
    assert.equal(spec.template.spec.volumes[0].configMap.name, name);
  }
  assert.equal([...objects.values()].filter(({ kind }) => kind === "StatefulSet").length, 4);
});

Deno.test("chart: a pool overrides values of buildkitd, whatever they are, and has all others", async () => {
  const buildkitd = {
    builders: 2,
    preset: "moby",
    drain: { enabled: true, timeout: "10m" },
    nodeSelector: { disk: "fast", arch: "amd64" },
    tolerations: [{ key: "a" }],
    revisionHistoryLimit: 5,
    priorityClassName: "high",
  };
  const objects = await helm.objects({
    buildkitd,
    pools: {
      arm64: {
        buildkitd: {
          drain: { enabled: false },
          nodeSelector: { arch: "arm64" },
          tolerations: [],
          revisionHistoryLimit: 0,
          priorityClassName: "",
        },
      },
    },
  });
  const set = (name: string) => objects.get(`StatefulSet/${name}`)!.spec;
  assert.equal(objects.has(`StatefulSet/${FIRST}-arm64-b2`), false, "a pool has one builder by default");
  const { template: { spec: own }, revisionHistoryLimit } = set(`${FIRST}-arm64`);
  assert.equal(revisionHistoryLimit, 0);
  assert.equal(own.containers[0].lifecycle, undefined);
  assert.equal(own.priorityClassName, undefined);
  assert.equal(own.tolerations, undefined);
  assert.deepEqual(own.nodeSelector, { disk: "fast", arch: "arm64" });
  assert.match(own.containers[0].image, /^moby\/buildkit:/);
  const { template: { spec: second } } = set(`${FIRST}-b2`);
  assert.deepEqual(second.nodeSelector, buildkitd.nodeSelector);
  assert.ok(second.containers[0].lifecycle !== undefined);
});

Deno.test("chart: the program is told of builders, listeners and limits only where there are some", async () => {
  const names = ["BUILDERS", "LISTENERS", "CORDONED", "MAX_REPLICAS"].map((name) => `AUTOSCALER_${name}`);
  const told = async (values: Tree) => {
    const objects = await helm.objects(values);
    return names.map((name) => variable(objects, name));
  };
  assert.deepEqual(await told({}), [undefined, undefined, undefined, undefined]);
  assert.deepEqual(
    await told({
      buildkitd: { builders: 2, maxReplicas: 3, cordoned: [`${FIRST}-b2`, `${FIRST}-arm64`] },
      pools: { x86: null, arm64: { buildkitd: {} } },
      projects: ["team-a", { name: "team-b", pool: "arm64" }],
    }),
    [
      `${FIRST},${FIRST}-b2,arm64/${FIRST}-arm64,x86/${FIRST}-x86`,
      "pool arm64=:8301, pool x86=:8302, project team-a=:8401, project team-b@arm64=:8402",
      `${FIRST}-b2,${FIRST}-arm64`,
      "3",
    ],
  );
  const target = { statefulSet: "buildkitd", headlessService: "buildkitd" };
  const inFront = { buildkitd: { enabled: false }, autoscaler: { target }, projects: ["team-a"] };
  assert.deepEqual(await told(inFront), [undefined, "project team-a=:8401", undefined, undefined]);
});

Deno.test("chart: settings of pools stand behind those of all, in the program's words", async () => {
  const objects = await helm.objects({
    autoscaler: { autoscalerConfig: { scaleDownIdleTimeout: "5m", readyWaitTimeout: null } },
    pools: {
      small: { idleTimeout: "1m", warm: "Sat 08:00-12:00 UTC=1" },
      arm64: {
        buildkitd: { builders: 2 },
        idleTimeout: "15m",
        readyWaitTimeout: "10m",
        minReplicas: 0,
        sessionsPerReplica: 2,
        warm: "Mon-Fri 07:00-19:00 UTC=1; Sun 22:00-02:00 UTC=2",
      },
    },
  });
  assert.equal(variable(objects, "SCALE_DOWN_IDLE_TIMEOUT"), "5m, arm64=15m, small=1m");
  assert.equal(variable(objects, "READY_WAIT_TIMEOUT"), "arm64=10m");
  assert.equal(variable(objects, "AUTOSCALER_MIN_REPLICAS"), "0, arm64=0");
  assert.match(variable(objects, "AUTOSCALER_SESSIONS_PER_REPLICA")!, /\barm64=2$/);
  assert.equal(
    variable(objects, "AUTOSCALER_WARM"),
    "arm64/Mon-Fri 07:00-19:00 UTC=1; arm64/Sun 22:00-02:00 UTC=2; small/Sat 08:00-12:00 UTC=1",
  );
});

Deno.test("chart: a pool or project that is added changes no Service of another one", async () => {
  const services = async (values: Tree) => {
    const objects = await helm.objects(values);
    return new Map([...objects].filter(([key]) => key.startsWith("Service/")));
  };
  const before = await services({ pools: { arm64: {} }, projects: ["team-b"] });
  const after = await services({ pools: { amd64: {}, arm64: {} }, projects: ["team-a", "team-b"] });
  for (const [key, service] of before) assert.deepEqual(after.get(key), service);
  for (const name of ["team-a", "team-b", `${PROXY}-arm64`]) {
    const [port] = after.get(`Service/${name}`)!.spec.ports;
    assert.equal(port.port, 8372);
    assert.match(port.targetPort, /^(?:pool|project)-[0-9a-f]{7}$/);
  }
  const text = async (projects: string[]) =>
    variable(await helm.objects({ pools: { arm64: {} }, projects }), "AUTOSCALER_LISTENERS");
  assert.equal(await text(["b"]), "pool arm64=:8301, project b=:8401");
  assert.equal(await text(["b", "a"]), "pool arm64=:8301, project b=:8401, project a=:8402");
});

Deno.test("chart: a HorizontalPodAutoscaler only raises, has the program's maximum, and looks at its own builder", async () => {
  const metric = {
    type: "Object",
    object: { metric: { name: "sessions" }, target: { type: "Value", value: "4" } },
  };
  const describedObject = { apiVersion: "v1", kind: "Namespace", name: "builds" };
  const objects = await helm.objects({
    buildkitd: {
      builders: 2,
      maxReplicas: 4,
      autoscaling: { enabled: true, minReplicas: 2, metrics: [metric] },
    },
    pools: {
      arm64: {
        buildkitd: {
          autoscaling: { metrics: [{ ...metric, object: { ...metric.object, describedObject } }] },
        },
      },
      small: { buildkitd: { autoscaling: { enabled: false } } },
    },
  });
  assert.equal(variable(objects, "AUTOSCALER_MAX_REPLICAS"), "4");
  const made = [...objects.values()].filter(({ kind }) => kind === "HorizontalPodAutoscaler");
  assert.deepEqual(made.map(({ metadata }) => metadata.name), [FIRST, `${FIRST}-b2`, `${FIRST}-arm64`]);
  for (const { metadata, spec } of made) {
    assert.equal(spec.scaleTargetRef.name, metadata.name);
    assert.deepEqual([spec.minReplicas, spec.maxReplicas], [2, 4]);
    assert.deepEqual(spec.behavior, { scaleDown: { selectPolicy: "Disabled" } });
    const about = metadata.name.endsWith("-arm64") ? "builds" : metadata.name;
    assert.equal(spec.metrics[0].object.describedObject.name, about);
  }
});

Deno.test("chart: alerts are about single builders, and wait for the pool that keeps its builders longest", async () => {
  const metrics = { serviceMonitor: { enabled: true }, prometheusRule: { enabled: true } };
  const alerts = async (values: Tree): Promise<Tree[]> => {
    const objects = await helm.objects({ ...values, autoscaler: { metrics, ...values.autoscaler } });
    return [...objects.values()].find(({ kind }) => kind === "PrometheusRule")!.spec.groups[0].rules;
  };
  const pools = { arm64: { idleTimeout: "2h" }, small: { idleTimeout: "1m" } };
  const all = await alerts({ pools, buildkitd: { cordoned: [`${FIRST}-arm64`, FIRST] } });
  const find = (name: string) => all.find(({ alert }) => alert === name);
  assert.equal(find("BuildkitdIdle").for, "135m");
  assert.match(
    find("BuildkitdIdle").expr,
    /^max by \(builder\) .* > 0 and on \(builder\) sum by \(builder\)/,
  );
  assert.ok(
    find("BuildkitdBuilderUnusable").expr.includes(`builder!~"${FIRST}-arm64|${FIRST}"`),
    "a cordoned builder may be away",
  );
  const names = async (values: Tree) => (await alerts(values)).map(({ alert }) => alert);
  assert.deepEqual(await names({}), all.map(({ alert }) => alert));
  const oneKept = await alerts({
    autoscaler: { autoscalerConfig: { minReplicas: 2 } },
    buildkitd: { maxReplicas: 2 },
  });
  assert.match(
    oneKept.find(({ alert }) => alert === "BuildkitdIdle").expr,
    /replicas_observed\{[^}]*\}\) > 2 and on/,
  );
  assert.ok(
    !(await names({ autoscaler: { autoscalerConfig: { warm: "Mon-Fri 07:00-19:00 UTC=1" } } }))
      .includes("BuildkitdIdle"),
    "it is kept on purpose",
  );
  for (const kept of [{ minReplicas: 1 }, { warm: "Mon-Fri 07:00-19:00 UTC=1" }]) {
    assert.ok(!(await names({ pools: { arm64: kept } })).includes("BuildkitdIdle"), "it is kept on purpose");
    assert.ok(
      !(await names({ pools, autoscaler: { autoscalerConfig: kept } })).includes("BuildkitdIdle"),
      "it is kept on purpose",
    );
  }
});

for (const [name, values] of VALUE_SETS) {
  Deno.test(`chart: the program takes what the chart tells it with the values "${name}"`, async () => {
    const deployment = [...(await helm.objects(values)).values()].find(({ kind }) => kind === "Deployment")!;
    const { env } = deployment.spec.template.spec.containers[0];
    const variables: Record<string, string> = Object.fromEntries(
      env.map((each: Tree) => [each.name, each.value ?? ""]),
    );
    const settings = parseSettings({ flags: new Map(), variables });
    assert.equal(settings.stsName, variables["BUILDKITD_STATEFULSET_NAME"]);
    const builders = poolsOf(settings).flatMap(({ builders }) => builders.map(({ name }) => name));
    assert.deepEqual(
      builders,
      variables["AUTOSCALER_BUILDERS"]?.split(",").map((entry) => entry.replace(/^.*\//, "")) ??
        [settings.stsName],
    );
  });
}

const REFUSED: readonly (readonly [string, Tree, RegExp])[] = [
  ["no builder", { buildkitd: { builders: 0 } }, /builders': minimum: got 0, want 1/],
  [
    "more builders than the program takes",
    { buildkitd: { builders: 60 }, pools: { arm64: { buildkitd: { builders: 5 } } } },
    /ask for 65 builders: want at most 64 in one release/,
  ],
  [
    "a name that has no room for a revision",
    { pools: { arm64: {} }, fullnameOverride: "a".repeat(40) },
    /the name of builder "a{40}-buildkitd-arm64" would have 56 characters: want at most 52/,
  ],
  [
    "a Service with too long a name",
    {
      pools: { ["a".repeat(20)]: {} },
      autoscaler: { fullnameOverride: "p".repeat(50) },
      fullnameOverride: "x",
    },
    /the name of Service "p{50}-a{20}", for pool a{20}, would have 71 characters: want at most 63/,
  ],
  [
    "a pool with a builder's name",
    { pools: { b2: {} } },
    /the pool "b2" has a name that ends as that of a builder/,
  ],
  [
    "one name for two builders",
    { pools: { arm: { buildkitd: { builders: 2 } }, "arm-b2": {} } },
    /two builders would have the name "ci-buildkitd-stack-buildkitd-arm-b2"/,
  ],
  [
    "one volume for several builders",
    { buildkitd: { builders: 2, persistence: { existingClaim: "cache" } } },
    /buildkitd\.persistence\.existingClaim is "cache" for 2 pods: each needs a volume of its own/,
  ],
  [
    "one volume for several pods of one builder",
    { buildkitd: { maxReplicas: 3, persistence: { existingClaim: "cache" } } },
    /existingClaim is "cache" for 3 pods/,
  ],
  [
    "one volume for two pools",
    { buildkitd: { persistence: { existingClaim: "cache" } }, pools: { arm64: {} } },
    /existingClaim is "cache" for 2 pods/,
  ],
  [
    "a HorizontalPodAutoscaler that can raise nothing",
    { buildkitd: { autoscaling: { enabled: true } } },
    /buildkitd\.autoscaling\.enabled is true, and buildkitd\.maxReplicas is 1: .*Want buildkitd\.maxReplicas above 1/,
  ],
  [
    "the same in a pool alone",
    { pools: { arm64: { buildkitd: { autoscaling: { enabled: true } } } } },
    /pools\.arm64\.buildkitd\.autoscaling\.enabled is true, and buildkitd\.maxReplicas is 1/,
  ],
  [
    "a HorizontalPodAutoscaler that scales to zero",
    { buildkitd: { maxReplicas: 2, autoscaling: { enabled: true, minReplicas: 0 } } },
    /autoscaling\/minReplicas': minimum: got 0, want 1/,
  ],
  [
    "a minimum above the maximum",
    { buildkitd: { maxReplicas: 2, autoscaling: { enabled: true, minReplicas: 3 } } },
    /autoscaling\.minReplicas is 3, and buildkitd\.maxReplicas is 2: want the second at least the first/,
  ],
  [
    "one name for two projects",
    { projects: ["a", { name: "a" }] },
    /project a and project a would both have the Service "a"/,
  ],
  [
    "a project with the name of the autoscaler",
    { projects: [PROXY] },
    /autoscaler\.service and project ci-buildkitd-stack-autoscaler would both have the Service/,
  ],
  [
    "a project with the name of a builder's Service",
    { projects: [`${FIRST}-b2-headless`], buildkitd: { builders: 2 } },
    /builder ci-buildkitd-stack-buildkitd-b2 and project .* would both have the Service/,
  ],
  [
    "a pool with the name of a Service",
    { pools: { metrics: {} } },
    /autoscaler\.metrics and pool metrics would both have/,
  ],
  [
    "a project of no pool",
    { projects: [{ name: "a", pool: "arm" }], pools: { arm64: {} } },
    /"a" is of pool "arm", and pools has arm64/,
  ],
  ["a project whose name is none", { projects: ["Team_A"] }, /projects\/0/],
  ["a key of a project that nobody reads", { projects: [{ name: "a", port: 1 }] }, /projects\/0/],
  [
    "a key of a pool that nobody reads",
    { pools: { arm64: { idle: "1m" } } },
    /additional properties 'idle' not allowed/,
  ],
  [
    "a value of all pools in one",
    { pools: { arm64: { buildkitd: { maxReplicas: 2 } } } },
    /additional properties 'maxReplicas' not allowed/,
  ],
  [
    "a pool whose name is none",
    { pools: { "arm/64": {} } },
    /'\/pools': additional properties 'arm\/64' not allowed/,
  ],
  [
    "a cordoned builder that is not there",
    { buildkitd: { builders: 2, cordoned: ["b2"] } },
    /cordoned has "b2", and the builders are ci-buildkitd-stack-buildkitd, ci-buildkitd-stack-buildkitd-b2: want one/,
  ],
  [
    "a builder that is cordoned twice",
    { buildkitd: { cordoned: [FIRST, FIRST] } },
    /cordoned names a builder twice/,
  ],
  [
    "a pool's wait of no time",
    { pools: { arm64: { readyWaitTimeout: "0s" } } },
    /pools\.arm64\.readyWaitTimeout is "0s": want a duration from 1ms to 8760h0m0s/,
  ],
  [
    "more replicas than a pool has",
    { buildkitd: { maxReplicas: 2, builders: 2 }, pools: { arm64: { minReplicas: 3 } } },
    /minReplicas is 3 in pool "arm64", and builders times maxReplicas is 2: want the first at most the second/,
  ],
  [
    "more replicas than the builders that are not cordoned can have",
    { buildkitd: { builders: 2, cordoned: [FIRST] }, autoscaler: { autoscalerConfig: { minReplicas: 2 } } },
    /minReplicas is 2, and builders that are not cordoned times maxReplicas is 1: want the first at most the second/,
  ],
  [
    "a warm window with more replicas than a pool has",
    {
      buildkitd: { builders: 2 },
      autoscaler: {
        autoscalerConfig: {
          warm: "Mon 07:00-08:00 Europe/Berlin=2; arm64/Tue 07:00-08:00 UTC=1; Sun 07:00-08:00 UTC=3",
        },
      },
      pools: { arm64: { warm: "Sat 08:00-12:00 UTC=1; Sun 08:00-12:00 UTC=4" } },
    },
    /found 2 problems .*\n +warm has "Sun 07:00-08:00 UTC=3", and builders times maxReplicas is 2: want no window with more\n +warm has "Sun 08:00-12:00 UTC=4" in pool "arm64", and builders times maxReplicas is 1: want/,
  ],
  [
    "a minimum of a pool of which all builders are cordoned",
    { buildkitd: { cordoned: [`${FIRST}-arm64`] }, pools: { arm64: { minReplicas: 1 } } },
    /minReplicas is 1 in pool "arm64", and builders that are not cordoned times maxReplicas is 0: want/,
  ],
  [
    "a minimum of all that one pool cannot have",
    {
      autoscaler: { autoscalerConfig: { minReplicas: 2 } },
      buildkitd: { builders: 2 },
      pools: { arm64: {} },
    },
    /found 1 problem in the values:\n.*minReplicas is 2 in pool "arm64", and .* is 1/,
  ],
  [
    "a hard limit below the target",
    { pools: { arm64: { maxSessionsPerReplica: 3 } } },
    /maxSessionsPerReplica is 3, and sessionsPerReplica is 4 in pool "arm64": want the first at least/,
  ],
  [
    "a pool's image with its tag in the name",
    { pools: { arm64: { buildkitd: { image: { repository: "buildkit:v1" } } } } },
    /pools\.arm64\.buildkitd\.image\.repository is "buildkit:v1": want the name alone/,
  ],
  [
    "builders in front of one that exists",
    {
      buildkitd: { enabled: false, builders: 2 },
      pools: { arm64: {} },
      autoscaler: { target: { statefulSet: "a", headlessService: "a" } },
    },
    /found 2 problems in the values:\n.*buildkitd\.builders is given, and buildkitd\.enabled is false.*\n.*pools is given/,
  ],
  [
    "a listener's port for another one",
    { projects: ["a"], autoscaler: { autoscalerConfig: { adminAddr: ":8401" } } },
    /autoscaler\.autoscalerConfig\.adminAddr and the chart's listener of a pool or project have the same port/,
  ],
  [
    "a flag that the chart sets",
    { autoscaler: { extraArgs: ["--builders=a,b"] } },
    /which the chart sets itself/,
  ],
];

for (const [what, values, message] of REFUSED) {
  Deno.test(`chart: ${what} is refused`, async () => {
    for (const each of Object.values(HELMS)) await assert.rejects(each.template(values), message);
  });
}

Deno.test("chart: all problems of builders, pools and projects are reported together", async () => {
  const values = {
    buildkitd: {
      builders: 2,
      cordoned: ["x"],
      autoscaling: { enabled: true },
      persistence: { existingClaim: "c" },
    },
    pools: { b2: {} },
    projects: ["a", "a"],
  };
  for (const each of Object.values(HELMS)) {
    await assert.rejects(each.template(values), (error: Error) => {
      const lines = error.message.split("\n").filter((line) => line.startsWith("  "));
      assert.equal(lines.length, Number(/found (\d+)/.exec(error.message)![1]));
      for (const wanted of [/cordoned/, /autoscaling/, /existingClaim/, /pool "b2"/, /Service "a"/]) {
        assert.ok(lines.some((line) => wanted.test(line)), `${wanted}: ${error.message}`);
      }
      return true;
    });
  }
});

/** What an install with these values made, each StatefulSet with that number of replicas. */
async function installed(values: Tree, replicas: number): Promise<KubeObject[]> {
  return [...(await helm.objects(values)).values()]
    .filter(({ kind }) => kind === "Deployment" || kind === "StatefulSet")
    .map((each) => each.kind === "Deployment" ? each : { ...each, spec: { ...each.spec, replicas } });
}

const THREE = { buildkitd: { builders: 3 }, pools: { arm64: {} } };

Deno.test("chart: a builder that runs is not removed, and one that sleeps is", async () => {
  const removals: readonly (readonly [Tree, readonly string[]])[] = [
    [{ buildkitd: { builders: 2 }, pools: { arm64: {} } }, [`${FIRST}-b3`]],
    [{ buildkitd: { builders: 3 } }, [`${FIRST}-arm64`]],
    [{}, [`${FIRST}-b2`, `${FIRST}-b3`, `${FIRST}-arm64`]],
    [{ ...THREE, buildkitd: { builders: 3, fullnameOverride: "b" } }, [
      FIRST,
      `${FIRST}-b2`,
      `${FIRST}-b3`,
      `${FIRST}-arm64`,
    ]],
  ];
  await using running = await LookedUpCluster.with(...await installed(THREE, 1));
  await using asleep = await LookedUpCluster.with(...await installed(THREE, 0));
  for (const each of Object.values(HELMS)) {
    for (const [values, names] of removals) {
      await assert.rejects(each.withCluster(running.kubeconfig).template(values), (error: Error) => {
        const found = [
          ...error.message.matchAll(/would remove builder "([^"]+)", which runs.*cordon it first/g),
        ];
        assert.deepEqual(found.map(([, name]) => name), names, error.message);
        return true;
      });
      assert.match(await each.withCluster(asleep.kubeconfig).template(values), /kind: StatefulSet/);
    }
    assert.match(await each.withCluster(running.kubeconfig).template(THREE), /kind: StatefulSet/);
    const more = { buildkitd: { builders: 4 }, pools: { arm64: { buildkitd: { builders: 2 } }, x86: {} } };
    assert.match(await each.withCluster(running.kubeconfig).template(more), /kind: StatefulSet/);
  }
});

Deno.test("chart: a StatefulSet of somebody else that the autoscaler no longer scales is no builder that is removed", async () => {
  const objects = await installed(THREE, 1);
  const foreign = objects.map((each) =>
    each.kind === "Deployment" ? each : { ...each, metadata: { ...each.metadata, labels: {} } }
  );
  await using cluster = await LookedUpCluster.with(...foreign);
  assert.match(await helm.withCluster(cluster.kubeconfig).template({}), /kind: StatefulSet/);
});

Deno.test("chart: a change of the claim is refused for each builder that it concerns", async () => {
  await using cluster = await LookedUpCluster.with(...await installed(THREE, 0));
  const values = { ...THREE, pools: { arm64: { buildkitd: { persistence: { size: "60Gi" } } } } };
  for (const each of Object.values(HELMS)) {
    await assert.rejects(
      each.withCluster(cluster.kubeconfig).template(values),
      new RegExp(
        `found 1 problem in the values:\\n.*size is "60Gi", and StatefulSet "${FIRST}-arm64" was made`,
      ),
    );
  }
});
