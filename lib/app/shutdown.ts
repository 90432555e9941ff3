/**
 * The end of the program: when it begins, and in which order the parts end, so that no running session is cut and no client
 * waits in vain. The order is the numbered comment of {@link untilEnded}.
 *
 * @module
 */
import { anySignal } from "../base/any_signal.ts";
import { type Clock, deadline, sleep } from "../base/clock.ts";
import { messageOf, publicMessageOf, TimeoutError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { TaskGroup } from "../base/task_group.ts";
import type { Election } from "../ha/election.ts";
import { type DrainSettings, longestDrainMs } from "../ha/token_end.ts";
import { LINGER_MS } from "../proxy/goodbye.ts";
import type { Proxy } from "../proxy/proxy.ts";
import type { Target } from "../target/target.ts";

/** Whether the end has begun: the program was told to stop, or a part of it has failed. */
export interface Ending {
  /** False until then. */
  begun: boolean;
}

/** What runs, and what tells it to end. */
export interface Running {
  /** Bounds waits. */
  readonly clock: Clock;
  /** Says how far it is. */
  readonly log: Log;
  /** The user's wish to end: when the running sessions have (`drain`), or at once (`now`). */
  readonly stop: { readonly drain: AbortSignal; readonly now: AbortSignal };
  /** The StatefulSets, and this proxy among others. */
  readonly targets: readonly Target[];
  /** The election of this process. */
  readonly election: Pick<Election, "release">;
  /** The sessions. */
  readonly proxy: Proxy;
  /** Told that it has begun. */
  readonly ending: Ending;
  /** All parts. */
  readonly tasks: TaskGroup;
}

/** How long an ending proxy tries to release the lead and to delete its record, in ms. Otherwise the others wait for both. */
const LEAVE_MS = 5_000;

/**
 * Waits for the end of the program, and carries it out, in this order:
 *
 * 1. The first signal, or a part that fails, makes the proxy unready.
 * 2. The lead goes to another proxy as soon as no write is under way. The record stays, and claims for held sessions go on.
 * 3. Load balancers get time to notice; until then new connections are served as before.
 * 4. Running sessions end by themselves, or when the time is up, or at the second signal.
 * 5. Everything else; the record last, when nothing can write it any more.
 *
 * @throws what a failed part threw
 */
export async function untilEnded(settings: DrainSettings, running: Running): Promise<void> {
  const { clock, log, stop, targets, proxy, ending, tasks } = running;
  await aborted(stop.drain, stop.now, tasks.signal);
  ending.begun = true;
  // When a part has failed, now or later, held clients are refused, and the record still protects running sessions.
  const drained = new AbortController();
  let outlasted: Promise<unknown> | undefined;
  const onFailure = () => {
    const cause = messageOf(tasks.signal.reason);
    log.error("component_failed", { cause, then: "the program ends after its running sessions" });
    const told = publicMessageOf(tasks.signal.reason);
    proxy.refuseHeld("failed", `The proxy in front of buildkitd has failed, start the build again: ${told}`);
    outlasted = Promise.all(targets.map(({ proxies }) => proxies.outlast(drained.signal)));
  };
  if (tasks.signal.aborted) onFailure();
  else tasks.signal.addEventListener("abort", onFailure, { once: true });
  for (const { scaler, proxies } of targets) {
    scaler.stopLowering();
    proxies.drain(longestDrainMs(settings));
  }
  const released = releaseLead(running);
  log.info("shutdown_started", { sessions: proxy.open, shutdownDelayMs: settings.shutdownDelayMs });
  await waitUntil(clock, settings.shutdownDelayMs, stop.now, tasks.signal);
  proxy.stopAccepting();
  void proxy.drained().then(() => drained.abort());
  await endSessions(settings, running, drained.signal);
  // The last session lines are written without waiting for the reason of a reset.
  await Promise.all(targets.map(({ resets }) => resets.end()));
  tasks.signal.removeEventListener("abort", onFailure);
  tasks.stop();
  try {
    await tasks.join();
  } finally {
    await outlasted;
    await released;
    await leave(running);
  }
}

/** Releases the lead as soon as no write of the replicas is under way. Never throws. */
async function releaseLead({ clock, log, stop, election, targets }: Running): Promise<void> {
  try {
    await Promise.all(targets.map(({ scaler }) => scaler.idle()));
    // Not the tasks' signal: without sessions, the tasks may end before this is answered.
    using limit = leaveLimit(clock, stop.now);
    await election.release(limit.signal);
  } catch (error) {
    log.debug("leader_lease_release_failed", { cause: messageOf(error) });
  }
}

/** Waits for the sessions to end; cuts those that are left when the time is up. */
async function endSessions(
  { drainTimeoutMs }: DrainSettings,
  { clock, log, stop, proxy }: Running,
  drained: AbortSignal,
): Promise<void> {
  await waitUntil(clock, drainTimeoutMs === 0 ? Infinity : drainTimeoutMs, stop.now, drained);
  if (proxy.open === 0) return;
  const why = stop.now.aborted ? "The proxy was told to stop at once" : "The drain timeout has passed";
  log.warn("sessions_cut", { sessions: proxy.open, reason: why });
  if (proxy.held > 0) {
    // Clients that wait can be told why, which takes a moment.
    proxy.refuseHeld(
      "drain_timeout",
      `${why}: the proxy in front of buildkitd is shutting down, start the build again`,
    );
    await waitUntil(clock, LINGER_MS, stop.now, drained);
  }
  proxy.cutAll(why);
  await proxy.drained();
}

/** Deletes this proxy's records. Never throws. */
async function leave({ clock, log, stop, targets }: Running): Promise<void> {
  using limit = leaveLimit(clock, stop.now);
  await Promise.all(targets.map(({ proxies }) =>
    proxies.leave(limit.signal).catch((error) => {
      log.warn("own_record_deletion_failed", { cause: messageOf(error) });
    })
  ));
}

function leaveLimit(clock: Clock, now: AbortSignal): ReturnType<typeof deadline> {
  return deadline(clock, LEAVE_MS, now, () => new TimeoutError("The API server does not answer"));
}

/** Resolves when one of the signals is aborted. */
async function aborted(...signals: readonly AbortSignal[]): Promise<void> {
  using any = anySignal(...signals);
  const { signal } = any;
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** Resolves after `delayMs`, or when one of the signals is aborted. */
async function waitUntil(clock: Clock, delayMs: number, ...signals: readonly AbortSignal[]): Promise<void> {
  if (delayMs === Infinity) return await aborted(...signals);
  using any = anySignal(...signals);
  await sleep(clock, delayMs, any.signal).catch(() => {});
}
