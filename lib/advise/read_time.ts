/**
 * Reads a moment: RFC 3339, or seconds since the epoch; and says how long a session may be. Pure.
 *
 * @see https://www.rfc-editor.org/rfc/rfc3339#section-5.6
 * @module
 */

const RFC_3339 = /^(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3]):\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/;

/** The end of the year 9999, in ms since the epoch. */
const LATEST_MS = Date.UTC(10_000, 0, 1) - 1;

/** The moments that are read, for messages. */
export const YEARS = "in the years 1970 to 9999";

/** The longest session, in ms: a year. A replay of a longer one would hardly end. */
export const LONGEST_SESSION_MS = 365 * 24 * 3_600_000;

/** A length in ms that a session can have. False for what is no number. */
export function isLength(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= LONGEST_SESSION_MS;
}

/** Up to the year 5138, so that milliseconds are not taken for seconds. */
const SECONDS = /^\d{1,11}(?:\.\d{1,9})?$/;

/** In ms since the epoch; undefined if the text is no such moment of the years 1970 to 9999. */
export function readTime(text: string): number | undefined {
  if (SECONDS.test(text)) return Number(text) * 1000;
  const [, day, time, fraction = "0", zone] = RFC_3339.exec(text) ?? [];
  if (day === undefined) return undefined;
  // Dates such as 30 February would be moved to the next month.
  const midnight = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(midnight.getTime()) || !midnight.toISOString().startsWith(day)) return undefined;
  const ms = Date.parse(`${day}T${time}${zone!.toUpperCase()}`) + Number(`0.${fraction}`) * 1000;
  return ms >= 0 && ms <= LATEST_MS ? ms : undefined;
}
