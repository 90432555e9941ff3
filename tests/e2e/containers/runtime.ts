/**
 * What the kubelet stand-in does to run a pod for real: network, volumes, environment, containers, probes and hooks.
 *
 * A container that is started again gets its pod's address again. Whatever cannot be prepared counts as a container that
 * ended at once, as on a real node, and is tried again. One container a pod, and none but plain init containers.
 *
 * @module
 */

import { join } from "node:path";
import type { KubeApi } from "../kube_api.ts";
import type { PodIdentity, PodProcess, PodRuntime } from "../pod_process.ts";
import { delay, HANG_MS } from "../waiting.ts";
import { Container } from "./container.ts";
import { containerEnvironment, expand } from "./environment.ts";
import { succeeds } from "./handler.ts";
import type { ImageSource } from "./image.ts";
import { PodNetwork } from "./network.ts";
import type { ContainerSpec } from "./pod_spec.ts";
import { Probes } from "./probes.ts";
import type { Mount } from "./runtime_config.ts";
import { prepareVolumes } from "./volumes.ts";

export interface ContainerRuntimeOptions {
  readonly api: KubeApi;
  readonly images: ImageSource;
  /** The seccomp profile `RuntimeDefault`. */
  readonly seccomp: unknown;
  /** All containers get control groups below it, so that whoever chose the name can remove what is left behind. */
  readonly cgroupParent: string;
  /** Pods' files go here, and the claims that outlive them. */
  readonly folder: string;
}

let containersSoFar = 0;

export function containerRuntime(options: ContainerRuntimeOptions): PodRuntime {
  return async (identity) => {
    try {
      return await ContainerProcess.start(options, identity);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return {
        exited: Promise.resolve(`not started: ${message}`),
        isReady: () => Promise.resolve(false),
        terminate: () => {},
        kill: () => Promise.resolve(),
      };
    }
  };
}

/** One run of a pod's container. */
class ContainerProcess implements PodProcess {
  readonly exited: Promise<string>;
  readonly #identity: PodIdentity;
  readonly #spec: ContainerSpec;
  readonly #container: Container;
  readonly #probes: Probes;
  #ready = false;
  #readinessChange = Promise.withResolvers<void>();
  #isTerminating = false;
  #unhealthy = "";

  private constructor(identity: PodIdentity, spec: ContainerSpec, container: Container, network: PodNetwork) {
    this.#identity = identity;
    this.#spec = spec;
    this.#container = container;
    const target = { ip: identity.ip, spec, container };
    this.#probes = new Probes({
      spec,
      probe: (probe, timeoutMs) => succeeds(probe, target, timeoutMs),
      onReadiness: (ready) => {
        this.#ready = ready;
        this.#readinessChange.resolve();
        this.#readinessChange = Promise.withResolvers();
      },
      onUnhealthy: (which) => {
        this.#unhealthy = `, after its ${which} probe had failed`;
        this.#restart();
      },
    });
    this.exited = container.exited.then(async (how) => {
      this.#probes.stop();
      await network.remove();
      return how + this.#unhealthy;
    });
  }

  static async start(options: ContainerRuntimeOptions, identity: PodIdentity): Promise<ContainerProcess> {
    const { pod, ip } = identity;
    const [spec, ...others] = pod.spec.containers;
    if (spec === undefined || others.length > 0) {
      throw new Error(`Cannot run ${pod.spec.containers.length} containers: the kubelet stand-in runs one`);
    }
    const podFolder = join(options.folder, "pods", pod.metadata.uid ?? "");
    const claimsFolder = join(options.folder, "claims");
    const volumes = await prepareVolumes({ api: options.api, pod, ip, podFolder, claimsFolder });
    const network = await PodNetwork.create(ip);
    const startContainer = (container: ContainerSpec) =>
      startOne(options, identity, container, { podFolder, volumes, network });
    try {
      for (const init of pod.spec.initContainers ?? []) {
        const how = await (await startContainer(init)).exited;
        if (how !== "exit 0") throw new Error(`init container "${init.name}" ended with ${how}`);
      }
      return new ContainerProcess(identity, spec, await startContainer(spec), network);
    } catch (error) {
      await network.remove();
      throw error;
    }
  }

  isReady(): Promise<boolean> {
    return Promise.resolve(this.#ready);
  }

  readinessChange(): Promise<void> {
    return this.#readinessChange.promise;
  }

  /** The preStop hook comes first; the time that it takes is the caller's, who kills when all of it is over. */
  terminate(): void {
    if (this.#isTerminating) return;
    this.#isTerminating = true;
    this.#probes.terminating();
    this.#leave();
  }

  async #leave(): Promise<void> {
    const hook = this.#spec.lifecycle?.preStop;
    if (hook !== undefined) {
      const target = { ip: this.#identity.ip, spec: this.#spec, container: this.#container };
      await succeeds(hook, target, this.#graceMs);
    }
    this.#container.terminate();
  }

  /** An unhealthy container gets the time to leave that its pod has. */
  async #restart(): Promise<void> {
    this.terminate();
    await Promise.race([this.#container.exited, delay(this.#graceMs)]);
    await this.kill();
  }

  get #graceMs(): number {
    return (this.#identity.pod.spec.terminationGracePeriodSeconds ?? 30) * 1000;
  }

  exec(command: readonly string[]) {
    return this.#container.exec(command, HANG_MS);
  }

  freeze(): Promise<void> {
    return this.#container.signal("STOP");
  }

  kill(): Promise<void> {
    return this.#container.kill();
  }
}

/** Where a container of the pod runs. */
interface Place {
  readonly podFolder: string;
  readonly volumes: ReadonlyMap<string, string>;
  readonly network: PodNetwork;
}

async function startOne(
  options: ContainerRuntimeOptions,
  { pod, ip, logFile }: PodIdentity,
  spec: ContainerSpec,
  { podFolder, volumes, network }: Place,
): Promise<Container> {
  const image = await options.images(spec.image);
  const own = await containerEnvironment(options.api, { pod, ip }, spec);
  const env = new Map([...Object.entries(image.env), ["HOSTNAME", pod.metadata.name] as const, ...own]);
  const id = `container-${++containersSoFar}`;
  const folder = join(podFolder, id);
  await Deno.mkdir(folder, { recursive: true });
  const entrypoint = spec.command ?? image.entrypoint;
  const args = spec.args ?? (spec.command === undefined ? image.command ?? [] : []);
  return await Container.start({
    id,
    spec,
    pod: pod.spec,
    hostname: pod.spec.hostname ?? pod.metadata.name,
    image,
    args: [...entrypoint, ...args].map((arg) => expand(arg, env)),
    env,
    mounts: [...await nodeFiles(folder, pod.metadata.name, ip), ...volumeMounts(spec, volumes)],
    network: network.path,
    seccomp: options.seccomp,
    cgroupParent: options.cgroupParent,
    folder,
    logFile,
  });
}

function volumeMounts(spec: ContainerSpec, volumes: ReadonlyMap<string, string>): Mount[] {
  return (spec.volumeMounts ?? []).map(({ name, mountPath, subPath, readOnly = false }) => {
    const folder = volumes.get(name);
    if (folder === undefined) throw new Error(`Cannot mount "${name}" at ${mountPath}: no such volume`);
    const source = subPath === undefined ? folder : join(folder, subPath);
    return { source, destination: mountPath, readOnly };
  });
}

/** The files that the kubelet gives every container. There is no DNS server behind the second. */
async function nodeFiles(folder: string, hostname: string, ip: string): Promise<Mount[]> {
  const files = {
    "hosts": `127.0.0.1 localhost\n::1 localhost\n${ip} ${hostname}\n`,
    "resolv.conf": "nameserver 10.98.0.10\nsearch svc.cluster.local cluster.local\noptions ndots:5\n",
    "hostname": `${hostname}\n`,
  };
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(join(folder, name), text);
  return Object.keys(files).map((name) => ({
    ...{ source: join(folder, name), destination: `/etc/${name}` },
    readOnly: true,
  }));
}
