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
import { defaultSeccomp, runtimeConfig } from "./runtime_config.ts";

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

/** Writes the container's description to `folder` and gives the command that runs it in the foreground. */
export async function containerCommand(
  folder: string,
  options: ContainerOptions,
): Promise<readonly string[]> {
  const { uid, memoryBytes } = options;
  const config = runtimeConfig({
    args: options.command,
    env: Object.entries(options.env).map(([name, value]) => `${name}=${value}`),
    user: { uid, gid: uid },
    capabilities: [],
    noNewPrivileges: true,
    root: { path: options.rootfs, readonly: true },
    mounts: Object.entries(options.mounts ?? {}).map(([destination, source]) => ({
      ...{ source, destination },
      readOnly: true,
    })),
    cgroup: options.cgroup,
    memoryBytes,
    processes: 100,
    seccomp: await defaultSeccomp(options.seccompProfile),
  });
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify(config));
  return ["runc", "run", "--bundle", folder, options.id];
}
