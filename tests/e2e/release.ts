/**
 * The fixture of the chart's tests: a control plane that runs Deployments, and for each test a namespace with a kubelet
 * stand-in that runs every pod for real, and helm to install the chart into it.
 *
 * Clients connect to a ready autoscaler pod of the Service's EndpointSlices, since there is no proxy for Service
 * addresses. Everything a test starts is ended with it, and a failed test shows what the parts printed.
 *
 * @module
 */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { Build, type BuildOptions } from "./build.ts";
import { autoscalerImage, buildkitdImage, type ImageTable } from "./containers/image.ts";
import type { Pod, PodSpec } from "./containers/pod_spec.ts";
import { containerRuntime } from "./containers/runtime.ts";
import { ControlPlane } from "./control_plane.ts";
import { CHART, Helm, type HelmName, type HelmResult, type Values } from "./helm.ts";
import type { KubeApi, KubeObject } from "./kube_api.ts";
import { Kubelet } from "./kubelet.ts";
import { collectionPath, discover } from "./manifests.ts";
import { ROUTED_PODS } from "./pod_run.ts";
import type { LogRecord } from "./program.ts";
import { cgroupParent, programPath, surroundings } from "./surroundings.ts";
import { Timeline } from "./timeline.ts";
import { until } from "./waiting.ts";

/** The release's name. Those of its objects follow from it in the chart; here they are read. */
export const RELEASE = "builders";
const NODE = "node-1";

/** Values in which an idle builder soon goes, with others for the two halves of the chart. */
export function quick(autoscaler: Values = {}, buildkitd: Values = {}): Values {
  return {
    autoscaler: {
      ...autoscaler,
      autoscalerConfig: { scaleDownIdleTimeout: "2s", ...autoscaler.autoscalerConfig as Values | undefined },
    },
    buildkitd,
  };
}

function images(): ImageTable {
  const buildkit = dirname(programPath("buildkitd"));
  return {
    "ghcr.io/earthbuild/buildkitd-autoscaler": autoscalerImage(programPath("buildkitd-autoscaler")),
    "moby/buildkit": buildkitdImage(buildkit, ["buildkitd"]),
    "earthly/buildkitd": buildkitdImage(buildkit, [
      ...["sh", "-ec", EARTH_ENTRY, "entrypoint.sh"],
      ...["buildkitd", "--config=/etc/buildkitd.toml"],
    ]),
  };
}

/** What that image's entry point does with what the chart gives it: it makes a configuration, and runs the rest. */
const EARTH_ENTRY = `{
  echo 'root = "/tmp/earthly/buildkit"'
  echo "$EARTHLY_ADDITIONAL_BUILDKIT_CONFIG"
  [ "$BUILDKIT_TCP_TRANSPORT_ENABLED" != true ] || printf '[grpc]\\naddress = [ "tcp://0.0.0.0:8372" ]\\n'
} > /etc/buildkitd.toml
exec "$@"`;

let plane: ControlPlane;
let folder: string;

Deno.test.beforeAll(async () => {
  folder = await Deno.makeTempDir({ dir: surroundings().folder, prefix: "control-plane-" });
  plane = await ControlPlane.start({ folder, program: programPath, workloads: true });
});

Deno.test.afterAll(async () => {
  await plane?.stop();
});

let namespacesSoFar = 0;

/** A Deployment or a StatefulSet. */
export interface Workload extends KubeObject {
  readonly spec: { readonly replicas: number; readonly template: { readonly spec: PodSpec } };
}

export interface ReleaseOptions {
  readonly helm?: HelmName;
  /** The namespace's name, if it matters. */
  readonly namespace?: string;
  /** Labels of the namespace. */
  readonly labels?: Readonly<Record<string, string>>;
  /** The autoscaler is to run in a namespace of its own, which the chart makes. */
  readonly split?: boolean;
}

/** A namespace for one release, and all that runs in it. */
export class Release {
  /** The release's, in which buildkitd runs. */
  readonly namespace: string;
  /** The one that the autoscaler runs in. */
  readonly autoscalerNamespace: string;
  readonly folder: string;
  readonly helm: Helm;
  /** Runs the pods of {@link namespace}. */
  readonly kubelet: Kubelet;
  /** Runs the pods of {@link autoscalerNamespace}. */
  readonly autoscalerKubelet: Kubelet;
  readonly #builds: Build[] = [];
  readonly #phases: string[] = [];
  #phaseStartedMs = performance.now();
  #timeline: Timeline | undefined;

  private constructor(
    namespaces: readonly [release: string, autoscaler: string],
    kubelets: readonly [release: Kubelet, autoscaler: Kubelet],
    own: string,
    helm: Helm,
  ) {
    [this.namespace, this.autoscalerNamespace] = namespaces;
    [this.kubelet, this.autoscalerKubelet] = kubelets;
    this.folder = own;
    this.helm = helm;
  }

  static async create(options: ReleaseOptions): Promise<Release> {
    const namespace = options.namespace ?? `chart-${++namespacesSoFar}`;
    const autoscalerNamespace = options.split ? `${namespace}-front` : namespace;
    const { api } = plane;
    const { helm = "helm", labels = {} } = options;
    await api.create("/api/v1/namespaces", {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: namespace, labels },
    });
    const own = await Deno.makeTempDir({ dir: surroundings().folder, prefix: `${namespace}-` });
    // Pods may be any user: what is shown to them must be open to all.
    await Deno.chmod(own, 0o755);
    const runtime = containerRuntime({
      api,
      images: images(),
      cgroupParent: cgroupParent(),
      folder: own,
    });
    const common = { api, nodeName: NODE, runtime, folder: own, subnet: ROUTED_PODS };
    const kubelet = await Kubelet.start({ ...common, namespace });
    return new Release(
      [namespace, autoscalerNamespace],
      [
        kubelet,
        options.split ? await Kubelet.start({ ...common, namespace: autoscalerNamespace }) : kubelet,
      ],
      own,
      new Helm(helm, own, join(folder, "admin.kubeconfig")),
    );
  }

  get api(): KubeApi {
    return plane.api;
  }

  get plane(): ControlPlane {
    return plane;
  }

  /** Notes how long what was done since the last phase took, for the test's output. */
  phase(name: string): void {
    const nowMs = performance.now();
    this.#phases.push(`${name} ${((nowMs - this.#phaseStartedMs) / 1000).toFixed(1)} s`);
    this.#phaseStartedMs = nowMs;
  }

  get phases(): string {
    return this.#phases.join(", ");
  }

  /** `helm install --wait`, and what helm printed. */
  async install(values: Values = {}, ...flags: readonly string[]): Promise<string> {
    const printed = await this.helm.run(
      ["install", RELEASE, CHART, "--namespace", this.namespace, "--wait", "--timeout=80s", ...flags],
      values,
    );
    await this.watch();
    return printed;
  }

  /** Begins to note what becomes of the StatefulSet that was installed. */
  async watch(): Promise<void> {
    this.#timeline = new Timeline(this.api, this.namespace, (await this.statefulSet()).metadata.name);
  }

  /** Applies objects as `kubectl apply --server-side` and GitOps tools do. */
  async apply(objects: readonly KubeObject[], fieldManager: string): Promise<void> {
    const resources = await discover(this.api);
    for (const object of objects) {
      const path = `${collectionPath(resources, object, this.namespace)}/${object.metadata.name}`;
      await this.api.apply(path, object, fieldManager);
    }
  }

  /** `helm upgrade`, without `--wait` unless it is among the flags. */
  upgrade(values: Values, ...flags: readonly string[]): Promise<string> {
    return this.helm.run(["upgrade", RELEASE, CHART, "--namespace", this.namespace, ...flags], values);
  }

  rollback(revision: number, ...flags: readonly string[]): Promise<string> {
    return this.helm.run(["rollback", RELEASE, String(revision), "--namespace", this.namespace, ...flags]);
  }

  /** A rollback that may fail. */
  tryRollback(revision: number): Promise<HelmResult> {
    return this.helm.outcome(["rollback", RELEASE, String(revision), "--namespace", this.namespace]);
  }

  uninstall(...flags: readonly string[]): Promise<string> {
    return this.helm.run(["uninstall", RELEASE, "--namespace", this.namespace, ...flags]);
  }

  get timeline(): Timeline {
    if (this.#timeline === undefined) throw new Error("Cannot show a timeline: nothing was installed");
    return this.#timeline;
  }

  /** The objects of one kind in the namespace; `collection` as in `/apis/apps/v1 deployments`. */
  async list<T extends KubeObject = KubeObject>(
    collection: string,
    namespace: string = this.namespace,
  ): Promise<readonly T[]> {
    const [group, resource] = collection.split(" ");
    const { items } = await this.api.get<{ items: T[] }>(`${group}/namespaces/${namespace}/${resource}`);
    return items;
  }

  /** The one StatefulSet of the release. */
  async statefulSet(): Promise<Workload> {
    const [found, ...others] = await this.list<Workload>("/apis/apps/v1 statefulsets");
    assert.ok(found !== undefined && others.length === 0, "the chart has one StatefulSet");
    return found;
  }

  /** The pods of the Deployment, or with `"StatefulSet"` those of buildkitd, in no order. */
  async pods(of: "ReplicaSet" | "StatefulSet"): Promise<readonly Pod[]> {
    const namespace = of === "StatefulSet" ? this.namespace : this.autoscalerNamespace;
    const pods = await this.list<Pod>("/api/v1 pods", namespace);
    return pods.filter(({ metadata }) => {
      const owners = (metadata as { ownerReferences?: readonly { readonly kind: string }[] }).ownerReferences;
      return owners?.some(({ kind }) => kind === of);
    });
  }

  /** The autoscaler pods that the Service sends clients to: address and name. */
  async endpoints(): Promise<readonly { readonly address: string; readonly pod: string }[]> {
    const slices = await this.list(
      "/apis/discovery.k8s.io/v1 endpointslices",
      this.autoscalerNamespace,
    ) as unknown as readonly {
      readonly ports?: readonly { readonly name: string; readonly port: number }[];
      readonly endpoints?: readonly {
        readonly addresses: readonly string[];
        readonly conditions: { readonly ready?: boolean };
        readonly targetRef?: { readonly name: string };
      }[];
    }[];
    const autoscalers = new Set((await this.pods("ReplicaSet")).map(({ metadata }) => metadata.name));
    return slices.flatMap(({ ports, endpoints }) =>
      (endpoints ?? [])
        .filter(({ conditions, targetRef }) => conditions.ready && autoscalers.has(targetRef?.name ?? ""))
        .map(({ addresses, targetRef }) => ({
          address: `tcp://${addresses[0]}:${ports?.find(({ name }) => name === "tcp-buildkit")?.port}`,
          pod: targetRef?.name ?? "",
        }))
    );
  }

  /** Waits until the Service has so many ready autoscaler pods, none of them one of `not`, and gives them. */
  untilEndpoints(count: number, not: readonly string[] = []) {
    return until(`${count} ready autoscaler pods`, async () => {
      const found = await this.endpoints();
      return found.length === count && !found.some(({ pod }) => not.includes(pod)) && found;
    }, { explain: () => this.report() });
  }

  /** Deletes an autoscaler pod, and gives the name of the one that takes its place, ready or not. */
  async replaceAutoscaler(pod: string): Promise<string> {
    const before = (await this.pods("ReplicaSet")).map(({ metadata }) => metadata.name);
    await this.api.delete(`/api/v1/namespaces/${this.autoscalerNamespace}/pods/${pod}`);
    return await until(`a pod in the place of ${pod}`, async () => {
      const now = await this.pods("ReplicaSet");
      return now.map(({ metadata }) => metadata.name).find((name) => !before.includes(name));
    }, { explain: () => this.report() });
  }

  /** Starts a real build through an autoscaler pod; a ready one of the Service unless it is named. */
  async build(
    address?: string,
    options: Partial<Pick<BuildOptions, "client" | "payloadBytes">> = {},
  ): Promise<Build> {
    const client = options.client ?? "buildctl";
    const build = await Build.start({
      client,
      program: programPath(client),
      busybox: programPath("busybox"),
      address: address ?? await this.#anyAddress(),
      folder: this.folder,
      ...options,
    });
    this.#builds.push(build);
    return build;
  }

  /** Where a client would be sent by the Service. */
  #anyAddress(): Promise<string> {
    return until("a ready autoscaler pod", async () => (await this.endpoints())[0]?.address, {
      explain: () => this.report(),
    });
  }

  /** What the program in a pod has logged so far. */
  async records(pod: string): Promise<readonly LogRecord[]> {
    const text = await Deno.readTextFile(join(this.folder, `${pod}.log`)).catch(() => "");
    return text.split("\n").filter((line) => line.startsWith("{")).map((line) =>
      JSON.parse(line) as LogRecord
    );
  }

  /** The name under which the API server knows the program. */
  async programUser(): Promise<string> {
    const namespace = this.autoscalerNamespace;
    const [deployment] = await this.list<Workload>("/apis/apps/v1 deployments", namespace);
    return `system:serviceaccount:${namespace}:${deployment?.spec.template.spec.serviceAccountName}`;
  }

  /** Waits until no buildkitd pod is left, not even a terminating one. */
  async untilBuildkitdGone(): Promise<void> {
    await until("buildkitd's pods to be removed", async () => (await this.pods("StatefulSet")).length === 0, {
      explain: () => this.report(),
    });
  }

  /** Waits until no pod is left, not even a terminating one. */
  async untilNoPods(): Promise<void> {
    await until(
      "all pods to be removed",
      () => this.#kubelets.every(({ podCount }) => podCount === 0),
      { explain: () => this.report() },
    );
  }

  get #kubelets(): readonly Kubelet[] {
    return [...new Set([this.kubelet, this.autoscalerKubelet])];
  }

  /** Asks a pod over HTTP, as the kubelet would. */
  async probe(podName: string, port: number, path: string) {
    const ip = await until(`${podName} to have an address`, async () => {
      const pod = (await this.pods("ReplicaSet")).find(({ metadata }) => metadata.name === podName);
      return pod?.status?.podIP;
    });
    const response = await fetch(`http://${ip}:${port}${path}`, { signal: AbortSignal.timeout(5_000) });
    return { status: response.status, body: await response.text() };
  }

  /** What everything printed, for the report of a failure. */
  report(): string {
    const all = this.#kubelets.flatMap((kubelet) => kubelet.history).sort((a, b) => a.atMs - b.atMs);
    const start = all[0]?.atMs ?? 0;
    const history = all.map(({ atMs, pod, uid, what, detail = "" }) =>
      `${(atMs - start).toFixed(0).padStart(7)} ms  ${pod} ${uid.slice(0, 8)} ${what} ${detail}`
    );
    const counts = this.#timeline?.replicas.map(({ atMs, replicas }) =>
      `${(atMs - start).toFixed(0).padStart(7)} ms  replicas ${replicas}`
    );
    const logs = [...new Set(all.map(({ pod }) => pod))].map((pod) => {
      const path = join(this.folder, `${pod}.log`);
      try {
        return `--- ${path}\n${Deno.readTextFileSync(path).trimEnd().split("\n").slice(-30).join("\n")}`;
      } catch {
        return `--- ${path}: nothing`;
      }
    });
    return [
      ...["--- pods", ...history, "--- replicas", ...counts ?? []],
      ...this.#builds.map((build) => build.tail()),
      ...logs,
      plane.tails(),
    ].join("\n");
  }

  async dispose(): Promise<void> {
    for (const build of this.#builds) await build.dispose();
    await this.#timeline?.stop();
    const namespaces = [...new Set([this.namespace, this.autoscalerNamespace])];
    for (const namespace of namespaces) {
      for (const kind of ["statefulsets", "deployments"]) {
        await this.api.delete(`/apis/apps/v1/namespaces/${namespace}/${kind}`, {
          propagationPolicy: "Background",
        });
      }
    }
    for (const kubelet of this.#kubelets) await kubelet.stop();
    for (const namespace of namespaces) {
      // With nobody left to end them, the pods would keep their namespace for ever.
      await this.api.delete(`/api/v1/namespaces/${namespace}/pods`, { gracePeriodSeconds: 0 });
      await this.api.delete(`/api/v1/namespaces/${namespace}`);
    }
  }
}

/** Registers a test of the chart. The sanitizers are off: the fixture's watches outlive single tests by design. */
export function releaseScenario(
  title: string,
  options: ReleaseOptions,
  run: (release: Release) => Promise<void>,
): void {
  Deno.test({
    name: title,
    sanitizeOps: false,
    sanitizeResources: false,
    sanitizeExit: false,
    fn: async () => {
      const release = await Release.create(options);
      const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
      try {
        await run(release);
        if (release.phases !== "") say(`\n  ${release.phases}`);
      } catch (error) {
        say(`\n=== ${title}\n${release.report()}\n===`);
        throw error;
      } finally {
        await release.dispose();
      }
    },
  });
}
