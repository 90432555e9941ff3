/**
 * How a proxy that only observes ends the promise with which it has joined. Others end theirs by a claim, which this one
 * cannot write. A scale-down that has not asked it can be under way only while a proxy that scales is there, or was a moment
 * ago: one that has read the count and listed the records before this proxy's was among them. Writes nothing.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import type { BasePorts } from "../base/ports.ts";
import type { Placement } from "../scaler/placement.ts";
import type { KnownRecords } from "./known_records.ts";
import type { SeenRecord } from "./record_expiry.ts";
import { stillThere } from "./votes.ts";

/** What it is found out with. */
export interface OutwaitPorts extends Pick<BasePorts, "clock" | "log"> {
  /** Lists the records. */
  readonly records: Pick<KnownRecords, "list">;
  /** Where the promise binds. */
  readonly placement: Pick<Placement, "agreement" | "release">;
  /** Reads the count as it stands; what it sees ends promises on older versions. */
  readonly count: { read(signal: AbortSignal): Promise<unknown> };
  /** This process. */
  readonly identity: string;
}

/** The records are listed again after so long, in ms. */
const LIST_MS = 5_000;

/**
 * A write that was sent can land this much later, in ms, also if its proxy has died or has given it up: kube-apiserver
 * carries out no request that is older (its `--request-timeout`, 1m0s). A record may expire sooner.
 */
const LATE_MS = 60_000;

/**
 * Waits until no scale-down that this proxy was not asked about can land, and ends the promise on this version. It is over
 *
 * - when a newer version of the StatefulSet was seen, as for every promise;
 * - when there was no record of a proxy that scales: such a proxy deletes its record when it writes no more;
 * - when those that were there have gone or expired, after {@link LATE_MS};
 * - or after the longest expiry of the records that were there: for longer than that, no proxy that is cut off or frozen is
 *   waited for.
 *
 * A proxy whose record comes later finds that of this one, and asks it. What landed meanwhile is read before the promise
 * ends, since no watch may have told of it yet.
 *
 * @throws what the list of the records or the read threw, or the reason of `signal`
 */
export async function outwait(
  version: string,
  { clock, log, records, placement, count, identity }: OutwaitPorts,
  signal: AbortSignal,
): Promise<void> {
  const fromMs = clock.nowMs();
  const isBound = () => placement.agreement.promises.some((promise) => promise.version === version);
  const there = await records.list(signal);
  const longestMs = Math.max(LATE_MS, ...there.map(({ expiryMs }) => expiryMs));
  let scale: readonly SeenRecord[] = there.filter((record) =>
    record.identity !== identity && record.body?.observes !== true &&
    record.unchangedMs < Math.max(LATE_MS, record.expiryMs)
  );
  const leastMs = scale.length === 0 ? 0 : LATE_MS;
  const passedMs = () => clock.nowMs() - fromMs;
  if (scale.length > 0 && isBound()) {
    log.info("observer_waits", {
      proxies: scale.map(({ identity }) => identity),
      forMs: longestMs - passedMs(),
    });
  }
  while (isBound() && passedMs() < longestMs && (scale.length > 0 || passedMs() < leastMs)) {
    await sleep(clock, Math.min(LIST_MS, longestMs - passedMs()), signal);
    scale = stillThere(scale, await records.list(signal));
  }
  if (!isBound()) return;
  await count.read(signal);
  placement.release(version);
}
