/**
 * Leads a builder in place of the leader of the election, where that one does not scale it. There is one election for all
 * builders of a process, and during a roll-out the leader may not name a builder that others name (`--builders`), or only
 * observe it (`--observe`). Without this the builder would stay up for as long as that leader leads.
 *
 * No scale-down under a session can come of it, whoever stands in and however many do: the agreement (`consent.ts`) rests
 * on the promises of all proxies with a record and on the version that the write is conditioned on, and is made anew for
 * each write. Two that lead at once only cost each other a conflict.
 *
 * @module
 */
import { sleep } from "../base/clock.ts";
import type { BasePorts } from "../base/ports.ts";
import type { Election } from "./election.ts";
import type { KnownRecords } from "./known_records.ts";

/** What it is decided with. */
export interface StandInPorts extends Pick<BasePorts, "clock" | "log"> {
  /** Knows the leader of the election. */
  readonly election: Pick<Election, "holder">;
  /** Of this builder. */
  readonly records: Pick<KnownRecords, "others">;
  /** This process. */
  readonly identity: string;
}

/** How often this proxy looks, in ms. */
const LOOK_MS = 5_000;

/** A leader has this long to join the others in front of a builder, in ms, and then each proxy before the next one. */
const TURN_MS = 30_000;

/**
 * Calls `stand` with true when this proxy shall lead the builder in place of the leader, and with false when it no longer
 * shall. The first to do so is the proxy with the lowest identity of those that scale the builder. After a while the next
 * one does as well, since nobody knows whether the first one can: it may drain, or lack the right.
 */
export async function standIn(
  stand: (stands: boolean) => void,
  { clock, log, election, records, identity }: StandInPorts,
  signal: AbortSignal,
): Promise<void> {
  let unledMs = 0;
  let stands = false;
  try {
    for (;;) {
      await sleep(clock, LOOK_MS, signal);
      const { holder } = election;
      const scale = records.others.filter(({ body }) => body?.observes !== true).map(({ identity }) =>
        identity
      );
      const isLed = holder === "" || holder === identity || scale.includes(holder);
      unledMs = isLed ? 0 : unledMs + LOOK_MS;
      const before = scale.filter((other) => other < identity).length;
      const stood: boolean = stands;
      stands = unledMs >= (1 + before) * TURN_MS;
      if (stands === stood) continue;
      if (stands) log.info("builder_led_apart", { leader: holder });
      stand(stands);
    }
  } finally {
    if (stands) stand(false);
  }
}
