/**
 * Names in a message, bounded. Pure.
 *
 * @module
 */

/** So many names are told, and so many characters of each. */
const MOST_NAMES = 5;
const LONGEST_NAME = 63;

/** The names in quotes, as JSON has them; of many only the first ones, and how many more there are. */
export function someNames(names: readonly string[]): string {
  const told = names.slice(0, MOST_NAMES).map((name) => JSON.stringify(name.slice(0, LONGEST_NAME)));
  const more = names.length - told.length;
  return more === 0 ? told.join(", ") : `${told.join(", ")} and ${more} more`;
}
