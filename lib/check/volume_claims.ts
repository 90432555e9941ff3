/**
 * Findings about the volume of a builder's cache: its claim is bound, or will be as soon as a pod asks. Pure.
 *
 * @module
 */
import type { PersistentVolumeClaim, StatefulSet, StorageClass } from "../kube/types.ts";
import {
  failed,
  type Finding,
  kubectl,
  kubectlOfCluster,
  ok,
  type Read,
  unchecked,
  warning,
} from "./finding.ts";

/** A claim that the first pod of a builder needs. */
export interface NeededClaim {
  /** Its name. */
  readonly name: string;
  /** What is made of it if it is absent; undefined where nobody makes it. */
  readonly template: PersistentVolumeClaim | undefined;
}

/** Marks the StorageClass of claims that name none. */
const DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class";

/** The claims of a builder's first pod. */
export function neededClaims(statefulSet: StatefulSet): readonly NeededClaim[] {
  const { metadata, spec } = statefulSet;
  const first = spec?.ordinals?.start ?? 0;
  return [
    ...(spec?.volumeClaimTemplates ?? []).map((template) => ({
      name: `${template.metadata?.name}-${metadata?.name}-${first}`,
      template,
    })),
    ...(spec?.template?.spec?.volumes ?? []).flatMap(({ persistentVolumeClaim: claim }) =>
      claim === undefined ? [] : [{ name: claim.claimName, template: undefined }]
    ),
  ];
}

/** The finding for one of them. `classes` are all of the cluster. */
export function claimFinding(
  { name, template }: NeededClaim,
  namespace: string,
  read: Read<PersistentVolumeClaim>,
  classes: Read<readonly StorageClass[]>,
): Finding {
  const check = `volume claim "${name}"`;
  if (read.is === "unread") return unchecked(check, read.why);
  const describe = kubectl(namespace, "describe", "persistentvolumeclaim", name);
  if (read.is === "found") {
    const { status, spec, metadata } = read.value;
    if (metadata?.deletionTimestamp !== undefined) {
      return failed(check, "it is being deleted", "a claim that stays", describe);
    }
    if (status?.phase === "Bound") return ok(check, `bound to volume ${spec?.volumeName}`);
    if (status?.phase === "Lost") {
      const remove = kubectl(namespace, "delete", "persistentvolumeclaim", name);
      const fix = template === undefined ? `${remove} # then make it again: nobody else does` : remove;
      return failed(check, "its volume is lost", "a volume (a new one has an empty cache)", fix);
    }
    return bindable(check, spec?.storageClassName, classes, describe, "it waits for a volume");
  }
  if (template === undefined) {
    return failed(check, "none of this name", "the claim that a pod of the StatefulSet mounts", describe);
  }
  return bindable(check, template.spec?.storageClassName, classes, undefined, "made with the first pod");
}

/** Whether a volume can be made for a claim. `describe` is for a claim that has waited for one already. */
function bindable(
  check: string,
  className: string | undefined,
  classes: Read<readonly StorageClass[]>,
  describe: string | undefined,
  state: string,
): Finding {
  if (className === "") {
    return unchecked(check, `${state}; without a StorageClass somebody has to make its volume`);
  }
  if (classes.is !== "found") {
    return unchecked(check, `${state}; ${classes.is === "unread" ? classes.why : "no StorageClasses"}`);
  }
  const found = className === undefined
    ? classes.value.find(({ metadata }) => metadata?.annotations?.[DEFAULT_CLASS] === "true")
    : classes.value.find(({ metadata }) => metadata?.name === className);
  if (found === undefined && className === undefined) {
    const patch = JSON.stringify({ metadata: { annotations: { [DEFAULT_CLASS]: "true" } } });
    const some = classes.value[0]?.metadata?.name ?? "NAME";
    return warning(
      check,
      `${state}; it names no StorageClass, and none is the default`,
      "a default StorageClass, or one in the claim template (buildkitd.persistence.storageClassName of the chart)",
      kubectlOfCluster("patch", "storageclass", some, `--patch=${patch}`),
    );
  }
  if (found === undefined) {
    return warning(
      check,
      `${state}; there is no StorageClass "${className}", so somebody has to make its volume`,
      "a StorageClass that exists, or a PersistentVolume of this class",
      kubectlOfCluster("get", "storageclasses"),
    );
  }
  const name = found.metadata?.name;
  if (describe !== undefined && found.volumeBindingMode !== "WaitForFirstConsumer") {
    return warning(check, `${state}, which StorageClass "${name}" makes at once`, "a bound claim", describe);
  }
  return ok(check, `${state}, by StorageClass "${name}"`);
}
