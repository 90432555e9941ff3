/**
 * Who has to consent to a scale-down, and who has. Pure. Safety rests on this and on the promises alone: silence is no
 * consent, and an answer counts only for the very announcement that it was given to.
 *
 * @module
 */
import { blocks } from "../scaler/agreement.ts";
import type { ProxyRecord, RecordBody } from "./record.ts";
import { isExpired, type SeenRecord } from "./record_expiry.ts";

/** The part of a record that says whether its proxy must answer. */
export type Voter = Pick<SeenRecord, "identity" | "unchangedMs" | "expiryMs">;

/**
 * The other proxies that must answer, by a list that was read after the count and its version. This proxy's own vote is
 * its promise.
 */
export function mustAnswer<T extends Voter>(list: readonly T[], self: string): readonly T[] {
  return list.filter((record) => record.identity !== self && !isExpired(record));
}

/** Which of the missing still must answer by a later list: not those whose record is gone or has expired. */
export function stillThere<T extends Voter>(missing: readonly T[], later: readonly Voter[]): readonly T[] {
  return missing.filter(({ identity }) =>
    later.some((record) => record.identity === identity && !isExpired(record))
  );
}

/** Whether a proxy has answered this announcement of `leader`. */
export function hasAnswered(
  record: { readonly body: Pick<RecordBody, "answers"> | undefined } | undefined,
  leader: string,
  generation: number,
): boolean {
  return record?.body?.answers[leader] === generation;
}

/**
 * Whether a record says that its proxy will not answer: its sessions block the scale-down, or it only observes. False for
 * one that cannot be read.
 */
export function objects(record: Pick<ProxyRecord, "body"> | undefined, below: number): boolean {
  if (record?.body === undefined) return false;
  const { inUse, needing, observes } = record.body;
  if (observes) return true;
  const highest = Math.max(-1, ...inUse.filter(({ busy }) => busy).map(({ ordinal }) => ordinal));
  // How many pods they need is known to their proxy alone, but it is one at least.
  return blocks({ highest, needed: Math.min(1, needing) }, below);
}
