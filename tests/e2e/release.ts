/**
 * The fixture of the chart's tests: a control plane that runs Deployments, and for each test a namespace with a kubelet
 * stand-in that runs every pod for real, and helm to install the chart into it.
 *
 * Clients connect to a ready autoscaler pod of the Service's EndpointSlices, since there is no proxy for Service
 * addresses. Everything a test starts is ended with it, and a failed test shows what the parts printed.
 *
 * @module
 */

import { join } from "node:path";
import { Build, type BuildOptions } from "./build.ts";
import { imagesOf, type ImageSource, standInImages } from "./containers/image.ts";
import { containerRuntime } from "./containers/runtime.ts";
import { defaultSeccomp } from "./containers/runtime_config.ts";
import { ControlPlane } from "./control_plane.ts";
import { CHART, Helm, type HelmName, type HelmResult, type Values } from "./helm.ts";
import type { KubeObject } from "./kube_api.ts";
import { Kubelet } from "./kubelet.ts";
import { collectionPath, discover } from "./manifests.ts";
import { ROUTED_PODS } from "./pod_run.ts";
import { ReleaseObjects, type ReleasePlace } from "./release_objects.ts";
import { cgroupParent, programPath, surroundings } from "./surroundings.ts";
import { Timeline } from "./timeline.ts";
import { cleanUp, until } from "./waiting.ts";

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

let plane: ControlPlane;
let folder: string;

Deno.test.beforeAll(async () => {
  folder = await Deno.makeTempDir({ dir: surroundings().folder, prefix: "control-plane-" });
  plane = await ControlPlane.start({ folder, program: programPath, workloads: true });
});

Deno.test.afterAll(async () => {
  await plane?.stop();
});

function kubeconfigPath(): string {
  return join(folder, "admin.kubeconfig");
}

let namespacesSoFar = 0;

export interface ReleaseOptions {
  readonly helm?: HelmName;
  /** The namespace's name, if it matters. */
  readonly namespace?: string;
  /** Labels of the namespace. */
  readonly labels?: Readonly<Record<string, string>>;
  /** The autoscaler is to run in a namespace of its own, which the chart makes. */
  readonly split?: boolean;
  /** The namespace is made by the test's own commands. */
  readonly withoutNamespace?: boolean;
  /** Where pods get their images; the stand-ins unless said otherwise. */
  readonly images?: ImageSource;
}

/** A namespace for one release, and all that runs in it. */
export class Release extends ReleaseObjects {
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
    place: ReleasePlace,
    kubelets: readonly [release: Kubelet, autoscaler: Kubelet],
    helm: Helm,
  ) {
    super(place);
    [this.kubelet, this.autoscalerKubelet] = kubelets;
    this.helm = helm;
  }

  static async create(options: ReleaseOptions): Promise<Release> {
    const namespace = options.namespace ?? `chart-${++namespacesSoFar}`;
    const autoscalerNamespace = options.split ? `${namespace}-front` : namespace;
    const { api } = plane;
    const { helm = "helm", labels = {} } = options;
    if (!options.withoutNamespace) {
      await api.create("/api/v1/namespaces", {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name: namespace, labels },
      });
    }
    const own = await Deno.makeTempDir({ dir: surroundings().folder, prefix: `${namespace}-` });
    // Pods may be any user: what is shown to them must be open to all.
    await Deno.chmod(own, 0o755);
    const runtime = containerRuntime({
      api,
      images: options.images ?? imagesOf(standInImages(programPath)),
      seccomp: await defaultSeccomp(programPath("seccomp-profile")),
      cgroupParent: cgroupParent(),
      folder: own,
    });
    const common = { api, nodeName: NODE, runtime, folder: own, subnet: ROUTED_PODS };
    const kubelet = await Kubelet.start({ ...common, namespace });
    return new Release(
      { api, namespace, autoscalerNamespace, folder: own },
      [
        kubelet,
        options.split ? await Kubelet.start({ ...common, namespace: autoscalerNamespace }) : kubelet,
      ],
      new Helm(helm, own, kubeconfigPath()),
    );
  }

  get plane(): ControlPlane {
    return plane;
  }

  /** The path of an administrator's kubeconfig. */
  get kubeconfig(): string {
    return kubeconfigPath();
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

  /** An upgrade that may fail. */
  tryUpgrade(values: Values): Promise<HelmResult> {
    return this.helm.outcome(["upgrade", RELEASE, CHART, "--namespace", this.namespace], values);
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

  /** Waits until the StatefulSet has that count. */
  async untilCount(replicas: number): Promise<void> {
    await until(`a count of ${replicas}`, async () => (await this.statefulSet()).spec.replicas === replicas, {
      explain: () => this.report(),
    });
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

  /** What the proxies say of themselves, for the report of a failure. */
  async health(): Promise<string> {
    const pods = await this.pods("ReplicaSet").catch(() => []);
    const texts = pods.map(async ({ metadata: { name }, status }) => {
      const url = `http://${status?.podIP}:8081/healthz?verbose`;
      const text = await fetch(url, { signal: AbortSignal.timeout(5_000) }).then((it) => it.text(), String);
      return `--- ${name}: /healthz?verbose\n${text.trimEnd()}`;
    });
    return (await Promise.all(texts)).join("\n");
  }

  async dispose(): Promise<void> {
    const namespaces = [...new Set([this.namespace, this.autoscalerNamespace])];
    const owners = namespaces.flatMap((namespace) =>
      ["statefulsets", "deployments"].map((kind) => `/apis/apps/v1/namespaces/${namespace}/${kind}`)
    );
    await cleanUp(
      ...this.#builds.map((build) => () => build.dispose()),
      () => this.#timeline?.stop(),
      ...owners.map((path) => () => this.api.delete(path, { propagationPolicy: "Background" })),
      ...this.#kubelets.map((kubelet) => () => kubelet.stop()),
      // With nobody left to end them, the pods would keep their namespace for ever.
      ...namespaces.flatMap((namespace) => [
        () => this.api.delete(`/api/v1/namespaces/${namespace}/pods`, { gracePeriodSeconds: 0 }),
        () => this.api.delete(`/api/v1/namespaces/${namespace}`),
      ]),
    );
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
        say(`\n=== ${title}\n${release.report()}\n${await release.health()}\n===`);
        throw error;
      } finally {
        await release.dispose();
      }
    },
  });
}
