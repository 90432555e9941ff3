/**
 * The pods of the scale target as the EndpointSlices of its headless service show them. Pure. Pods are told apart by
 * uid, since a new pod of the same name may exist before the old process is gone.
 *
 * @module
 */
import type { EndpointSlice } from "../kube/types.ts";

/**
 * One pod of the scale target. Comments call it a pod, and buildkitd in it the daemon. The type is called a backend,
 * since `Pod` is the Kubernetes object.
 */
export interface Backend {
  /** Counted from 0, whatever `spec.ordinals.start` is. */
  readonly ordinal: number;
  /** The pod's name. */
  readonly pod: string;
  /** The pod's uid. */
  readonly uid: string;
  /** Its addresses, IPv4 first. */
  readonly addresses: readonly string[];
  /** It passes its readiness probe and is not being deleted, says Kubernetes. */
  readonly ready: boolean;
  /** It is being deleted. */
  readonly terminating: boolean;
}

/**
 * The pods in `slices`, lowest ordinal first. Pods of anything other than the StatefulSet `name` are left out.
 *
 * Ready is `serving` and not `terminating`, never the condition `ready`, which `publishNotReadyAddresses` makes true for
 * ever. Source: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
 */
export function backendsOf(slices: Iterable<EndpointSlice>, name: string, ordinalStart: number): Backend[] {
  const byUid = new Map<string, Backend>();
  for (const { addressType, endpoints } of slices) {
    for (const { addresses, conditions, targetRef } of endpoints ?? []) {
      const ordinal = ordinalOf(targetRef?.name, name) - ordinalStart;
      const uid = targetRef?.uid;
      if (targetRef?.kind !== "Pod" || uid === undefined || !(ordinal >= 0)) continue;
      const terminating = conditions?.terminating ?? false;
      const ready = (conditions?.serving ?? conditions?.ready ?? true) && !terminating;
      const known = byUid.get(uid);
      // Slices change one after the other: if they differ about a pod, the worse state counts.
      byUid.set(uid, {
        ordinal,
        pod: targetRef.name!,
        uid,
        addresses: merge(known?.addresses ?? [], addresses ?? [], addressType),
        ready: ready && (known?.ready ?? true),
        terminating: terminating || (known?.terminating ?? false),
      });
    }
  }
  return [...byUid.values()].sort((a, b) => a.ordinal - b.ordinal);
}

function merge(known: readonly string[], found: readonly string[], type: string): readonly string[] {
  const more = found.filter((address) => !known.includes(address));
  return type === "IPv4" ? [...more, ...known] : [...known, ...more];
}

function ordinalOf(pod: string | undefined, name: string): number {
  if (pod === undefined || !pod.startsWith(`${name}-`)) return NaN;
  const digits = pod.slice(name.length + 1);
  return /^(0|[1-9][0-9]*)$/.test(digits) ? Number(digits) : NaN;
}
