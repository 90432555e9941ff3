/**
 * Finds out whether condemned pods live. Once the StatefulSet controller has worked off a count that keeps such a pod, a
 * deletion that it decided on before has been sent: so a pod that the API server then shows without one is spared. Where
 * it cannot be asked, `condemned.ts` waits instead.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import { Notifier } from "../base/notifier.ts";
import type { BasePorts } from "../base/ports.ts";
import type { Placement } from "./placement.ts";
import { askForPod, type PodInquiryPorts } from "./pod_inquiry.ts";

/** What it is made of. */
export interface ReprievePorts extends PodInquiryPorts, Pick<BasePorts, "log"> {
  /** Knows the pods, and is told. */
  readonly placement: Placement;
}

/** Between two questions for one pod that had no answer, in ms. */
const ASK_AGAIN_MS = 1_000;

/** Asks for condemned pods until the signal is aborted. */
export async function reprieve(
  namespace: string,
  ports: ReprievePorts,
  signal: AbortSignal,
): Promise<void> {
  const { clock, placement } = ports;
  const changed = new Notifier();
  placement.subscribe(() => changed.notify());
  for (;;) {
    const doubt = placement.inDoubt;
    if (doubt === undefined) await changed.wait(clock, Infinity, signal);
    else if (!await decideOn(doubt, namespace, ports, signal)) await sleep(clock, ASK_AGAIN_MS, signal);
  }
}

/** False if there was no answer. */
async function decideOn(
  { backend: { pod, uid }, settledMs }: NonNullable<Placement["inDoubt"]>,
  namespace: string,
  ports: ReprievePorts,
  signal: AbortSignal,
): Promise<boolean> {
  const { placement, log } = ports;
  const found = await askForPod(namespace, pod, ports, signal);
  signal.throwIfAborted();
  if (found === undefined || found === "forbidden") return false;
  const lives = found !== "missing" && found.metadata?.uid === uid &&
    found.metadata.deletionTimestamp === undefined;
  log.debug("condemned pod", { pod, uid, lives });
  if (lives) placement.spare(uid, settledMs);
  else placement.condemn(uid);
  return true;
}
