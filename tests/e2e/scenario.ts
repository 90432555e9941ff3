/**
 * The fixture of every end-to-end test: a control plane for the test's file, and for each test a namespace of its own
 * with the StatefulSet, its Service, a kubelet stand-in, a service account with exactly the documented rights, and a
 * timeline of what happened.
 *
 * Everything a test starts is ended with it. When a test fails, what the parts printed is added to its error. Runs
 * only inside the namespace that `run.ts` makes; outside it fails at once instead of leaving tests out.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { Build, type BuildOptions } from "./build.ts";
import { API_ADDRESS, API_PORT, ControlPlane, type ControlPlaneOptions } from "./control_plane.ts";
import { ApiError, KubeApi, kubeconfig, type KubeObject, scalePath, statefulSetPath } from "./kube_api.ts";
import { Kubelet } from "./kubelet.ts";
import { buildkitdRuntime, type PodRuntime } from "./pod_process.ts";
import { Program, type ProgramOptions } from "./program.ts";
import { type Builder, createHeadlessService, createStatefulSet } from "./stateful_sets.ts";
import { cgroupParent, programPath, surroundings } from "./surroundings.ts";
import { Timeline } from "./timeline.ts";
import { cleanUp, until } from "./waiting.ts";

const STATEFUL_SET = "buildkitd";
const SERVICE_ACCOUNT = "buildkitd-autoscaler";
/** The stand-in kubelet's Node. */
export const NODE = "node-1";

export { programPath };

/** Where the kubelet mounts a pod's service-account files. `run.ts` makes an empty `/run` for the suite. */
export const POD_FILES = "/run/secrets/kubernetes.io/serviceaccount";

/** One rule of a Role. */
export interface RbacRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** The rights that the documentation tells users to grant: no more, no less. */
export const DOCUMENTED_RULES: readonly RbacRule[] = [
  { apiGroups: ["apps"], resources: ["statefulsets"], verbs: ["list", "watch"] },
  { apiGroups: ["apps"], resources: ["statefulsets/scale"], verbs: ["get", "update", "patch"] },
  { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
  {
    apiGroups: ["coordination.k8s.io"],
    resources: ["leases"],
    verbs: ["get", "list", "watch", "create", "update", "delete"],
  },
  { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch"] },
];

/** The optional right to read pods. */
export const GET_PODS: RbacRule = { apiGroups: [""], resources: ["pods"], verbs: ["get"] };

/** What else whoever runs the program on a laptop needs. */
export const PORT_FORWARD_RULE: RbacRule = {
  apiGroups: [""],
  resources: ["pods/portforward"],
  verbs: ["get", "create"],
};

/** The real buildkitd, as pods run it. */
export function daemonRuntime(): PodRuntime {
  return buildkitdRuntime(programPath("buildkitd"), cgroupParent());
}

let planeOptions: Pick<ControlPlaneOptions, "hpa"> = {};

/** Says what the control plane of this test's file is to have beside the usual. */
export function controlPlane(options: typeof planeOptions): void {
  planeOptions = options;
}

/** A control plane in a folder of its own. */
async function startControlPlane(): Promise<ControlPlane> {
  const folder = await Deno.makeTempDir({ dir: surroundings().folder, prefix: "control-plane-" });
  return await ControlPlane.start({ folder, program: programPath, ...planeOptions });
}

let namespacesSoFar = 0;

/** A namespace for one test. Its name is new in this control plane. */
async function createNamespace(api: KubeApi): Promise<string> {
  const name = `e2e-${++namespacesSoFar}`;
  await api.create("/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name } });
  return name;
}

export interface ScenarioOptions {
  /** What runs in the pods; a real buildkitd unless said otherwise. */
  readonly runtime?: PodRuntime;
  /** The count that the StatefulSet is created with; 0 unless said otherwise. */
  readonly replicas?: number;
  /** The StatefulSets, if there is to be another than the one that the program's flags name. */
  readonly builders?: readonly Builder[];
}

/** What one test works with. */
export class Cluster {
  readonly namespace: string;
  readonly folder: string;
  readonly plane: ControlPlane;
  readonly kubelet: Kubelet;
  /** That of the first builder. */
  readonly timeline: Timeline;
  readonly #timelines: ReadonlyMap<string, Timeline>;
  readonly #programs: Program[] = [];
  readonly #builds: Build[] = [];
  readonly #siblings: Cluster[] = [];
  #kubeconfigPath = "";

  private constructor(
    plane: ControlPlane,
    namespace: string,
    folder: string,
    kubelet: Kubelet,
    builders: readonly Builder[],
  ) {
    this.plane = plane;
    this.namespace = namespace;
    this.folder = folder;
    this.kubelet = kubelet;
    this.#timelines = new Map(builders.map(({ name }) => [name, new Timeline(plane.api, namespace, name)]));
    this.timeline = this.timelineOf(builders[0]!.name);
  }

  static async create(plane: ControlPlane, options: ScenarioOptions): Promise<Cluster> {
    const { api } = plane;
    const namespace = await createNamespace(api);
    const folder = await Deno.makeTempDir({ dir: surroundings().folder, prefix: `${namespace}-` });
    const { runtime = daemonRuntime(), replicas = 0, builders = [{ name: STATEFUL_SET, replicas }] } =
      options;
    const kubelet = await Kubelet.start({ api, namespace, nodeName: NODE, runtime, folder });
    const cluster = new Cluster(plane, namespace, folder, kubelet, builders);
    try {
      for (const builder of builders) {
        await createHeadlessService(api, namespace, builder);
        await createStatefulSet(api, namespace, builder);
      }
      await cluster.#createServiceAccount();
      for (const builder of builders) {
        await cluster.timelineOf(builder.name).settle([builder.replicas ?? 0]);
      }
      return cluster;
    } catch (error) {
      await cluster.dispose();
      throw error;
    }
  }

  /** Another namespace with all that belongs to it, beside this one, for what is to happen at the same time. */
  async sibling(options: ScenarioOptions = {}): Promise<Cluster> {
    const sibling = await Cluster.create(this.plane, options);
    this.#siblings.push(sibling);
    return sibling;
  }

  get api(): KubeApi {
    return this.plane.api;
  }

  /** What happened to the StatefulSet of that name, which the test was made with. */
  timelineOf(builder: string): Timeline {
    const timeline = this.#timelines.get(builder);
    if (timeline === undefined) throw new Error(`Cannot tell of "${builder}": the test has no such builder`);
    return timeline;
  }

  /** The path of a kubeconfig with the rights of the program's service account. */
  get kubeconfigPath(): string {
    return this.#kubeconfigPath;
  }

  /** The name under which the API server knows the program. */
  get programUser(): string {
    return `system:serviceaccount:${this.namespace}:${SERVICE_ACCOUNT}`;
  }

  async #createServiceAccount(): Promise<void> {
    const { api, namespace } = this;
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
    await api.create(`/api/v1/namespaces/${namespace}/serviceaccounts`, {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: SERVICE_ACCOUNT },
    });
    await api.create(`${rbac}/roles`, {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "Role",
      metadata: { name: SERVICE_ACCOUNT },
      rules: DOCUMENTED_RULES,
    });
    await api.create(`${rbac}/rolebindings`, {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata: { name: SERVICE_ACCOUNT },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: SERVICE_ACCOUNT },
      subjects: [{ kind: "ServiceAccount", name: SERVICE_ACCOUNT, namespace }],
    });
    const token = await api.serviceAccountToken(namespace, SERVICE_ACCOUNT);
    this.#kubeconfigPath = join(this.folder, "service-account.kubeconfig");
    await Deno.writeTextFile(this.#kubeconfigPath, kubeconfig({ ...api.access, token }));
    // The authorizer learns of the binding by a watch of its own, a moment after it was written.
    await this.#untilAllowed(token, true);
  }

  /** Grants other rights than the documented ones, and waits until the API server acts on them. */
  async setRules(rules: readonly RbacRule[], probe: { readonly allowed: boolean }): Promise<void> {
    await this.api.patch(
      `/apis/rbac.authorization.k8s.io/v1/namespaces/${this.namespace}/roles/${SERVICE_ACCOUNT}`,
      { rules },
    );
    const token = await this.api.serviceAccountToken(this.namespace, SERVICE_ACCOUNT);
    await this.#untilAllowed(token, probe.allowed);
  }

  /** Waits until all documented rights are granted to the holder of `token`, or no longer all. */
  async #untilAllowed(token: string, wanted: boolean): Promise<void> {
    const checks = DOCUMENTED_RULES.flatMap((rule) =>
      rule.verbs.map((verb) => {
        const [resource, subresource] = (rule.resources[0] ?? "").split("/");
        return {
          namespace: this.namespace,
          verb,
          group: rule.apiGroups[0],
          resource,
          ...(subresource && { subresource }),
        };
      })
    );
    const asProgram = new KubeApi({ ...this.api.access, token });
    try {
      await until(`the rights of ${this.programUser} to take effect`, async () => {
        const answers = await Promise.all(
          checks.map((resourceAttributes) =>
            asProgram.create<{ status: { allowed: boolean } }>(
              "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
              {
                apiVersion: "authorization.k8s.io/v1",
                kind: "SelfSubjectAccessReview",
                spec: { resourceAttributes },
              },
            )
          ),
        );
        return answers.every((answer) => answer.status.allowed) === wanted;
      });
    } finally {
      asProgram.close();
    }
  }

  /** Starts the program with the service account's rights; `flags` come without their dashes. */
  startProgram(
    flags: Readonly<Record<string, string>> = {},
    options: Pick<ProgramOptions, "asInit" | "env" | "launch" | "listeners"> = {},
  ): Promise<Program> {
    return this.#startProgram({ kubeconfig: this.#kubeconfigPath, flags, ...options });
  }

  /** Starts the program with what a pod finds: the files that {@link mountToken} writes, and the API's address. */
  startProgramInPod(
    flags: Readonly<Record<string, string>>,
    options: Pick<ProgramOptions, "launch"> = {},
  ): Promise<Program> {
    const env = { KUBERNETES_SERVICE_HOST: API_ADDRESS, KUBERNETES_SERVICE_PORT: String(API_PORT) };
    return this.#startProgram({ env, flags, ...options });
  }

  async #startProgram(options: Omit<ProgramOptions, "namespace" | "logFile">): Promise<Program> {
    const program = await Program.start({
      namespace: this.namespace,
      logFile: join(this.folder, `program-${this.#programs.length + 1}.log`),
      ...options,
    });
    this.#programs.push(program);
    return program;
  }

  /** Puts a token of the service account where pods find theirs, in place of the one before, and gives it. */
  async mountToken(boundSecret: string): Promise<string> {
    await this.api.create(`/api/v1/namespaces/${this.namespace}/secrets`, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: boundSecret },
    });
    const token = await this.api.serviceAccountToken(this.namespace, SERVICE_ACCOUNT, boundSecret);
    await this.#writePodFiles(token);
    return token;
  }

  /** The same with a token that is valid for so long from now on, which may be shorter than the API server allows. */
  async mountTokenFor(validForMs: number): Promise<void> {
    const { metadata: { name, uid = "" } } = await this.api.get<KubeObject>(
      `/api/v1/namespaces/${this.namespace}/serviceaccounts/${SERVICE_ACCOUNT}`,
    );
    await this.#writePodFiles(
      await this.plane.signToken({ namespace: this.namespace, name, uid }, validForMs),
    );
  }

  async #writePodFiles(token: string): Promise<void> {
    await Deno.mkdir(POD_FILES, { recursive: true });
    const files = { token, "ca.crt": this.api.access.caPem, namespace: this.namespace };
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(join(POD_FILES, `.${name}`), text);
      await Deno.rename(join(POD_FILES, `.${name}`), join(POD_FILES, name));
    }
  }

  /** Deletes the Secret that a token is bound to, and waits until the API server refuses the token. */
  async revoke(token: string, boundSecret: string): Promise<void> {
    await this.api.delete(`/api/v1/namespaces/${this.namespace}/secrets/${boundSecret}`);
    const holder = new KubeApi({ ...this.api.access, token });
    try {
      await until("the token to be refused", async () => {
        const answer = await holder.get(scalePath(this.namespace, STATEFUL_SET)).catch((error) => error);
        return answer instanceof ApiError && answer.status === 401;
      }, { pollMs: 200 });
    } finally {
      holder.close();
    }
  }

  /** Takes the StatefulSet away, or makes it, for tests of what the program does without one. */
  deleteStatefulSet(name = STATEFUL_SET): Promise<void> {
    return this.api.delete(statefulSetPath(this.namespace, name));
  }

  createStatefulSet(name = STATEFUL_SET): Promise<void> {
    return createStatefulSet(this.api, this.namespace, { name });
  }

  /** Starts a real build through `program`, or at `address`, by `buildctl` unless said otherwise. */
  async build(
    program: Program | undefined,
    options: Partial<Pick<BuildOptions, "client" | "payloadBytes" | "address" | "tls" | "project">> = {},
  ): Promise<Build> {
    const client = options.client ?? "buildctl";
    const build = await Build.start({
      client,
      program: programPath(client),
      busybox: programPath("busybox"),
      address: program?.clientAddress ?? "",
      folder: this.folder,
      ...options,
    });
    this.#builds.push(build);
    return build;
  }

  replicas(name = STATEFUL_SET): Promise<number> {
    return this.api.replicas(this.namespace, name);
  }

  scale(replicas: number, name = STATEFUL_SET): Promise<void> {
    return this.api.scale(this.namespace, name, replicas);
  }

  /** Waits until no pod is left, not even a terminating one. */
  async untilNoPods(): Promise<void> {
    await until("all pods to be removed", () => this.kubelet.podCount === 0, {
      explain: () => this.report(),
    });
  }

  /** With JSON logs, everything on standard error is a record: a warning of the runtime is a fault, too. */
  assertCleanLogs(): void {
    for (const program of this.#programs) assert.deepEqual(program.strayLines, []);
    for (const sibling of this.#siblings) sibling.assertCleanLogs();
  }

  /** What everything printed, for the report of a failure. */
  report(): string {
    const start = this.kubelet.history[0]?.atMs ?? 0;
    const history = this.kubelet.history.map((entry) =>
      `${(entry.atMs - start).toFixed(0).padStart(7)} ms  ${entry.pod} ${
        entry.uid.slice(0, 8)
      } ${entry.what} ${entry.detail ?? ""}`
    );
    const counts = [...this.#timelines].flatMap(([name, { replicas }]) =>
      replicas.map((entry) =>
        `${(entry.atMs - start).toFixed(0).padStart(7)} ms  ${name} replicas ${entry.replicas}`
      )
    );
    return [
      "--- pods",
      ...history,
      "--- replicas",
      ...counts,
      ...this.#builds.map((build) => build.tail()),
      ...this.#programs.map((program) => program.tail()),
      ...this.#siblings.flatMap((sibling) => [`--- beside it: ${sibling.namespace}`, sibling.report()]),
      this.plane.tails(),
    ].join("\n");
  }

  /** Ends everything that the test started; what it did to the API server is undone. */
  async dispose(): Promise<void> {
    await cleanUp(
      ...this.#siblings.map((sibling) => () => sibling.dispose()),
      ...this.#builds.map((build) => () => build.dispose()),
      ...this.#programs.map((program) => () => program.kill()),
      () => this.plane.thawApiServer(),
      () => this.plane.apiServerGone ? this.plane.restartApiServer() : undefined,
      ...[...this.#timelines.values()].map((timeline) => () => timeline.stop()),
      () => this.api.delete(statefulSetPath(this.namespace), { propagationPolicy: "Background" }),
      () => this.kubelet.stop(),
      // With nobody left to end them, the pods would keep their namespace for ever.
      () => this.api.delete(`/api/v1/namespaces/${this.namespace}/pods`, { gracePeriodSeconds: 0 }),
      () => this.api.delete(`/api/v1/namespaces/${this.namespace}`),
    );
  }
}

let plane: ControlPlane;

Deno.test.beforeAll(async () => {
  plane = await startControlPlane();
});

Deno.test.afterAll(async () => {
  await plane?.stop();
});

/** Registers a test. The sanitizers are off: the fixture's watches outlive single tests by design. */
export function scenario(
  title: string,
  options: ScenarioOptions,
  run: (cluster: Cluster) => Promise<void>,
): void {
  Deno.test({
    name: title,
    sanitizeOps: false,
    sanitizeResources: false,
    sanitizeExit: false,
    fn: async () => {
      const cluster = await Cluster.create(plane, options);
      try {
        await run(cluster);
        cluster.assertCleanLogs();
      } catch (error) {
        Deno.stdout.writeSync(new TextEncoder().encode(`\n=== ${title}\n${cluster.report()}\n===\n`));
        throw error;
      } finally {
        await cluster.dispose();
      }
    },
  });
}

/** Restarts the API server of this test's file, so that it knows nothing of the versions before. */
export function restartApiServer(): Promise<void> {
  return plane.restartApiServer();
}

/**
 * The API server of this test's file as its contract tests want it: a user with all rights, a fresh namespace. Its
 * `expiredVersion` holds after {@link restartApiServer}.
 */
export async function contractTarget() {
  const namespace = await createNamespace(plane.api);
  return { ...plane.api.access, namespace, hasControllers: true, expiredVersion: "1" };
}
