/**
 * Findings about others that write the replica count: the autoscaler is to be the only one that lowers it. Pure.
 *
 * @module
 */
import { MANAGER } from "../kube/scale.ts";
import type { HorizontalPodAutoscaler, StatefulSet } from "../kube/types.ts";
import { failed, type Finding, kubectl, listed, ok, type Read, unchecked, warning } from "./finding.ts";
import type { Builder } from "./stateful_set.ts";

/** The part of KEDA's ScaledObject that matters. */
export interface ScaledObject {
  /** Its name. */
  readonly metadata?: { readonly name?: string };
  /** What it scales: a Deployment, if it does not say so. */
  readonly spec?: { readonly scaleTargetRef?: { readonly kind?: string; readonly name?: string } };
}

/** What may write a count beside people. */
export interface Scalers {
  /** All of the namespace. */
  readonly autoscalers: Read<readonly HorizontalPodAutoscaler[]>;
  /** All of the namespace; absent without KEDA. */
  readonly scaledObjects: Read<readonly ScaledObject[]>;
}

const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

/** Who else writes the count of a builder. */
export function writerFindings(
  builder: Builder,
  statefulSet: StatefulSet,
  { autoscalers, scaledObjects }: Scalers,
): readonly Finding[] {
  const { name } = builder;
  const check = `replica count of "${name}"`;
  const findings = [
    ...manifestFindings(check, builder, statefulSet),
    ...(autoscalers.is === "found" ? autoscalers.value : [])
      .filter(({ spec }) => isTarget(spec?.scaleTargetRef, name))
      .flatMap((autoscaler) => autoscalerFindings(builder, autoscaler)),
    ...(scaledObjects.is === "found" ? scaledObjects.value : [])
      .filter(({ spec }) => isTarget(spec?.scaleTargetRef, name))
      .map(({ metadata }) => scaledObjectFinding(builder, metadata?.name ?? "")),
  ];
  const unread = [
    ...(autoscalers.is === "unread" ? [`HorizontalPodAutoscalers (${autoscalers.why})`] : []),
    ...(scaledObjects.is === "unread" ? [`ScaledObjects of KEDA (${scaledObjects.why})`] : []),
  ];
  if (findings.length === 0) findings.push(ok(check, ownersText(statefulSet)));
  return unread.length === 0 ? findings : [...findings, unchecked(check, listed(unread))];
}

function isTarget(target: { kind?: string; name?: string } | undefined, name: string): boolean {
  return target?.kind === "StatefulSet" && target.name === name;
}

/** Others that own the count in the metadata of the StatefulSet, with how they wrote it. */
function othersOf({ metadata }: StatefulSet) {
  return (metadata?.managedFields ?? []).filter(({ manager, fieldsV1 }) => {
    const fields = fieldsV1 as { "f:spec"?: { "f:replicas"?: unknown } } | undefined;
    const isOurs = manager === MANAGER || manager?.startsWith(`${MANAGER}-`);
    return fields?.["f:spec"]?.["f:replicas"] !== undefined && !isOurs;
  });
}

function ownersText(statefulSet: StatefulSet): string {
  const others = othersOf(statefulSet).map(({ manager, time }) => `${manager} at ${time}`);
  return others.length === 0
    ? "only the autoscaler sets it"
    : `set by ${listed(others)}, which does not repeat it`;
}

/** Tools that would write the number of a manifest again and again. */
function manifestFindings(
  check: string,
  { name, namespace }: Builder,
  statefulSet: StatefulSet,
): readonly Finding[] {
  const { annotations, labels } = statefulSet.metadata ?? {};
  // The chart leaves the count out once the StatefulSet is there.
  const isOfChart = labels?.["helm.sh/chart"]?.startsWith("buildkitd-stack-") ?? false;
  const appliers = othersOf(statefulSet)
    .filter(({ operation, subresource, manager }) =>
      operation === "Apply" && subresource === undefined && !(isOfChart && manager === "helm")
    )
    .map(({ manager }) => manager ?? "");
  const want = "a manifest without replicas";
  const applied = appliers.map((manager) =>
    warning(
      check,
      `${manager} applies a manifest with replicas, and sets it back with each sync`,
      want,
      `remove "replicas" from the manifest, and let ${manager} apply it again`,
    )
  );
  if (!hasReplicas(annotations?.[LAST_APPLIED])) return applied;
  return [
    ...applied,
    warning(
      check,
      "it was made with kubectl apply from a manifest with replicas: the next apply sets it back",
      want,
      `remove "replicas" from the manifest, then ${
        kubectl(namespace, "apply", "set-last-applied", "--filename=MANIFEST")
      } ("${kubectl(namespace, "apply", "view-last-applied", `statefulset/${name}`)}" shows the last one)`,
    ),
  ];
}

function hasReplicas(manifest: string | undefined): boolean {
  if (manifest === undefined) return false;
  try {
    return JSON.parse(manifest)?.spec?.replicas !== undefined;
  } catch {
    return false;
  }
}

/** docs/many-builders.md has the rules for an HPA beside the autoscaler. */
function autoscalerFindings(
  { name, namespace, maxReplicas }: Builder,
  { metadata, spec }: HorizontalPodAutoscaler,
): readonly Finding[] {
  const own = metadata?.name ?? "";
  const check = `HorizontalPodAutoscaler "${own}" of "${name}"`;
  const patch = (spec: unknown) =>
    kubectl(
      namespace,
      "patch",
      "horizontalpodautoscaler",
      own,
      "--type=merge",
      `--patch=${JSON.stringify({ spec })}`,
    );
  const findings: Finding[] = [];
  const policy = spec?.behavior?.scaleDown?.selectPolicy ?? "Max";
  if (policy !== "Disabled") {
    findings.push(failed(
      check,
      `it scales down (selectPolicy ${policy}), and so cuts builds`,
      "behavior.scaleDown.selectPolicy Disabled",
      patch({ behavior: { scaleDown: { selectPolicy: "Disabled" } } }),
    ));
  }
  if (spec !== undefined && spec.maxReplicas < maxReplicas) {
    findings.push(failed(
      check,
      `maxReplicas ${spec.maxReplicas}: above it the HPA scales down, whatever its behavior says`,
      `at least ${maxReplicas} (--max-replicas)`,
      patch({ maxReplicas }),
    ));
  }
  return findings.length > 0 ? findings : [ok(check, "it only scales up")];
}

function scaledObjectFinding({ name, namespace }: Builder, own: string): Finding {
  return failed(
    `ScaledObject "${own}" of "${name}"`,
    "KEDA scales it to 0 whatever builds run",
    "none",
    kubectl(namespace, "delete", "scaledobject", own),
  );
}
