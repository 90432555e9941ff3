/**
 * `check` against a real kube-apiserver: healthy clusters, each kind of fault, missing rights. Where a finding names a
 * command, the command is run as it stands, by a shell and the real kubectl, and fixes the fault.
 *
 * @module
 */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import type { Finding } from "../../lib/check/finding.ts";
import { violationsOf } from "../../lib/check/pod_security.ts";
import type { PodTemplate } from "../../lib/kube/types.ts";
import { makeCa } from "../integration/kube/certificates.ts";
import { ApiError, kubeconfig, type KubeObject, statefulSetPath } from "./kube_api.ts";
import { runCommand } from "./program.ts";
import { type Cluster, DOCUMENTED_RULES, programPath, scenario } from "./scenario.ts";
import { startStreaming } from "./streaming.ts";
import { until, within } from "./waiting.ts";

type Flags = Readonly<Record<string, string>>;

interface Report {
  readonly code: number;
  readonly findings: readonly Finding[];
}

/** Writes a kubeconfig that may do everything. */
async function adminKubeconfig(cluster: Cluster): Promise<string> {
  const path = join(cluster.folder, "admin.kubeconfig");
  await Deno.writeTextFile(path, kubeconfig(cluster.api.access));
  return path;
}

/** Runs it as an administrator, unless a kubeconfig is among the flags. */
async function check(cluster: Cluster, flags: Flags = {}): Promise<Report> {
  const given = {
    "sts-namespace": cluster.namespace,
    "upstream": "slices",
    "kubeconfig": await adminKubeconfig(cluster),
    ...flags,
  };
  const args = ["check", ...Object.entries(given).flatMap(([name, value]) => [`--${name}`, value])];
  if (Deno.env.has("SHOW_REPORTS")) {
    const { stdout } = await runCommand(args);
    Deno.stdout.writeSync(new TextEncoder().encode(`\n$ ${args.join(" ")}\n${stdout}\n`));
  }
  const { code, stdout, stderr } = await runCommand([...args, "--output", "json"]);
  assert.equal(stderr, "");
  const { healthy, findings } = JSON.parse(stdout);
  assert.equal(code, healthy ? 0 : 1, stdout);
  return { code, findings };
}

function only({ findings }: Report, ...results: readonly Finding["result"][]): readonly Finding[] {
  return findings.filter(({ result }) => results.includes(result));
}

/** Runs a command as a finding names it. */
async function fix(cluster: Cluster, command: string): Promise<void> {
  const shell = new Deno.Command("sh", {
    args: ["-c", command],
    clearEnv: true,
    env: {
      PATH: `${dirname(programPath("kubectl"))}:${Deno.env.get("PATH")}`,
      HOME: cluster.folder,
      KUBECONFIG: await adminKubeconfig(cluster),
    },
  });
  const { code, stderr } = await within(`the end of "${command}"`, shell.output());
  assert.equal(code, 0, `${command}\n${new TextDecoder().decode(stderr)}`);
}

/** Demands exactly this fault, does what its finding says, and waits until it is gone. */
async function findAndFix(
  cluster: Cluster,
  name: string,
  found: RegExp,
  flags: Flags = {},
): Promise<Finding> {
  const { findings } = await until(`a finding about ${name}`, async () => {
    const report = await check(cluster, flags);
    return only(report, "failed", "warning").some((finding) => finding.check === name) && report;
  });
  const finding = findings.find(({ check, result }) => check === name && result !== "ok")!;
  assert.match(finding.found, found);
  assert.ok(finding.want !== undefined && finding.fix !== undefined, JSON.stringify(finding));
  await fix(cluster, finding.fix);
  await until(`${name} to be fixed`, async () => {
    return !only(await check(cluster, flags), "failed", "warning").some(({ check }) => check === name);
  });
  return finding;
}

scenario("check finds no fault where there is none, only reads, and wakes nothing", {}, async (cluster) => {
  const program = await (await cluster.startProgram()).untilReady();
  const admin = await check(cluster);
  assert.deepEqual(only(admin, "failed", "warning"), []);
  assert.deepEqual(only(admin, "unchecked").map(({ check }) => check), ['pod of "buildkitd"']);
  assert.equal(await program.stop(), 0);
  const before = (await cluster.plane.requestsBy(cluster.programUser)).length;
  const asProgram = await check(cluster, { kubeconfig: cluster.kubeconfigPath });
  assert.equal(asProgram.code, 0);
  assert.deepEqual(only(asProgram, "failed"), []);
  assert.deepEqual(only(asProgram, "warning").map(({ check }) => check), ["rights to pods"]);
  assert.deepEqual(only(asProgram, "unchecked").map(({ check, found }) => `${check}: ${found}`), [
    'Service "buildkitd-headless": no right to get services',
    'Pod Security of "buildkitd": no right to get namespaces',
    'replica count of "buildkitd": HorizontalPodAutoscalers (no right to list horizontalpodautoscalers) ' +
    "and ScaledObjects of KEDA (no right to list scaledobjects)",
    'pod of "buildkitd": none runs now, and this command starts none',
  ]);
  const asked = (await cluster.plane.requestsBy(cluster.programUser)).slice(before);
  const written = asked.filter(({ verb, objectRef }) =>
    !["get", "list"].includes(verb) &&
    !["selfsubjectaccessreviews", "selfsubjectreviews"].includes(objectRef?.resource ?? "")
  );
  assert.ok(asked.length > 20);
  assert.deepEqual(written, []);
  assert.equal(await cluster.replicas(), 0);
  assert.deepEqual(cluster.timeline.replicas.map(({ replicas }) => replicas), [0]);
});

scenario(
  "check connects to a running buildkitd and asks its health service",
  { replicas: 1 },
  async (cluster) => {
    const { findings } = await until("a ready pod", async () => {
      const report = await check(cluster);
      return report.findings.some(({ check }) => check.startsWith("health")) && report;
    });
    const about = (name: string) => findings.find(({ check }) => check === `${name} of "buildkitd"`);
    assert.deepEqual(about("pod"), {
      check: 'pod of "buildkitd"',
      result: "ok",
      found: "buildkitd-0 accepts connections by its address",
    });
    assert.equal(about("health service")?.found, "buildkitd-0 answers SERVING");
    // What listens there speaks no TLS.
    const ca = join(cluster.folder, "ca.pem");
    await Deno.writeTextFile(ca, (await makeCa()).cert);
    const withTls = await check(cluster, { "upstream-tls-ca": ca });
    const [fault] = only(withTls, "failed");
    assert.equal(fault?.check, 'pod of "buildkitd"');
    assert.match(fault.found, /TLS/);
    assert.equal(withTls.findings.find(({ check }) => check === "TLS to buildkitd")?.result, "ok");
    const unreachable = await check(cluster, { "target-port": "1" });
    assert.deepEqual(only(unreachable, "failed").map(({ check }) => check), ['pod of "buildkitd"']);
    assert.match(only(unreachable, "failed")[0]!.found, /refused/);
    assert.equal(await cluster.replicas(), 1);
  },
);

scenario(
  "check connects through the API server, where the proxy would, and names the rights to that",
  { replicas: 1 },
  async (cluster) => {
    const streaming = await startStreaming(cluster.api);
    try {
      const flags = { upstream: "port-forward" };
      const { findings } = await until("a ready pod", async () => {
        const report = await check(cluster, flags);
        return report.findings.some(({ check }) => check.startsWith("health")) && report;
      });
      const found = findings.filter(({ check }) => /^(pod|health service) of/.test(check)).map(({ found }) =>
        found
      );
      assert.deepEqual(found, [
        "buildkitd-0 accepts connections through the API server",
        "buildkitd-0 answers SERVING",
      ]);
      const poor = { ...flags, kubeconfig: cluster.kubeconfigPath };
      await findAndFix(
        cluster,
        'rights to pods/portforward "buildkitd-0"',
        /^no right to get, create$/,
        poor,
      );
      assert.deepEqual(only(await check(cluster, poor), "failed"), []);
    } finally {
      await streaming.kill();
    }
  },
);

scenario("check names each missing right, and the command that grants it", {}, async (cluster) => {
  const { kubeconfigPath } = cluster;
  for (const { apiGroups: [group], resources: [resource], verbs } of DOCUMENTED_RULES) {
    const rules = DOCUMENTED_RULES.filter(({ resources }) => resources[0] !== resource);
    await cluster.setRules(rules, { allowed: false });
    const name = `rights to ${resource}${group === "apps" ? ' "buildkitd"' : ""}`;
    const finding = await findAndFix(cluster, name, /^no right to /, { kubeconfig: kubeconfigPath });
    assert.ok(finding.found.startsWith(`no right to ${verbs.join(", ")}`), finding.found);
    assert.equal(finding.result, ["leases", "events"].includes(resource!) ? "warning" : "failed");
  }
  // All that was granted is enough, and nothing else is lacking.
  await cluster.setRules([], { allowed: false });
  await until("the granted rights", async () => {
    return only(await check(cluster, { kubeconfig: kubeconfigPath }), "failed").length === 0;
  });
});

scenario("check without any right finds what is missing, and reads nothing", {}, async (cluster) => {
  await cluster.setRules([], { allowed: false });
  const report = await check(cluster, { kubeconfig: cluster.kubeconfigPath });
  assert.deepEqual(only(report, "failed").map(({ check }) => check), [
    'rights to statefulsets "buildkitd"',
    'rights to statefulsets/scale "buildkitd"',
    "rights to endpointslices",
  ]);
  assert.deepEqual(only(report, "ok").map(({ check }) => check), ["API server"]);
});

scenario("check finds what is wrong with the Service, and fixes it", {}, async (cluster) => {
  const services = `/api/v1/namespaces/${cluster.namespace}/services`;
  const path = `${services}/buildkitd-headless`;
  await cluster.api.patch(path, { spec: { selector: { app: "another" } } });
  await findAndFix(cluster, 'selector of Service "buildkitd-headless"', /^app=another$/);
  await cluster.api.patch(path, { spec: { ports: [{ name: "buildkitd", port: 8372, targetPort: 1234 }] } });
  await findAndFix(cluster, 'ports of Service "buildkitd-headless"', /: 1234; the proxy does not use them/);
  await cluster.api.delete(path);
  await findAndFix(cluster, 'Service "buildkitd-headless"', /^none of this name in namespace "e2e-/);
  await cluster.api.delete(path);
  await cluster.api.create(services, {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "buildkitd-headless" },
    spec: { selector: { app: "buildkitd" }, ports: [{ port: 8372 }] },
  });
  const flags = { upstream: "dns" };
  assert.equal(only(await check(cluster), "failed").length, 0, "addresses need no headless Service");
  const [withIp] = only(await check(cluster, flags), "failed");
  assert.match(withIp?.found ?? "", /^the cluster IP 10\.98\./);
  await cluster.api.delete(path);
  await findAndFix(cluster, 'Service "buildkitd-headless"', /^none of this name/, flags);
  // One of another StatefulSet.
  await findsOther(cluster);
});

/** A Service that is there, while another one gives the pods their names. */
async function findsOther(cluster: Cluster): Promise<void> {
  const report = await check(cluster, { "headless-service-name": "builder" });
  const fault = only(report, "failed").find(({ check }) => check === 'Service "builder"');
  assert.match(fault?.found ?? "", /that of StatefulSet "buildkitd" is "buildkitd-headless"$/);
  assert.equal(fault?.fix, "set --headless-service-name=buildkitd-headless");
  assert.ok(only(report, "failed").some(({ check }) => check === 'EndpointSlices of Service "builder"'));
}

scenario(
  "check finds a missing StatefulSet, and one whose containers listen elsewhere",
  {},
  async (cluster) => {
    const path = statefulSetPath(cluster.namespace, "buildkitd");
    const containers = [{ name: "buildkitd", image: "buildkitd", args: ["--addr=tcp://0.0.0.0:1234"] }];
    await cluster.api.patch(path, { spec: { template: { spec: { containers } } } });
    const [port] = only(await check(cluster), "failed");
    assert.equal(port?.check, 'port of StatefulSet "buildkitd"');
    assert.equal(port?.fix, "set --target-port=1234 (BUILDKITD_TARGET_PORT)");
    const [absent] = only(await check(cluster, { "sts-name": "builder" }), "failed");
    assert.equal(absent?.check, 'StatefulSet "builder"');
    await fix(cluster, absent!.fix!);
  },
);

scenario("check looks at each of several builders", {
  builders: [{ name: "builder" }, { name: "builder-b2" }],
}, async (cluster) => {
  const report = await check(cluster, { builders: "builder,builder-b2,arm64/builder-arm64" });
  const named = (name: string) => report.findings.filter(({ check }) => check.includes(`"${name}"`)).length;
  assert.equal(named("builder"), named("builder-b2"));
  assert.deepEqual(only(report, "failed").map(({ check }) => check), ['StatefulSet "builder-arm64"']);
  // What is not there either must not be made before it is known whose it is.
  const unchecked = only(report, "unchecked").map(({ check }) => check);
  for (const what of ["Service", "EndpointSlices of Service"]) {
    assert.ok(unchecked.includes(`${what} "builder-arm64-headless"`), what);
  }
});

scenario("check finds claims without a StorageClass, and fixes that", {}, async (cluster) => {
  const { api, namespace } = cluster;
  const classes = "/apis/storage.k8s.io/v1/storageclasses";
  const path = statefulSetPath(namespace, "buildkitd");
  const [statefulSet] = [await api.get<KubeObject & { spec: { template: object } }>(path)];
  const recreate = async (spec: object) => {
    await api.delete(path);
    const { serviceName, selector, template } = statefulSet.spec as unknown as Record<string, unknown>;
    await api.create(statefulSetPath(namespace), {
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name: "buildkitd" },
      spec: { replicas: 0, serviceName, selector, template, ...spec },
    });
  };
  const claim = (spec: object) => ({
    volumeClaimTemplates: [{
      metadata: { name: "cache" },
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } }, ...spec },
    }],
  });
  await api.create(classes, {
    apiVersion: "storage.k8s.io/v1",
    kind: "StorageClass",
    metadata: { name: "fast" },
    provisioner: "example.com/none",
    volumeBindingMode: "WaitForFirstConsumer",
  });
  await recreate(claim({}));
  const check1 = 'volume claim "cache-buildkitd-0"';
  await findAndFix(cluster, check1, /it names no StorageClass, and none is the default$/);
  await recreate(claim({ storageClassName: "slow" }));
  const [absent] = only(await check(cluster), "warning");
  assert.match(absent?.found ?? "", /^made with the first pod; there is no StorageClass "slow"/);
  await fix(cluster, absent!.fix!);
  await recreate(claim({ storageClassName: "fast" }));
  assert.deepEqual(only(await check(cluster), "failed"), []);
  // A claim whose volume is gone.
  const claims = `/api/v1/namespaces/${namespace}/persistentvolumeclaims`;
  const { spec } = claim({ storageClassName: "fast" }).volumeClaimTemplates[0]!;
  await api.create(claims, {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name: "cache-buildkitd-0" },
    spec,
  });
  await api.patch(`${claims}/cache-buildkitd-0/status`, { status: { phase: "Lost" } });
  // This control plane has no controller that would take it away.
  await api.patch(`${claims}/cache-buildkitd-0`, { metadata: { finalizers: null } });
  await findAndFix(cluster, check1, /^its volume is lost$/);
  await api.delete(`${classes}/fast`);
});

scenario(
  "check finds other writers of the count, and fixes an HPA and a ScaledObject",
  {},
  async (cluster) => {
    const { api, namespace } = cluster;
    await api.create(`/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers`, {
      apiVersion: "autoscaling/v2",
      kind: "HorizontalPodAutoscaler",
      metadata: { name: "by-cpu" },
      spec: {
        scaleTargetRef: { apiVersion: "apps/v1", kind: "StatefulSet", name: "buildkitd" },
        minReplicas: 1,
        maxReplicas: 2,
        metrics: [{
          type: "Resource",
          resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } },
        }],
      },
    });
    const hpa = 'HorizontalPodAutoscaler "by-cpu" of "buildkitd"';
    const both = only(await check(cluster, { "max-replicas": "3" }), "failed");
    assert.deepEqual(both.map(({ check }) => check), [hpa, hpa]);
    for (const { fix: command } of both) await fix(cluster, command!);
    assert.deepEqual(only(await check(cluster, { "max-replicas": "3" }), "failed"), []);
    await api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", SCALED_OBJECTS);
    const scaled = `/apis/keda.sh/v1alpha1/namespaces/${namespace}/scaledobjects`;
    await until("KEDA's API", () =>
      api.create(scaled, {
        apiVersion: "keda.sh/v1alpha1",
        kind: "ScaledObject",
        metadata: { name: "by-queue" },
        spec: { scaleTargetRef: { kind: "StatefulSet", name: "buildkitd" } },
      }));
    await findAndFix(cluster, 'ScaledObject "by-queue" of "buildkitd"', /^KEDA scales it to 0/);
    const writers = 'replica count of "buildkitd"';
    const path = statefulSetPath(namespace, "buildkitd");
    const patch = {
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name: "buildkitd" },
      spec: { replicas: 0 },
    };
    await api.apply(path, patch, "argocd-controller");
    const [applied] = only(await check(cluster), "warning");
    assert.equal(applied?.check, writers);
    assert.match(applied?.found ?? "", /^argocd-controller applies a manifest with replicas/);
    const annotation = "kubectl.kubernetes.io/last-applied-configuration";
    await api.patch(path, { metadata: { annotations: { [annotation]: JSON.stringify(patch) } } });
    assert.equal(only(await check(cluster), "warning").length, 2);
    assert.equal((await check(cluster)).code, 0);
  },
);

/** As little of KEDA as there can be. */
const SCALED_OBJECTS = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: {
    name: "scaledobjects.keda.sh",
    annotations: { "api-approved.kubernetes.io": "unapproved, test" },
  },
  spec: {
    group: "keda.sh",
    scope: "Namespaced",
    names: { plural: "scaledobjects", singular: "scaledobject", kind: "ScaledObject" },
    versions: [{
      name: "v1alpha1",
      served: true,
      storage: true,
      schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
    }],
  },
};

type PodSpec = NonNullable<PodTemplate["spec"]>;
type Container = PodSpec["containers"][number];

/** Pod specs of one container. */
const PODS: readonly (readonly [what: string, spec: Partial<PodSpec>, container: object])[] = (() => {
  const restricted = {
    allowPrivilegeEscalation: false,
    runAsNonRoot: true,
    seccompProfile: { type: "RuntimeDefault" },
    capabilities: { drop: ["ALL"] },
  };
  const context = (securityContext: object) => ({ securityContext });
  const pod = (securityContext: PodSpec["securityContext"]) => ({ securityContext } as Partial<PodSpec>);
  return [
    ["nothing special", {}, {}],
    ["what restricted wants", {}, context(restricted)],
    ["privileged", {}, context({ privileged: true })],
    ["host network", { hostNetwork: true }, {}],
    ["host PID", { hostPID: true }, {}],
    ["a host path", { volumes: [{ name: "a", hostPath: { path: "/" } }] }, {}],
    ["an empty directory", { volumes: [{ name: "a", emptyDir: {} }] }, context(restricted)],
    ["an NFS volume", { volumes: [{ name: "a", nfs: { server: "a", path: "/" } }] }, context(restricted)],
    ["a host port", {}, { ports: [{ containerPort: 1, hostPort: 1 }] }],
    ["SYS_ADMIN", {}, context({ capabilities: { add: ["SYS_ADMIN"] } })],
    ["NET_RAW", {}, context({ capabilities: { add: ["NET_RAW"] } })],
    ["CHOWN", {}, context({ capabilities: { add: ["CHOWN"] } })],
    [
      "NET_BIND_SERVICE",
      {},
      context({ ...restricted, capabilities: { drop: ["ALL"], add: ["NET_BIND_SERVICE"] } }),
    ],
    ["seccomp Unconfined", {}, context({ seccompProfile: { type: "Unconfined" } })],
    ["seccomp Unconfined of the pod", pod({ seccompProfile: { type: "Unconfined" } }), {}],
    ["AppArmor Unconfined", {}, context({ appArmorProfile: { type: "Unconfined" } })],
    ["SELinux of its own", {}, context({ seLinuxOptions: { type: "spc_t" } })],
    ["SELinux of containers", {}, context({ ...restricted, seLinuxOptions: { type: "container_t" } })],
    ["a safe sysctl", pod({ sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "1" }] }), {}],
    ["another sysctl", pod({ sysctls: [{ name: "kernel.msgmax", value: "1" }] }), {}],
    ["root", {}, context({ ...restricted, runAsUser: 0 })],
    ["root of the pod", pod({ runAsUser: 0 }), context(restricted)],
    ["non-root by the pod", pod({ runAsNonRoot: true }), context({ ...restricted, runAsNonRoot: undefined })],
    [
      "seccomp by the pod",
      pod({ seccompProfile: { type: "RuntimeDefault" } }),
      context({ ...restricted, seccompProfile: undefined }),
    ],
    ["no non-root", {}, context({ ...restricted, runAsNonRoot: undefined })],
    ["no seccomp", {}, context({ ...restricted, seccompProfile: undefined })],
    ["escalation", {}, context({ ...restricted, allowPrivilegeEscalation: undefined })],
    ["nothing dropped", {}, context({ ...restricted, capabilities: {} })],
    ["an init container that is privileged", {
      initContainers: [{ name: "init", image: "a", securityContext: { privileged: true } }],
    }, {}],
  ];
})();

scenario(
  "check judges pods as the API server does, and fixes the label of the namespace",
  {},
  async (cluster) => {
    const { api, namespace } = cluster;
    const label = (level: string) =>
      api.patch(`/api/v1/namespaces/${namespace}`, {
        metadata: { labels: { "pod-security.kubernetes.io/enforce": level } },
      });
    for (const level of ["baseline", "restricted"]) {
      await label(level);
      await until("the label to take effect", () => refused(cluster, { hostNetwork: true }, {}));
      for (const [what, spec, container] of PODS) {
        const template = { spec: { ...spec, containers: [{ ...CONTAINER, ...container } as Container] } };
        const judged = violationsOf(template, level);
        assert.equal(
          judged.length > 0,
          await refused(cluster, spec, container),
          `${level}: ${what}: ${judged}`,
        );
      }
    }
    const containers = [{
      ...CONTAINER,
      ports: [{ containerPort: 8372 }],
      securityContext: { privileged: true },
    }];
    await api.patch(statefulSetPath(namespace, "buildkitd"), {
      spec: { template: { spec: { containers } } },
    });
    await findAndFix(
      cluster,
      'Pod Security of "buildkitd"',
      /enforces "restricted", and its pods have a privileged/,
    );
  },
);

const CONTAINER = { name: "buildkitd", image: "buildkitd" };

/** Whether the API server would refuse a pod. Nothing is created. */
async function refused({ api, namespace }: Cluster, spec: object, container: object): Promise<boolean> {
  try {
    await api.create(`/api/v1/namespaces/${namespace}/pods?dryRun=All`, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "judged" },
      spec: { ...spec, containers: [{ ...CONTAINER, ...container }] },
    });
    return false;
  } catch (error) {
    assert.ok(error instanceof ApiError && /violates PodSecurity/.test(error.message), String(error));
    return true;
  }
}

scenario("check says that the API server refuses a token, or cannot be reached", {}, async (cluster) => {
  const path = join(cluster.folder, "wrong.kubeconfig");
  await Deno.writeTextFile(path, kubeconfig({ ...cluster.api.access, token: "wrong" }));
  const wrong = await check(cluster, { kubeconfig: path });
  assert.deepEqual([wrong.code, wrong.findings.length], [1, 2]);
  assert.match(only(wrong, "failed")[0]!.found, /does not accept the credentials/);
  await cluster.plane.killApiServer();
  const away = await check(cluster);
  assert.deepEqual([away.code, away.findings.length], [1, 2]);
  assert.match(only(away, "failed")[0]!.found, /connection was refused/);
});
