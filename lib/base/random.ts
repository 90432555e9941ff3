/**
 * The port to randomness. Nothing else in `lib` may call `Math.random` or `crypto`, so that a run can be replayed from
 * a seed.
 *
 * @module
 */

/** A number in [0, 1), evenly spread. */
export type Random = () => number;

/** The machine's random source. Good for jitter and for names that must be new; not for secrets. */
export const systemRandom: Random = (): number => Math.random();

/** `length` random characters of `0-9a-z`, for names that must not have been used before. */
export function randomName(random: Random, length: number): string {
  let name = "";
  while (name.length < length) name += Math.floor(random() * 36).toString(36);
  return name;
}
