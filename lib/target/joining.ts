/**
 * Runs this proxy beside the other proxies of a StatefulSet, and waits until this proxy has joined them and is ready.
 * `lib/ha/membership.ts` does the joining itself. This file seats no session and writes no replicas.
 *
 * @module
 */
import { anySignal } from "../base/any_signal.ts";
import { sleep } from "../base/clock.ts";
import { publicMessageOf } from "../base/errors.ts";
import { CauseLog } from "../base/log.ts";
import { orAborted } from "../base/or_aborted.ts";
import type { BasePorts } from "../base/ports.ts";
import type { Proxies } from "../ha/proxies.ts";
import { ApiError } from "../kube/api_error.ts";
import { retryDelayMs } from "../kube/client.ts";
import type { Observer, ScaleTarget } from "../scaler/observer.ts";
import type { CountReader } from "../scaler/count_reader.ts";
import type { JoinPlaces } from "./join_places.ts";

/** How far this proxy has joined the others in front of one StatefulSet. */
export interface Joining {
  /** True once its rights suffice, it has seen the StatefulSet and the pods, and it has joined the other proxies. */
  joined: boolean;
  /** What it waits for until then. */
  waitsFor: string;
  /** Why it has not joined, if the API server has given a reason. */
  fault?: string | undefined;
}

/** The state at start: nothing is known yet. */
export function joiningAtStart(): Joining {
  return {
    joined: false,
    waitsFor: "the rights on the scale target are not confirmed yet",
  };
}

/** What {@link untilJoined} needs. */
export interface JoinPorts extends Pick<BasePorts, "clock" | "random" | "log"> {
  /** Whether the API server can be reached. While it cannot, no other fault is logged. */
  readonly access: CauseLog;
  /** A place is taken for each try. */
  readonly places: Pick<JoinPlaces, "take">;
}

/**
 * Runs `Proxies` for the StatefulSet, and from the start for each StatefulSet that replaces it under the same name: the
 * records of the others belong to a uid. Ends with the signal's reason.
 *
 * @throws what a part of `Proxies` threw
 */
export async function runProxies(
  proxies: Pick<Proxies, "run"> & { readonly membership: Pick<Proxies["membership"], "whenReady"> },
  observer: Pick<Observer, "nextUid">,
  target: ScaleTarget,
  places: Pick<JoinPlaces, "take">,
  signal: AbortSignal,
): Promise<void> {
  let uid: string | undefined;
  for (;;) {
    uid = await observer.nextUid(uid, signal);
    const current = new AbortController();
    using joined = anySignal(signal, current.signal);
    const part = joined.signal;
    const next = observer.nextUid(uid, part).catch(() => {});
    next.then(() => current.abort(new Error("The StatefulSet was recreated")));
    try {
      const place = await places.take(part);
      proxies.membership.whenReady.then(() => place[Symbol.dispose]());
      await proxies.run({ ...target, uid }, part).finally(() => place[Symbol.dispose]());
    } catch (error) {
      if (!part.aborted) throw error;
      signal.throwIfAborted();
    } finally {
      current.abort();
      await next;
    }
  }
}

/**
 * Waits until the rights suffice, the StatefulSet and the pods are seen, and this proxy has joined the others; then the
 * proxy is ready. Retries without limit. Rejects only with the signal's reason.
 */
export async function untilJoined(
  count: Pick<CountReader, "checkRights">,
  proxies: { readonly membership: Pick<Proxies["membership"], "whenReady"> },
  observer: Pick<Observer, "whenSynced" | "whenListed">,
  { clock, random, log, access, places }: JoinPorts,
  joining: Joining,
  signal: AbortSignal,
): Promise<void> {
  const faults = new CauseLog(log, "rights_check_failed", access);
  for (let attempt = 0;; attempt++) {
    try {
      await checkRights(count, places, signal);
      faults.succeeded();
      joining.fault = undefined;
      joining.waitsFor =
        "the StatefulSet, the EndpointSlices of its Service or the other proxies are not seen yet";
      await observer.whenSynced(signal);
      await orAborted(proxies.membership.whenReady, signal);
      await observer.whenListed(signal);
      joining.joined = true;
      return log.info("ready");
    } catch (error) {
      signal.throwIfAborted();
      // The observer reports a missing StatefulSet.
      const isMissing = error instanceof ApiError && error.status === 404;
      joining.fault = isMissing ? undefined : publicMessageOf(error);
      if (!isMissing) faults.failed(error);
      await sleep(clock, retryDelayMs(error, attempt, random), signal);
    }
  }
}

/** Takes a place only for as long as the requests take: a target that is forbidden or absent is tried again and again. */
async function checkRights(
  count: Pick<CountReader, "checkRights">,
  places: Pick<JoinPlaces, "take">,
  signal: AbortSignal,
): Promise<void> {
  using _place = await places.take(signal);
  await count.checkRights(signal);
}
