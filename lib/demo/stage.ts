/**
 * Where an act of the demo is played: a miniature cluster, the real program in front of it, and the timeline of both. An
 * act ends when it is played, when its time is up, when the user wants it, or when the program ends.
 *
 * @module
 */
import { anySignal } from "../base/any_signal.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { FatalError } from "../base/errors.ts";
import type { Address } from "../base/network.ts";
import { type KubeObject, PODS } from "../miniature/objects.ts";
import { isReady } from "../miniature/pods.ts";
import type { StoreEvent } from "../miniature/store.ts";
import { type DemoProgramOptions, runProgram } from "./demo_program.ts";
import { seconds, type Timeline } from "./timeline.ts";

/** Each part of an act has to end within this time, in ms, with buildkitd's first builds on a slow machine in mind. */
const PART_LIMIT_MS = 120_000;

/** What a stage is set up with. */
export interface StageOptions extends Omit<DemoProgramOptions, "stop" | "onListening" | "onEvent"> {
  /** Shows what happens. */
  readonly timeline: Timeline;
  /** The user's wish to end. */
  readonly stop: AbortSignal;
}

/** Runs a part of an act, under its time limit and the user's wish to end. */
export type Within = <T>(part: (signal: AbortSignal) => Promise<T>) => Promise<T>;

/**
 * Plays an act. `play` is told where clients connect.
 *
 * @throws what `play` or the program throws; FatalError when a part takes too long, or the user wants to end
 */
export async function perform(
  { cluster, timeline, stop, ...options }: StageOptions,
  play: (address: Address, within: Within) => Promise<void>,
): Promise<void> {
  const unsubscribe = cluster.api.registry.store.subscribe((event) => showPod(timeline, event));
  const listening = Promise.withResolvers<Address>();
  const over = new AbortController();
  const running = runProgram({
    ...options,
    cluster,
    stop: { drain: over.signal, now: over.signal },
    onListening: listening.resolve,
    onEvent: (text) => timeline.event("program", text),
  });
  try {
    const address = await Promise.race([listening.promise, running.then(unexpectedEnd)]);
    const act = play(address, (part) => within(part, stop, systemClock));
    await Promise.race([act, running.then(unexpectedEnd)]);
  } catch (error) {
    if (stop.aborted) throw new FatalError("The demo was interrupted");
    throw error;
  } finally {
    unsubscribe();
    over.abort(new Error("The demo is over"));
    await running.catch(() => {});
  }
}

async function within<T>(
  part: (signal: AbortSignal) => Promise<T>,
  stop: AbortSignal,
  clock: Clock,
): Promise<T> {
  const limit = new AbortController();
  const cancel = clock.setTimer(
    PART_LIMIT_MS,
    () => limit.abort(new FatalError(`This part of the demo did not end within ${seconds(PART_LIMIT_MS)}`)),
  );
  try {
    using over = anySignal(limit.signal, stop);
    return await part(over.signal);
  } finally {
    cancel();
  }
}

function showPod(timeline: Timeline, { resource, before, after }: StoreEvent): void {
  if (resource !== PODS) return;
  const name = (after ?? before)!.metadata.name;
  const show = (text: string) => timeline.event("cluster", `pod ${name} ${text}`);
  const became = (test: (pod: KubeObject) => boolean) =>
    after !== undefined && test(after) && (before === undefined || !test(before));
  if (before === undefined) show("is created");
  if (became((pod) => pod.status?.podIP !== undefined)) {
    show(`has an address, ${after!.status.podIP}, and starts`);
  }
  if (became(isReady)) show("is ready");
  if (became((pod) => pod.metadata.deletionTimestamp !== undefined)) show("is told to stop");
  if (after === undefined) show("is gone");
}

function unexpectedEnd(): never {
  throw new FatalError("The program has ended during the demo");
}
