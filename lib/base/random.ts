/**
 * The port to random numbers. Nothing else in `lib` may call `Math.random` or `crypto`, so that tests can repeat a run
 * from its seed.
 *
 * @module
 */

/** A number in [0, 1), uniformly distributed. */
export type Random = () => number;

/** The real implementation, for jitter and unique names. Not for secrets. */
export const systemRandom: Random = (): number => Math.random();

/** `length` random characters of `0-9a-z`, for unique names. */
export function randomName(random: Random, length: number): string {
  let name = "";
  while (name.length < length) name += Math.floor(random() * 36).toString(36);
  return name;
}
