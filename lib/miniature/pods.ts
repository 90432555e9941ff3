/**
 * What can be read off a pod object. Pure.
 *
 * @module
 */
import type { KubeObject } from "./objects.ts";

/** The number at the end of the pod's name. */
export function ordinalOf(pod: KubeObject): number {
  return Number(/-(\d+)$/.exec(pod.metadata.name)?.[1] ?? NaN);
}

/** Whether its Ready condition is true, terminating or not. */
export function isReady(pod: KubeObject): boolean {
  const conditions: { type: string; status: string }[] = pod.status?.conditions ?? [];
  return conditions.some(({ type, status }) => type === "Ready" && status === "True");
}

/** The name of the StatefulSet that a pod of this name belongs to. */
export function setNameOf(podName: string): string {
  return podName.replace(/-\d+$/, "");
}
