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
import { mustAnswer } from "./votes.ts";

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
 * Waits until no scale-down that this proxy was not asked about can land, and ends the promise on this version. It is over
 *
 * - when a newer version of the StatefulSet was seen, as for every promise;
 * - when no record is of a proxy that scales: such a proxy deletes its record when it writes no more;
 * - or after the time in which a record expires: for longer than that, no proxy that is cut off or frozen is waited for.
 *
 * What landed meanwhile is read before the promise ends, since no watch may have told of it yet.
 *
 * @throws what the list of the records or the read threw, or the reason of `signal`
 */
export async function outwait(
  version: string,
  recordExpiryMs: number,
  { clock, log, records, placement, count, identity }: OutwaitPorts,
  signal: AbortSignal,
): Promise<void> {
  const untilMs = clock.nowMs() + recordExpiryMs;
  const isBound = () => placement.agreement.promises.some((promise) => promise.version === version);
  let told = "";
  while (isBound() && clock.nowMs() < untilMs) {
    const others = mustAnswer(await records.list(signal), identity);
    const scale = others.filter(({ body }) => body?.observes !== true).map(({ identity }) => identity);
    if (scale.length === 0) break;
    if (told !== `${scale}`) log.info("observer_waits", { proxies: scale, forMs: untilMs - clock.nowMs() });
    told = `${scale}`;
    await sleep(clock, Math.min(LIST_MS, untilMs - clock.nowMs()), signal);
  }
  if (!isBound()) return;
  await count.read(signal);
  placement.release(version);
}
