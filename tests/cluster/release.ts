/**
 * The chart on the cluster: installed by helm into a namespace of its own, with what a test asks about it.
 *
 * A failed test shows pods, Events and logs. The namespace is removed with everything in it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { cleanUp, until } from "../e2e/waiting.ts";
import { ClientBuild } from "./client.ts";
import { apply, CHART, helm, kubectl, outcome, program } from "./commands.ts";

/** The image of the checkout in the cluster's registry. */
const IMAGE = { repository: "registry.example.com/team/buildkitd-autoscaler", tag: "dev" };

/** Values of a chart. */
export type Values = { readonly [name: string]: unknown };

/** The part of a pod that tests look at. */
export interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  readonly status: {
    readonly phase: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly restartCount: number; readonly containerID?: string }[];
  };
}

/** An Event of the namespace. */
export interface KubeEvent {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly involvedObject: { readonly kind: string; readonly name: string };
}

/** One line of the program's log. */
export type LogRecord = Readonly<Record<string, unknown>> & { readonly code: string };

export const PROXY = "app.kubernetes.io/component=autoscaler";
export const BUILDER = "app.kubernetes.io/component=buildkitd";

/** The name of the proxies' Deployment and Service, and of the builder. */
const NAME = "buildkitd";
export const STATEFUL_SET = "builders-buildkitd-stack-buildkitd";

export class Release {
  readonly namespace: string;
  /** Restricted, if the proxies have a namespace of their own. */
  readonly proxyNamespace: string;

  private constructor(namespace: string, proxyNamespace: string) {
    this.namespace = namespace;
    this.proxyNamespace = proxyNamespace;
  }

  /** Makes the namespaces, in which nothing is installed yet. */
  static async create(name: string, { split = false } = {}): Promise<Release> {
    const release = new Release(name, split ? `${name}-front` : name);
    await release.dispose();
    const enforce = (namespace: string, level: string) => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: namespace, labels: { "pod-security.kubernetes.io/enforce": level } },
    });
    await apply(enforce(name, "privileged"), ...split ? [enforce(release.proxyNamespace, "restricted")] : []);
    return release;
  }

  /** A namespace that the test's own commands make; what an earlier run has left of it is removed. */
  static async named(name: string): Promise<Release> {
    const release = new Release(name, name);
    await release.dispose();
    return release;
  }

  /** As clients inside the cluster write it. */
  get address(): string {
    return `tcp://${NAME}.${this.proxyNamespace}.svc:8372`;
  }

  /** The values of all tests, with a short idle time-out and without a volume, and those of one. */
  async #valuesFile(values: Values): Promise<string> {
    const { autoscaler = {}, buildkitd = {}, ...others } = values as Record<string, Values>;
    const { autoscalerConfig = {}, ...ofAutoscaler } = autoscaler as Record<string, Values>;
    const file = await Deno.makeTempFile({ suffix: ".json" });
    await Deno.writeTextFile(
      file,
      JSON.stringify({
        autoscaler: {
          image: IMAGE,
          fullnameOverride: NAME,
          autoscalerConfig: { logLevel: "info", scaleDownIdleTimeout: "5s", ...autoscalerConfig },
          ...this.proxyNamespace === this.namespace ? {} : { separateNamespace: this.proxyNamespace },
          // Enough for a machine that does much else; the default is for one that does not.
          startupProbe: { initialDelaySeconds: 3 },
          ...ofAutoscaler,
        },
        buildkitd: { preset: "moby", persistence: { enabled: false }, ...buildkitd },
        ...others,
      }),
    );
    return file;
  }

  async #helm(verb: string, values: Values): Promise<void> {
    const file = await this.#valuesFile(values);
    await helm(
      verb,
      "builders",
      CHART,
      "--namespace",
      this.namespace,
      "--values",
      file,
      "--wait",
      "--timeout=120s",
    );
    await Deno.remove(file);
  }

  install(values: Values = {}): Promise<void> {
    return this.#helm("install", values);
  }

  /** An upgrade to these values, which waits until the new pods are ready. */
  upgrade(values: Values): Promise<void> {
    return this.#helm("upgrade", values);
  }

  /** Starts a build through the proxies' Service, by a client in a pod. */
  build(): Promise<ClientBuild> {
    return ClientBuild.start(this.namespace, this.address);
  }

  async #list<T>(kind: string, namespace: string, ...args: readonly string[]): Promise<readonly T[]> {
    return JSON.parse(await kubectl("get", kind, "--namespace", namespace, "--output=json", ...args)).items;
  }

  proxies(): Promise<readonly Pod[]> {
    return this.#list<Pod>("pods", this.proxyNamespace, "--selector", PROXY);
  }

  builders(): Promise<readonly Pod[]> {
    return this.#list<Pod>("pods", this.namespace, "--selector", BUILDER);
  }

  /** Waits until there are so many ready proxies and no other, and gives them. */
  async untilProxies(count: number): Promise<readonly Pod[]> {
    return await until(`${count} ready proxies`, async () => {
      const pods = await this.proxies();
      return pods.length === count && pods.every(Release.isReady) && pods;
    }, { pollMs: 200 });
  }

  /** What `/healthz?verbose` of a proxy says. */
  status(pod: string): Promise<string> {
    const path = `/api/v1/namespaces/${this.proxyNamespace}/pods/${pod}:8081/proxy/healthz?verbose`;
    return kubectl("get", `--raw=${path}`);
  }

  /** Waits until no pod of the builder is left. */
  async untilNoBuilder(): Promise<void> {
    await until("the builder to be gone", async () => (await this.builders()).length === 0, { pollMs: 200 });
  }

  async replicas(): Promise<number> {
    const path = ["get", "statefulset", STATEFUL_SET, "--namespace", this.namespace];
    return Number(await kubectl(...path, "--output=jsonpath={.spec.replicas}"));
  }

  /** The Events of both namespaces. */
  async events(): Promise<readonly KubeEvent[]> {
    const namespaces = new Set([this.namespace, this.proxyNamespace]);
    return (await Promise.all([...namespaces].map((namespace) => this.#list<KubeEvent>("events", namespace))))
      .flat();
  }

  /**
   * No warning was recorded about the pods of the release. The kubelet goes on probing until it has removed the pod's
   * network; a probe that does not get through to a pod that is gone by now is no warning of ours.
   */
  async assertNoWarnings(): Promise<void> {
    const present = [...await this.proxies(), ...await this.builders()].map(({ metadata }) => metadata.name);
    const warnings = (await this.events()).filter(({ type, message, involvedObject: { name } }) =>
      type !== "Normal" && !name.startsWith("client-") &&
      (present.includes(name) || !/ refused|deadline exceeded|no route/.test(message))
    );
    assert.deepEqual(
      warnings.map(({ reason, message, involvedObject: { kind, name } }) =>
        `${kind} ${name}: ${reason} ${message}`
      ),
      [],
    );
  }

  /** The log of a proxy, or of the container before its last restart. */
  async log(pod: string, ...args: readonly string[]): Promise<readonly LogRecord[]> {
    const text = await kubectl("logs", pod, "--namespace", this.proxyNamespace, ...args);
    return text.trim().split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  }

  /** Whether a pod is ready and was not told to end. */
  static isReady(pod: Pod): boolean {
    return pod.metadata.deletionTimestamp === undefined &&
      (pod.status.conditions ?? []).some(({ type, status }) => type === "Ready" && status === "True");
  }

  /** How often the containers of a pod were restarted. */
  static restarts(pod: Pod): number {
    return (pod.status.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0);
  }

  /** Pods, Events and logs, for the report of a failure. */
  async report(): Promise<string> {
    const parts: string[] = [];
    const ask = async (...args: readonly string[]) => {
      const { output } = await outcome(program("kubectl"), args);
      parts.push(`--- kubectl ${args.join(" ")}\n${output}`);
    };
    for (const namespace of new Set([this.namespace, this.proxyNamespace])) {
      await ask("get", "pods,statefulsets,endpointslices", "--output=wide", "--namespace", namespace);
      await ask("events", "--namespace", namespace);
      await ask("logs", "--selector", PROXY, "--prefix", "--tail=60", "--namespace", namespace);
    }
    return parts.join("\n");
  }

  /** Removes the namespaces; pods that wait for builds are killed. */
  async dispose(): Promise<void> {
    for (const namespace of new Set([this.namespace, this.proxyNamespace])) {
      const force = ["--all", "--namespace", namespace, "--grace-period=0", "--force", "--wait=false"];
      await cleanUp(
        () =>
          kubectl("delete", "deployments,statefulsets", "--all", "--namespace", namespace, "--wait=false"),
        () => kubectl("delete", "pods", ...force),
        () => kubectl("delete", "namespace", namespace, "--ignore-not-found", "--timeout=60s"),
      );
    }
  }
}

/** Registers a test on the cluster with a release of its own; the name is that of the namespace. */
export function groundTest(
  title: string,
  options: { readonly namespace: string; readonly split?: boolean },
  run: (release: Release) => Promise<void>,
): void {
  Deno.test({
    name: title,
    // Clients in pods outlive single calls.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      const release = await Release.create(options.namespace, options);
      try {
        await run(release);
      } catch (error) {
        const report = await release.report();
        Deno.stdout.writeSync(new TextEncoder().encode(`\n=== ${title}\n${report}\n===\n`));
        throw error;
      } finally {
        await release.dispose();
      }
    },
  });
}
