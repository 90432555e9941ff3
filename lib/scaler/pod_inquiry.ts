/**
 * Asks the API server for a pod by its name, where the rights permit: they are optional. Never throws.
 *
 * @module
 */
import { deadline } from "../base/clock.ts";
import { TimeoutError } from "../base/errors.ts";
import type { BasePorts } from "../base/ports.ts";
import { ApiError } from "../kube/api_error.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Pod } from "../kube/types.ts";

/** What it is asked with. */
export interface PodInquiryPorts extends Pick<BasePorts, "clock"> {
  /** Asks. */
  readonly client: Pick<KubeClient, "json">;
}

/** How long an answer may take, in ms: somebody waits for it. */
const ASK_MS = 2_000;

/** The pod as the API has it, or that there is none, or that the right to ask is missing; undefined if it cannot be asked. */
export async function askForPod(
  namespace: string,
  name: string,
  { client, clock }: PodInquiryPorts,
  signal?: AbortSignal,
): Promise<Pod | "missing" | "forbidden" | undefined> {
  using limit = deadline(clock, ASK_MS, signal, () => new TimeoutError("Timed out reading the pod"));
  try {
    const target = { verb: "get", group: "", resource: "pods", namespace, name } as const;
    const pod = await client.json<Pod | null>({ target, method: "GET", expected: [403, 404] }, limit.signal);
    // A gateway may answer something else.
    return typeof pod?.metadata?.uid === "string" ? pod : undefined;
  } catch (error) {
    if (!(error instanceof ApiError)) return undefined;
    return error.status === 404 ? "missing" : error.status === 403 ? "forbidden" : undefined;
  }
}
