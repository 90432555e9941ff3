/**
 * Whether Pod Security lets a pod of a template into its namespace. Pure.
 * Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
 *
 * @module
 */
import type { Namespace, PodTemplate } from "../kube/types.ts";
import { failed, type Finding, kubectlOfCluster, listed, ok, type Read, unchecked } from "./finding.ts";

const ENFORCE = "pod-security.kubernetes.io/enforce";

/** The finding for the pods of StatefulSet `name`. */
export function podSecurityFinding(
  name: string,
  namespace: string,
  read: Read<Namespace>,
  template: PodTemplate | undefined,
): Finding {
  const check = `Pod Security of "${name}"`;
  if (read.is === "unread") return unchecked(check, read.why);
  if (read.is === "absent") return unchecked(check, `there is no namespace "${namespace}"`);
  if (template === undefined) return unchecked(check, "the pod template is not known");
  const level = read.value.metadata?.labels?.[ENFORCE];
  if (level === undefined) {
    return ok(check, `the namespace enforces nothing by itself (no label ${ENFORCE})`);
  }
  const violations = violationsOf(template, level);
  if (violations.length === 0) return ok(check, `the namespace enforces "${level}", which the pods meet`);
  return failed(
    check,
    `the namespace enforces "${level}", and its pods have ${listed(violations)}: they are refused`,
    'a namespace that enforces "privileged", or another pod template',
    `${
      kubectlOfCluster("label", "namespace", namespace, `${ENFORCE}=privileged`, "--overwrite")
    } # for all its pods`,
  );
}

type Spec = NonNullable<PodTemplate["spec"]>;
type Container = Spec["containers"][number];

/** What of a template a level forbids, in words. An unknown level counts as `restricted`, as in the API server. */
export function violationsOf({ metadata, spec }: PodTemplate, level: string): readonly string[] {
  if (level === "privileged" || spec === undefined) return [];
  const containers = [...spec.containers, ...spec.initContainers ?? []];
  const found = [
    ...baselineOfPod(spec, metadata?.annotations ?? {}),
    ...containers.flatMap(baselineOf),
    ...(level === "baseline"
      ? []
      : [...restrictedOfPod(spec), ...containers.flatMap((each) => restrictedOf(each, spec))]),
  ];
  return [...new Set(found)];
}

/** Sysctls that affect the pod alone. */
const SAFE_SYSCTLS = new Set([
  "kernel.shm_rmid_forced",
  "net.ipv4.ip_local_port_range",
  "net.ipv4.ip_local_reserved_ports",
  "net.ipv4.ip_unprivileged_port_start",
  "net.ipv4.ping_group_range",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_rmem",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.tcp_wmem",
]);

const APPARMOR = "container.apparmor.security.beta.kubernetes.io/";

function baselineOfPod(spec: Spec, annotations: Readonly<Record<string, string>>): readonly string[] {
  const { securityContext: context, volumes = [] } = spec;
  const isHostPath = volumes.some(({ hostPath }) => hostPath !== undefined);
  const sysctls = (context?.sysctls ?? []).map(({ name }) => name).filter((name) => !SAFE_SYSCTLS.has(name));
  const unconfined = Object.entries(annotations).some(([key, value]) =>
    key.startsWith(APPARMOR) && !/^(|runtime\/default|localhost\/.*)$/.test(value)
  );
  return [
    ...(["hostNetwork", "hostPID", "hostIPC"] as const).filter((name) => spec[name]),
    ...(isHostPath ? ["a hostPath volume"] : []),
    ...sysctls.map((name) => `the sysctl ${name}`),
    ...(unconfined ? ["an AppArmor profile unconfined"] : []),
    ...baselineOfContext(context),
  ];
}

/** Capabilities that containers have by default. */
const SAFE_CAPABILITIES = new Set(
  ("AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID " +
    "SYS_CHROOT").split(" "),
);

function baselineOf({ securityContext: context, ports = [] }: Container): readonly string[] {
  const added = (context?.capabilities?.add ?? []).filter((name) => !SAFE_CAPABILITIES.has(name));
  const procMount = context?.procMount ?? "Default";
  return [
    ...(context?.privileged ? ["a privileged container"] : []),
    ...added.map((name) => `the capability ${name}`),
    ...(ports.some(({ hostPort }) => hostPort) ? ["a hostPort"] : []),
    ...(procMount === "Default" ? [] : [`procMount ${procMount}`]),
    ...baselineOfContext(context),
  ];
}

const SELINUX_TYPES = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/** What pods and containers can set alike. (The types of Kubernetes 1.30 do not know `appArmorProfile` everywhere.) */
function baselineOfContext(context: object | undefined): readonly string[] {
  const { seccompProfile, appArmorProfile, seLinuxOptions, windowsOptions } = (context ?? {}) as {
    readonly seccompProfile?: { readonly type?: string };
    readonly appArmorProfile?: { readonly type?: string };
    readonly seLinuxOptions?: { readonly type?: string; readonly user?: string; readonly role?: string };
    readonly windowsOptions?: { readonly hostProcess?: boolean };
  };
  const { type = "", user, role } = seLinuxOptions ?? {};
  return [
    ...(seccompProfile?.type === "Unconfined" ? ["a seccomp profile Unconfined"] : []),
    ...(appArmorProfile?.type === "Unconfined" ? ["an AppArmor profile unconfined"] : []),
    ...(SELINUX_TYPES.includes(type) && !user && !role ? [] : ["SELinux options of its own"]),
    ...(windowsOptions?.hostProcess ? ["a HostProcess container"] : []),
  ];
}

const RESTRICTED_VOLUMES = [
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "persistentVolumeClaim",
  "projected",
  "secret",
];

function restrictedOfPod({ volumes = [] }: Spec): readonly string[] {
  return volumes.flatMap((volume) =>
    Object.keys(volume).filter((key) => !["name", "hostPath", ...RESTRICTED_VOLUMES].includes(key))
      .map((key) => `a volume of type ${key}`)
  );
}

function restrictedOf(
  { securityContext: own }: Container,
  { securityContext: pod }: Spec,
): readonly string[] {
  const seccomp = own?.seccompProfile?.type ?? pod?.seccompProfile?.type;
  const dropsAll = own?.capabilities?.drop?.includes("ALL") ?? false;
  const adds = (own?.capabilities?.add ?? []).some((name) => name !== "NET_BIND_SERVICE");
  return [
    ...(own?.allowPrivilegeEscalation === false ? [] : ["no allowPrivilegeEscalation: false"]),
    ...(own?.runAsNonRoot ?? pod?.runAsNonRoot ? [] : ["no runAsNonRoot: true"]),
    ...((own?.runAsUser ?? pod?.runAsUser) === 0 ? ["runAsUser: 0"] : []),
    ...(seccomp === undefined ? ["no seccompProfile"] : []),
    ...(dropsAll && !adds ? [] : ['more capabilities than drop: ["ALL"] leaves']),
  ];
}
