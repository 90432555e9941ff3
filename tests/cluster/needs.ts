/**
 * What the machine has to have for the cluster. Everything that is missing is named at once.
 *
 * @module
 */

/** Programs of the machine, each with the Debian package that has it. */
const PROGRAMS: readonly (readonly [program: string, debianPackage: string])[] = [
  ["conntrack", "conntrack"],
  ["go", "golang-go"],
  ["ip", "iproute2"],
  ["iptables", "iptables"],
  ["ldd", "libc-bin"],
  ["mount", "mount"],
  ["nsenter", "util-linux"],
  ["runc", "runc"],
  ["setpriv", "util-linux"],
  ["setsid", "util-linux"],
  ["tar", "tar"],
  ["unshare", "util-linux"],
];

/** Actions that need support of the kernel, tried in a namespace that ends with them. */
const KERNEL: readonly (readonly [what: string, command: string])[] = [
  ["network namespaces and bridges", "ip link add name test type bridge"],
  ["pairs of virtual network devices", "ip link add name test type veth peer name peer"],
  ["iptables with address translation", "iptables --table nat --append OUTPUT --jump RETURN"],
  [
    "iptables with comments and marks",
    "iptables --append INPUT --match comment --comment x --match mark --mark 1",
  ],
  [
    "bridged packets in iptables (module br_netfilter)",
    "test -e /proc/sys/net/bridge/bridge-nf-call-iptables",
  ],
  [
    "overlay file systems",
    "mount -t tmpfs none /mnt && mkdir /mnt/a /mnt/b /mnt/c /mnt/d && " +
    "mount -t overlay -o lowerdir=/mnt/a,upperdir=/mnt/b,workdir=/mnt/c none /mnt/d",
  ],
  ["control groups at /sys/fs/cgroup", "grep -q ' /sys/fs/cgroup' /proc/mounts"],
];

/** The first of these programs on PATH that is linked statically, for images without libraries. */
async function staticBusybox(): Promise<string | undefined> {
  const path = await find("busybox");
  if (path === undefined) return undefined;
  const bytes = await Deno.readFile(path);
  return new TextDecoder("latin1").decode(bytes).includes("/ld-linux") ? undefined : path;
}

/** The path of a program of the machine. */
export async function find(program: string): Promise<string | undefined> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    const path = `${folder}/${program}`;
    if (await Deno.stat(path).then(({ isFile }) => isFile, () => false)) return path;
  }
  return undefined;
}

/** What {@link checkNeeds} has found. */
export interface Machine {
  /** Path of a static busybox. */
  readonly busybox: string;
}

/** Fails with a list of all that the machine lacks. */
export async function checkNeeds(): Promise<Machine> {
  const missing: string[] = [];
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    throw new Error(`Cannot run a cluster: found ${Deno.build.target}, want Linux on amd64`);
  }
  if (Deno.uid() !== 0) missing.push("root: namespaces, mounts and containers need it");
  for (const [program, debianPackage] of PROGRAMS) {
    if (await find(program) === undefined) missing.push(`${program} (Debian package ${debianPackage})`);
  }
  const busybox = await staticBusybox();
  if (busybox === undefined) missing.push("a static busybox (Debian package busybox-static)");
  // Without the programs above, what follows fails for their sake.
  if (missing.length === 0) {
    for (const [what, command] of KERNEL) {
      const { success, stderr } = await new Deno.Command("unshare", {
        args: ["--net", "--mount", "--", "sh", "-ec", command],
        stdin: "null",
      }).output();
      if (!success) missing.push(`${what}: ${new TextDecoder().decode(stderr).trim() || "not there"}`);
    }
  }
  if (missing.length > 0 || busybox === undefined) {
    throw new Error(`Cannot run a cluster on this machine. What is missing:\n  ${missing.join("\n  ")}`);
  }
  return { busybox };
}
