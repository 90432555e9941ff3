/**
 * Findings about a StatefulSet: whether there is one, and whether its pods listen where the proxy connects to. Pure.
 *
 * @module
 */
import type { PodTemplate, StatefulSet } from "../kube/types.ts";
import {
  failed,
  type Finding,
  kubectlOfCluster,
  listed,
  ok,
  type Read,
  unchecked,
  warning,
} from "./finding.ts";

/** What one builder's findings are about. */
export interface Builder {
  /** The StatefulSet's name. */
  readonly name: string;
  /** Its headless Service. */
  readonly service: string;
  /** The namespace of both. */
  readonly namespace: string;
  /** Where buildkitd listens, as the proxy takes it. */
  readonly port: number;
  /** The most pods that it gets. */
  readonly maxReplicas: number;
  /** Whether pods are reached by their names. */
  readonly usesDns: boolean;
}

/** Whether there is one. `hint` is added where there is none, and begins with its own punctuation. */
export function statefulSetFinding(
  { name, namespace }: Builder,
  read: Read<StatefulSet>,
  hint = "",
): Finding {
  const check = `StatefulSet "${name}"`;
  if (read.is === "unread") return unchecked(check, read.why);
  if (read.is === "absent") {
    return failed(
      check,
      `none of this name in namespace "${namespace}"${hint}`,
      "the StatefulSet that runs buildkitd (--sts-name, --sts-namespace, --builders)",
      kubectlOfCluster("get", "statefulsets", "--all-namespaces"),
    );
  }
  const { metadata, spec, status } = read.value;
  if (metadata?.deletionTimestamp !== undefined) {
    return failed(
      check,
      `it is being deleted since ${metadata.deletionTimestamp}`,
      "one that stays",
      "create it again once it is gone",
    );
  }
  return ok(check, `replicas ${spec?.replicas ?? 1}, ${status?.readyReplicas ?? 0} ready`);
}

/** Whether the pods listen on the port that the proxy connects to. */
export function portFinding({ name, port }: Builder, { spec }: StatefulSet): Finding {
  const check = `port of StatefulSet "${name}"`;
  const containers = spec?.template?.spec?.containers ?? [];
  const heard = containers.flatMap(portsHeard);
  const declared = containers.flatMap(({ ports = [] }) => ports.map(({ containerPort }) => containerPort));
  const fix = (found: number) => `set --target-port=${found} (BUILDKITD_TARGET_PORT)`;
  const declares = containers.filter(({ ports = [] }) =>
    ports.some(({ containerPort }) => containerPort === port)
  );
  // Then the others are sidecars.
  const isSilent = declares.some((container) => portsHeard(container).length === 0);
  if (heard.length > 0 && !heard.includes(port) && !isSilent) {
    const found = `its containers are told to listen on ${listed(heard.map(String))}`;
    return failed(check, found, `${port} (--target-port)`, fix(heard[0]!));
  }
  if (declared.includes(port)) return ok(check, `${port}, as the containers declare it`);
  if (heard.length > 0) return ok(check, `${port}, as a container is told to listen on it`);
  if (declared.length === 0) return unchecked(check, "its containers declare no port");
  const found = `its containers declare ${listed(declared.map(String))}`;
  return warning(check, found, `${port} (--target-port)`, fix(declared[0]!));
}

type Container = NonNullable<PodTemplate["spec"]>["containers"][number];

/** The ports that a container is told to listen on, or that stand in what it is told otherwise. */
function portsHeard({ command = [], args = [] }: Container): readonly number[] {
  return [...command, ...args].flatMap((word) =>
    [...word.matchAll(/\btcp:\/\/[^\s/]*:(\d+)/g)].map(([, found]) => Number(found))
  );
}
