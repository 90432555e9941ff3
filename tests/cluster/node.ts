/**
 * The node: containerd with runc and CNI's bridge, the kubelet, kube-proxy, and the registry that all images come
 * from. Writes their settings and gives their command lines.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { baseEnvironment } from "../e2e/child_process.ts";
import { kubeconfigOf } from "./credentials.ts";
import type { Daemon } from "./daemon.ts";
import { at, CGROUP, NODE, NODE_ADDRESS, POD_RANGE, REGISTRY, SERVICES } from "./place.ts";

/** Where containerd takes calls, inside. */
export const CONTAINERD = "/run/containerd/containerd.sock";

/** The image of the container that holds a pod's namespaces. */
export const PAUSE_IMAGE = "registry.k8s.io/pause:3.10.1";

const KUBELET = {
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  kind: "KubeletConfiguration",
  address: NODE_ADDRESS,
  authentication: { anonymous: { enabled: false }, x509: { clientCAFile: at("ca.crt") } },
  // There is no systemd, and a machine may have version 1 of control groups only.
  cgroupDriver: "cgroupfs",
  cgroupRoot: `/${CGROUP}`,
  enforceNodeAllocatable: ["pods"],
  failCgroupV1: false,
  failSwapOn: false,
  clusterDNS: [SERVICES.dns],
  clusterDomain: "cluster.local",
  containerRuntimeEndpoint: `unix://${CONTAINERD}`,
  podLogsDir: at("pods"),
  resolvConf: at("resolv.conf"),
  volumePluginDir: at("volume-plugins"),
  // The machine is not the cluster's alone: a full disk or memory is no reason to evict pods.
  evictionHard: Object.fromEntries(
    ["memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available"].map((
      name,
    ) => [name, "0%"]),
  ),
  imageGCHighThresholdPercent: 100,
};

const KUBE_PROXY = {
  apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
  kind: "KubeProxyConfiguration",
  clientConnection: { kubeconfig: kubeconfigOf("kube-proxy") },
  mode: "iptables",
  clusterCIDR: POD_RANGE,
  hostnameOverride: NODE,
  // Those are settings of the whole kernel.
  conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
};

const NETWORK = {
  cniVersion: "1.0.0",
  name: "pods",
  plugins: [
    {
      type: "bridge",
      bridge: "cni0",
      isGateway: true,
      hairpinMode: true,
      ipam: {
        type: "host-local",
        dataDir: at("addresses"),
        ranges: [[{ subnet: POD_RANGE }]],
        routes: [{ dst: "0.0.0.0/0" }],
      },
    },
    { type: "portmap", capabilities: { portMappings: true } },
  ],
};

const containerdSettings = (plugins: string) =>
  `version = 3
root = '${at("containerd")}'
state = '/run/containerd'
[grpc]
  address = '${CONTAINERD}'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '${PAUSE_IMAGE}'
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = '${at("registries")}'
[plugins.'io.containerd.cri.v1.runtime']
  # Where root lacks CAP_SYS_RESOURCE, nobody may lower a process's badness, and runc would fail.
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['${plugins}']
  conf_dir = '${at("cni")}'
`;

const REGISTRY_SETTINGS = {
  version: 0.1,
  log: { level: "warn", accesslog: { disabled: true } },
  storage: { filesystem: { rootdirectory: at("registry") }, delete: { enabled: true } },
  http: { addr: REGISTRY },
};

/** Writes what the daemons read. */
export async function writeNodeSettings(program: (name: string) => string): Promise<void> {
  const files: Record<string, string> = {
    "kubelet.json": JSON.stringify(KUBELET),
    "kube-proxy.json": JSON.stringify(KUBE_PROXY),
    "registry.json": JSON.stringify(REGISTRY_SETTINGS),
    "cni/10-pods.conflist": JSON.stringify(NETWORK),
    "containerd.toml": containerdSettings(dirname(program("bridge"))),
    // Whatever registry an image's name begins with, it comes from ours.
    "registries/_default/hosts.toml": `server = "http://${REGISTRY}"\n[host."http://${REGISTRY}"]\n` +
      `  capabilities = ["pull", "resolve"]\n`,
    // No name server: what the cluster's own does not know has no address.
    "resolv.conf": "nameserver 127.0.0.1\n",
  };
  for (const [name, text] of Object.entries(files)) {
    await Deno.mkdir(dirname(at(name)), { recursive: true });
    await Deno.writeTextFile(at(name), text);
  }
  await makeCgroup();
}

/** Makes the control group that the kubelet wants to find in each hierarchy. */
async function makeCgroup(): Promise<void> {
  const root = "/sys/fs/cgroup";
  const version2 = await Deno.stat(`${root}/cgroup.controllers`).then(() => true, () => false);
  const hierarchies = version2 ? [root] : [...Deno.readDirSync(root)]
    .filter(({ isDirectory }) => isDirectory).map(({ name }) => join(root, name));
  for (const hierarchy of hierarchies) {
    const group = join(hierarchy, CGROUP);
    await Deno.mkdir(group, { recursive: true });
    // A group without processors and memory nodes takes no process.
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      const inherited = await Deno.readTextFile(join(hierarchy, file)).catch(() => "");
      if (!version2 && inherited !== "") await Deno.writeTextFile(join(group, file), inherited);
    }
  }
}

/** The daemons in the order of their start. */
export function nodeDaemons(program: (name: string) => string): Readonly<Record<string, Daemon>> {
  // containerd finds its shim and runc on PATH.
  const path = `${dirname(program("containerd"))}:${baseEnvironment()["PATH"]}`;
  return {
    registry: { name: "registry", command: [program("registry"), "serve", at("registry.json")] },
    containerd: {
      name: "containerd",
      command: [program("containerd"), `--config=${at("containerd.toml")}`],
      env: { PATH: path },
    },
    kubelet: {
      name: "kubelet",
      command: [
        program("kubelet"),
        `--config=${at("kubelet.json")}`,
        `--kubeconfig=${kubeconfigOf("kubelet")}`,
        `--hostname-override=${NODE}`,
        `--node-ip=${NODE_ADDRESS}`,
      ],
    },
    proxy: { name: "kube-proxy", command: [program("kube-proxy"), `--config=${at("kube-proxy.json")}`] },
  };
}
