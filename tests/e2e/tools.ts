/**
 * The real programs that the end-to-end suite runs, built from the Go modules below `tools/`.
 *
 * Each family is a module of its own, so that its dependencies cannot pull another family's versions up. What was
 * built is kept outside the checkout under a name that holds a hash of everything that decides the result; a family
 * that is there already costs one look at a file. A build goes to a temporary folder which is renamed when it is
 * whole, so an interrupted one is never taken for a finished one. Fails by throwing with the compiler's own output.
 *
 * Run as a program (`deno run -A tests/e2e/tools.ts [FAMILY...]`) it only builds.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder, digestOf, exists } from "../../.ci/commands.ts";

/** One Go module below `tools/` and the programs that are built from it, by name and package. */
interface Family {
  readonly programs: Readonly<Record<string, string>>;
  /** Linker flags beside those that strip symbols, given the contents of the module's `go.mod`. */
  readonly linkerFlags?: (goMod: string) => readonly string[];
}

const FAMILIES = {
  etcd: { programs: { "etcd": "go.etcd.io/etcd/server/v3" } },
  buildkit: {
    programs: {
      "buildctl": "github.com/moby/buildkit/cmd/buildctl",
      "buildkitd": "github.com/moby/buildkit/cmd/buildkitd",
    },
  },
  buildx: { programs: { "docker-buildx": "github.com/docker/buildx/cmd/buildx" } },
  // The last that sends "localhost" as authority, whatever it has dialled.
  buildx_0_35: { programs: { "docker-buildx-0.35": "github.com/docker/buildx/cmd/buildx" } },
  kubernetes: {
    programs: {
      "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
      "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
      "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    },
    linkerFlags: kubernetesVersionFlags,
  },
  helm: {
    programs: { "helm": "helm.sh/helm/v4/cmd/helm" },
    linkerFlags: (goMod) => helmVersionFlags("helm.sh/helm/v4", goMod),
  },
  tilt: { programs: { "evaluate-tiltfile": "." } },
  helm3: {
    programs: { "helm3": "helm.sh/helm/v3/cmd/helm" },
    linkerFlags: (goMod) => [
      ...helmVersionFlags("helm.sh/helm/v3", goMod),
      ...helm3KubernetesFlags(goMod),
    ],
  },
  registry: { programs: { "registry": "github.com/distribution/distribution/v3/cmd/registry" } },
  streaming: { programs: { "kubelet-streaming": "." } },
  grafana: { programs: { "check-dashboard": "." } },
  seccomp: { programs: { "seccomp-profile": "." } },
  actionlint: { programs: { "actionlint": "github.com/rhysd/actionlint/cmd/actionlint" } },
  // Of the version of the API server.
  kubernetes_node: {
    programs: {
      "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
      "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
      "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    },
    linkerFlags: kubernetesVersionFlags,
  },
  containerd: {
    programs: {
      "containerd": "github.com/containerd/containerd/v2/cmd/containerd",
      "containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
      "ctr": "github.com/containerd/containerd/v2/cmd/ctr",
    },
  },
  cni: {
    programs: {
      "bridge": "github.com/containernetworking/plugins/plugins/main/bridge",
      "host-local": "github.com/containernetworking/plugins/plugins/ipam/host-local",
      "loopback": "github.com/containernetworking/plugins/plugins/main/loopback",
      "portmap": "github.com/containernetworking/plugins/plugins/meta/portmap",
    },
  },
  coredns: { programs: { "coredns": "." } },
  local_path: { programs: { "local-path-provisioner": "github.com/rancher/local-path-provisioner" } },
} as const satisfies Record<string, Family>;

export type FamilyName = keyof typeof FAMILIES;
export const FAMILY_NAMES = Object.keys(FAMILIES) as readonly FamilyName[];
/** What only a real node runs (`tests/cluster`). */
export const NODE_FAMILIES = [
  "kubernetes_node",
  "containerd",
  "cni",
  "coredns",
  "local_path",
] as const satisfies readonly FamilyName[];

/** Where a family's programs lie, or will lie once they are built. */
export interface ToolFolder {
  readonly family: FamilyName;
  readonly bin: string;
  readonly built: boolean;
}

const SOURCE = join(dirname(fileURLToPath(import.meta.url)), "tools");
const COMMON_LINKER_FLAGS = ["-s", "-w"];

/** Without these `/version` answers `v0.0.0-master+$Format:%H$`. */
function kubernetesVersionFlags(goMod: string): readonly string[] {
  const version = versionIn(goMod, "k8s.io/kubernetes");
  const [major, minor] = version.split(".");
  const at = "k8s.io/component-base/version";
  return [`-X ${at}.gitVersion=v${version}`, `-X ${at}.gitMajor=${major}`, `-X ${at}.gitMinor=${minor}`];
}

/** Without these `helm version` says which minor version it is, but not which patch. */
function helmVersionFlags(path: string, goMod: string): readonly string[] {
  return [`-X ${path}/internal/version.version=v${versionIn(goMod, path)}`];
}

/**
 * Helm 3 compiles in the Kubernetes version that it renders for without a cluster; without these it is 1.20. (Helm 4
 * takes it from the client library.)
 */
function helm3KubernetesFlags(goMod: string): readonly string[] {
  const minor = versionIn(goMod, "k8s.io/client-go").split(".")[1];
  return ["pkg/lint/rules", "pkg/chartutil"].flatMap((at) =>
    [["Major", "1"], ["Minor", minor]].map(([part, value]) =>
      `-X helm.sh/helm/v3/${at}.k8sVersion${part}=${value}`
    )
  );
}

function versionIn(goMod: string, path: string): string {
  const found = new RegExp(`${path} v(\\d+\\.\\d+\\.\\d+)`).exec(goMod);
  if (found === null) throw new Error(`Cannot find the version of "${path}" in its go.mod`);
  return found[1]!;
}

async function capture(command: string, args: readonly string[], cwd: string): Promise<string> {
  const output = await new Deno.Command(command, {
    args: [...args],
    cwd,
    env: { CGO_ENABLED: "0", GOFLAGS: "-buildvcs=false" },
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!output.success) {
    throw new Error(
      `Cannot run "${command} ${args.join(" ")}": exit ${output.code}\n${decode(output.stderr)}`,
    );
  }
  return decode(output.stdout).trim();
}

/** The code of our own in a family's module, if there is some. */
async function ownCode(source: string): Promise<readonly string[]> {
  const names = (await Array.fromAsync(Deno.readDir(source))).map(({ name }) => name).sort();
  return await Promise.all(
    names.filter((name) => name.endsWith(".go")).map((name) => Deno.readTextFile(join(source, name))),
  );
}

/** Where the programs of `family` are kept. Builds nothing. */
export async function locate(family: FamilyName): Promise<ToolFolder> {
  const source = join(SOURCE, family);
  const goMod = await Deno.readTextFile(join(source, "go.mod"));
  const parts = [
    goMod,
    await Deno.readTextFile(join(source, "go.sum")),
    await capture("go", ["env", "GOVERSION", "GOOS", "GOARCH"], source),
    JSON.stringify(FAMILIES[family].programs),
    JSON.stringify(linkerFlags(family, goMod)),
    ...await ownCode(source),
  ];
  const bin = join(cacheFolder("tools"), `${family}-${await digestOf(parts.join("\0"))}`, "bin");
  return { family, bin, built: await exists(bin) };
}

function linkerFlags(name: FamilyName, goMod: string): readonly string[] {
  const family: Family = FAMILIES[name];
  return [...COMMON_LINKER_FLAGS, ...(family.linkerFlags?.(goMod) ?? [])];
}

/** Makes sure that the programs of `family` are built and gives their folder. */
export async function ensureBuilt(name: FamilyName, say: (line: string) => void): Promise<string> {
  const folder = await locate(name);
  if (folder.built) {
    say(`${name}: built before, in ${folder.bin}`);
    return folder.bin;
  }
  const family: Family = FAMILIES[name];
  const source = join(SOURCE, name);
  const flags = linkerFlags(name, await Deno.readTextFile(join(source, "go.mod")));
  const final = dirname(folder.bin);
  await Deno.mkdir(dirname(final), { recursive: true });
  const building = await Deno.makeTempDir({ dir: dirname(final), prefix: `building-${name}-` });
  try {
    for (const [program, pkg] of Object.entries(family.programs)) {
      const startedMs = performance.now();
      say(`${name}: building ${program} from ${pkg}`);
      const output = join(building, "bin", program);
      await capture("go", ["build", "-trimpath", "-ldflags", flags.join(" "), "-o", output, pkg], source);
      say(`${name}: built ${program} in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
    }
    await Deno.rename(building, final).catch(async (error) => {
      // Another run may have finished the same family first; its result is as good as ours.
      if (!await exists(folder.bin)) throw error;
    });
  } finally {
    if (await exists(building)) await Deno.remove(building, { recursive: true });
  }
  return folder.bin;
}

if (import.meta.main) {
  const wanted = Deno.args.length > 0 ? Deno.args : FAMILY_NAMES;
  for (const name of wanted) {
    if (!FAMILY_NAMES.includes(name as FamilyName)) {
      throw new Error(`Cannot build "${name}": want one of ${FAMILY_NAMES.join(", ")}`);
    }
    await ensureBuilt(
      name as FamilyName,
      (line) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`)),
    );
  }
}
