/**
 * One container under `runc`, with the security context, the mounts and the limits that its pod asks for.
 *
 * Starting throws when the security context forbids the image's user; a program that cannot be run ends the container
 * with runc's message in its log.
 *
 * @module
 */

import { join } from "node:path";
import { Child } from "../child_process.ts";
import { within } from "../waiting.ts";
import type { Image } from "./image.ts";
import type { ContainerSpec, PodSpec, SecurityContext } from "./pod_spec.ts";
import { type ContainerDescription, type Mount, runtimeConfig } from "./runtime_config.ts";

export interface ContainerOptions {
  /** Unique on this machine. */
  readonly id: string;
  readonly spec: ContainerSpec;
  readonly pod: PodSpec;
  readonly hostname: string;
  readonly image: Image;
  /** The command line without the image's part in it. */
  readonly args: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  readonly mounts: readonly Mount[];
  /** The pod's network namespace, as a file. */
  readonly network: string;
  /** The seccomp profile `RuntimeDefault`. */
  readonly seccomp: unknown;
  /** The control group that the container's own is made in. */
  readonly cgroupParent: string;
  /** The container's root and its configuration go here. */
  readonly folder: string;
  readonly logFile: string;
}

const KEPT_WITHOUT_PRIVILEGES = [
  ...[
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
  ],
  ...["NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"],
];

/** By number, as in the kernel's `capability.h`. */
const CAPABILITIES = [
  ...["CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"],
  ...[
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
  ],
  ...[
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
  ],
  ...[
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
  ],
  ...["MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ"],
];

/** Those that this process may hand on: not every machine has all. */
function ownCapabilities(): string[] {
  const found = /^CapBnd:\s*([0-9a-f]+)$/m.exec(Deno.readTextFileSync("/proc/self/status"));
  const bits = BigInt(`0x${found?.[1] ?? "0"}`);
  return CAPABILITIES.filter((_, i) => (bits >> BigInt(i)) & 1n);
}

function capabilities(context: SecurityContext): readonly string[] {
  const own = ownCapabilities();
  const { add = [], drop = [] } = context.capabilities ?? {};
  const start = context.privileged ? own : drop.includes("ALL") ? [] : KEPT_WITHOUT_PRIVILEGES;
  const wanted = new Set([...start.filter((name) => !drop.includes(name)), ...add]);
  return own.filter((name) => wanted.has(name)).map((name) => `CAP_${name}`);
}

/** Bytes of a quantity such as `128Mi`. */
export function quantityBytes(quantity: string): number {
  const [, number = "", unit = ""] = /^([0-9.]+)([A-Za-z]*)$/.exec(quantity) ?? [];
  const factor = { "": 1, k: 1e3, M: 1e6, G: 1e9, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 }[unit];
  if (number === "" || factor === undefined) throw new Error(`Cannot read the quantity "${quantity}"`);
  return Math.floor(Number(number) * factor);
}

/** What runc is told, as the pod's spec and the image say it. */
function describe(options: ContainerOptions): ContainerDescription {
  const { spec, pod, image } = options;
  const context: SecurityContext = { ...pod.securityContext, ...spec.securityContext };
  const uid = context.runAsUser ?? image.uid;
  if (context.runAsNonRoot && uid === 0) {
    throw new Error(`Cannot run "${spec.name}": container has runAsNonRoot and image will run as root`);
  }
  const memory = spec.resources?.limits?.["memory"];
  const { fsGroup, supplementalGroups = [], sysctls = [] } = pod.securityContext ?? {};
  const unconfined = context.privileged ?? false;
  return {
    args: options.args,
    env: [...options.env].map(([name, value]) => `${name}=${value}`),
    ...(spec.workingDir === undefined ? {} : { cwd: spec.workingDir }),
    user: {
      ...{ uid, gid: context.runAsGroup ?? image.gid },
      additionalGids: [...fsGroup === undefined ? [] : [fsGroup], ...supplementalGroups],
    },
    capabilities: capabilities(context),
    noNewPrivileges: context.allowPrivilegeEscalation === false,
    unconfined,
    root: { path: join(options.folder, "root"), readonly: context.readOnlyRootFilesystem ?? false },
    mounts: [...image.mounts.map((mount) => ({ ...mount, readOnly: true })), ...options.mounts],
    hostname: options.hostname,
    network: options.network,
    sysctl: Object.fromEntries(sysctls.map(({ name, value }) => [name, value])),
    cgroup: `/${options.cgroupParent}/${options.id}`,
    ...(memory === undefined ? {} : { memoryBytes: quantityBytes(memory) }),
    ...(context.seccompProfile?.type === "RuntimeDefault" && !unconfined ? { seccomp: options.seccomp } : {}),
  };
}

export class Container {
  /** Resolves with a description of how the container's first process ended, when all that ran in it is gone. */
  readonly exited: Promise<string>;
  readonly #id: string;
  readonly #runc: Child;

  private constructor(options: ContainerOptions) {
    this.#id = options.id;
    this.#runc = new Child({
      name: `${options.hostname} (${options.spec.name})`,
      command: "runc",
      args: ["run", "--bundle", options.folder, options.id],
      logFile: options.logFile,
    });
    this.exited = this.#runc.exited.then(async (status) => {
      await this.#delete();
      return status.signal === null ? `exit ${status.code}` : status.signal;
    });
  }

  static async start(options: ContainerOptions): Promise<Container> {
    const root = join(options.folder, "root");
    await Deno.mkdir(root);
    await Deno.chmod(root, 0o755);
    for (const path of options.image.folders) {
      await Deno.mkdir(join(root, path), { recursive: true });
      await Deno.chmod(join(root, path), 0o1777);
    }
    await Deno.writeTextFile(
      join(options.folder, "config.json"),
      JSON.stringify(runtimeConfig(describe(options))),
    );
    return new Container(options);
  }

  /** Runs a command in the container, as the container's user; one that takes longer is killed and counts as failed. */
  async exec(command: readonly string[], timeoutMs: number): Promise<{ code: number; output: string }> {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), timeoutMs);
    try {
      const { code, stdout, stderr } = await new Deno.Command("runc", {
        args: ["exec", this.#id, ...command],
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
        signal: timeout.signal,
      }).output();
      const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      return { code, output: decode(stdout) + decode(stderr) };
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends a signal to the first process. */
  async signal(signal: "STOP" | "CONT"): Promise<void> {
    const { success, stderr } = await new Deno.Command("runc", { args: ["kill", this.#id, signal] }).output();
    if (!success) {
      throw new Error(`Cannot send ${signal} to a container: ${new TextDecoder().decode(stderr)}`);
    }
  }

  /** Sends SIGTERM to the first process; runc hands it on. */
  terminate(): void {
    this.#runc.signal("SIGTERM");
  }

  async kill(): Promise<void> {
    await this.#delete();
    await this.#runc.kill();
  }

  /** Kills what is left of the container, and forgets it. One that is not there is no error. */
  async #delete(): Promise<void> {
    const args = ["delete", "--force", this.#id];
    const deleted = new Deno.Command("runc", { args, stdout: "null", stderr: "null" }).output();
    await within(`runc to delete ${this.#id}`, deleted);
  }

  tail(lines = 30): string {
    return this.#runc.tail(lines);
  }
}
