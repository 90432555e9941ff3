/**
 * Finds out whether suspect pods live (the words stand in `suspects.ts`): asks the API server for each one that a settled
 * count keeps. Where it cannot be asked, time verifies the pod instead.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import { Notifier } from "../base/notifier.ts";
import type { BasePorts } from "../base/ports.ts";
import { askForPod, type PodInquiryPorts } from "./pod_inquiry.ts";
import type { Pods } from "./pods.ts";

/** What it is made of. */
export interface VerificationPorts extends PodInquiryPorts, Pick<BasePorts, "log"> {
  /** Knows which pods are suspect, and is told. */
  readonly pods: Pods;
}

/** Between two questions for one pod that had no answer, in ms. */
const ASK_AGAIN_MS = 1_000;

/** Verifies suspect pods until the signal is aborted. */
export async function verifySuspects(
  namespace: string,
  ports: VerificationPorts,
  signal: AbortSignal,
): Promise<void> {
  const { clock, pods } = ports;
  const changed = new Notifier();
  pods.subscribe(() => changed.notify());
  for (;;) {
    const suspect = pods.toVerify;
    if (suspect === undefined) await changed.wait(clock, Infinity, signal);
    else if (!await verify(suspect, namespace, ports, signal)) await sleep(clock, ASK_AGAIN_MS, signal);
  }
}

/** False if there was no answer. */
async function verify(
  { backend: { pod, uid }, settledMs }: NonNullable<Pods["toVerify"]>,
  namespace: string,
  ports: VerificationPorts,
  signal: AbortSignal,
): Promise<boolean> {
  const { pods, log } = ports;
  const found = await askForPod(namespace, pod, ports, signal);
  signal.throwIfAborted();
  if (found === undefined || found === "forbidden") return false;
  const alive = found !== "missing" && found.metadata?.uid === uid &&
    found.metadata.deletionTimestamp === undefined;
  log.debug("suspect_pod_checked", { pod, uid, alive });
  if (alive) pods.verified(uid, settledMs);
  else pods.deleted(uid);
  return true;
}
