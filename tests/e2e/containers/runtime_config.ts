/**
 * A container as runc wants it described: the Open Container Initiative's `config.json`, with what containerd gives every
 * container of a pod.
 *
 * Pure. Left out of what a node does: AppArmor profiles, and limits other than those of memory and processes.
 *
 * @module
 */

/** A folder or file of the machine inside a container. */
export interface Mount {
  readonly source: string;
  readonly destination: string;
  readonly readOnly: boolean;
}

/** What a container is to be. */
export interface ContainerDescription {
  readonly args: readonly string[];
  /** `NAME=value` each. */
  readonly env: readonly string[];
  readonly cwd?: string;
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids?: readonly number[] };
  /** Names as in `CAP_KILL`. A program that does not run as root has none, and may get no others. */
  readonly capabilities: readonly string[];
  readonly noNewPrivileges: boolean;
  /** All devices, and what shows and sets the kernel's state, as in a privileged container. */
  readonly unconfined?: boolean;
  /** The image's files. Mount points are made in it. */
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly mounts: readonly Mount[];
  readonly hostname?: string;
  /** A network namespace as a file; without one the container shares the network of whoever starts it. */
  readonly network?: string;
  /** Kernel settings of its network. */
  readonly sysctl?: Readonly<Record<string, string>>;
  readonly cgroup: string;
  readonly memoryBytes?: number;
  readonly processes?: number;
  /** The seccomp profile; without one nothing is forbidden. */
  readonly seccomp?: unknown;
}

/** What a container may not read, and what it may not write, if it is not privileged. */
const CONFINED = {
  maskedPaths: [
    ...["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/scsi"],
    "/sys/firmware",
  ],
  readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
};

const DEVICES = [
  {
    ...{ destination: "/dev", type: "tmpfs", source: "tmpfs" },
    options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
  },
  {
    ...{ destination: "/dev/pts", type: "devpts", source: "devpts" },
    options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
  },
  {
    ...{ destination: "/dev/shm", type: "tmpfs", source: "shm" },
    options: ["nosuid", "noexec", "nodev", "mode=1777"],
  },
];

/** The contents of `config.json`. */
export function runtimeConfig(description: ContainerDescription): unknown {
  const { capabilities, unconfined = false, memoryBytes, processes } = description;
  const kernel = unconfined ? "rw" : "ro";
  // Of a program that does not run as root only the bounding set has a meaning, as on a real node.
  const held = description.user.uid === 0 ? capabilities : [];
  const namespaces = ["pid", "mount", "uts", "ipc", ...(unconfined ? [] : ["cgroup"])];
  return {
    ociVersion: "1.0.2",
    ...(description.hostname === undefined ? {} : { hostname: description.hostname }),
    root: description.root,
    process: {
      args: description.args,
      cwd: description.cwd ?? "/",
      env: description.env,
      user: description.user,
      capabilities: {
        bounding: capabilities,
        effective: held,
        permitted: held,
        inheritable: [],
        ambient: [],
      },
      noNewPrivileges: description.noNewPrivileges,
    },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      ...DEVICES,
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", kernel] },
      {
        ...{ destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup" },
        options: ["nosuid", "noexec", "nodev", "relatime", kernel],
      },
      ...description.mounts.map(({ source, destination, readOnly }) => ({
        ...{ type: "bind", source, destination },
        options: ["rbind", "rprivate", readOnly ? "ro" : "rw"],
      })),
    ],
    linux: {
      cgroupsPath: description.cgroup,
      namespaces: [
        ...namespaces.map((type) => ({ type })),
        ...(description.network === undefined ? [] : [{ type: "network", path: description.network }]),
      ],
      sysctl: description.sysctl ?? {},
      resources: {
        devices: [{ allow: unconfined, access: "rwm" }],
        ...(memoryBytes === undefined ? {} : { memory: { limit: memoryBytes, swap: memoryBytes } }),
        ...(processes === undefined ? {} : { pids: { limit: processes } }),
      },
      ...(unconfined ? {} : CONFINED),
      ...(description.seccomp === undefined ? {} : { seccomp: description.seccomp }),
    },
  };
}

/** The seccomp profile `RuntimeDefault` of containerd, which the program at `path` prints. */
export async function defaultSeccomp(path: string): Promise<unknown> {
  const { success, stdout, stderr } = await new Deno.Command(path).output();
  const [printed, complaint] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`Cannot get the seccomp profile: ${complaint}`);
  return JSON.parse(printed ?? "");
}
