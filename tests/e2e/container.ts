/**
 * A container as a kubelet makes one for the autoscaler's pod, by runc: no root, no capabilities, no new privileges,
 * a root file system that cannot be written to, and the seccomp profile `RuntimeDefault` of containerd. It shares the
 * suite's network.
 *
 * May not know what it runs. What runc itself refuses is on the command's standard error.
 *
 * @module
 */

import { join } from "node:path";

/** What is run, and where. */
export interface ContainerOptions {
  readonly id: string;
  /** The image's files. Mount points are made in it. */
  readonly rootfs: string;
  /** Program and arguments. */
  readonly command: readonly string[];
  /** All that the program finds in its environment. */
  readonly env: Readonly<Record<string, string>>;
  /** User and group. */
  readonly uid: number;
  /** Files and folders to see, by their path in the container; they cannot be written to. */
  readonly mounts?: Readonly<Record<string, string>>;
  /** Its control group. */
  readonly cgroup: string;
  readonly memoryBytes: number;
  /** Prints the seccomp profile. */
  readonly seccompProfile: string;
}

/** What a kubelet's runtime makes unreadable and unwritable. */
const MASKED = [
  "/proc/acpi",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/scsi",
];
const READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** Writes the container's description to `folder` and gives the command that runs it in the foreground. */
export async function containerCommand(
  folder: string,
  options: ContainerOptions,
): Promise<readonly string[]> {
  const { uid, memoryBytes } = options;
  const profile = await new Deno.Command(options.seccompProfile).output();
  const nothing: string[] = [];
  const config = {
    ociVersion: "1.0.2",
    process: {
      user: { uid, gid: uid },
      args: options.command,
      env: Object.entries(options.env).map(([name, value]) => `${name}=${value}`),
      cwd: "/",
      capabilities: {
        ...{ bounding: nothing, effective: nothing, inheritable: nothing },
        ...{ permitted: nothing, ambient: nothing },
      },
      noNewPrivileges: true,
    },
    root: { path: options.rootfs, readonly: true },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      {
        ...{ destination: "/dev", type: "tmpfs", source: "tmpfs" },
        options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
      },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
      {
        ...{ destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup" },
        options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
      },
      ...Object.entries(options.mounts ?? {}).map(([destination, source]) => ({
        ...{ destination, type: "bind", source },
        options: ["rbind", "ro"],
      })),
    ],
    linux: {
      cgroupsPath: options.cgroup,
      resources: {
        devices: [{ allow: false, access: "rwm" }],
        memory: { limit: memoryBytes, swap: memoryBytes },
        pids: { limit: 100 },
      },
      namespaces: ["pid", "ipc", "uts", "mount", "cgroup"].map((type) => ({ type })),
      maskedPaths: MASKED,
      readonlyPaths: READ_ONLY,
      seccomp: JSON.parse(new TextDecoder().decode(profile.stdout)),
    },
  };
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify(config));
  return ["runc", "run", "--bundle", folder, options.id];
}
