/**
 * Reads a moment: RFC 3339, or seconds since the epoch. Pure.
 *
 * @see https://www.rfc-editor.org/rfc/rfc3339#section-5.6
 * @module
 */

const RFC_3339 = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/;

/** Up to the year 5138, so that milliseconds are not taken for seconds. */
const SECONDS = /^\d{1,11}(?:\.\d{1,9})?$/;

/** In ms since the epoch; undefined if the text is no such moment. */
export function readTime(text: string): number | undefined {
  if (SECONDS.test(text)) return Number(text) * 1000;
  const [, day, time, fraction = "0", zone] = RFC_3339.exec(text) ?? [];
  if (day === undefined) return undefined;
  const ms = Date.parse(`${day}T${time}${zone!.toUpperCase()}`);
  return Number.isNaN(ms) ? undefined : ms + Number(`0.${fraction}`) * 1000;
}
