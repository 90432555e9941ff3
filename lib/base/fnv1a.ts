/**
 * A short hash of names: FNV-1a with 32 bits. Not for secrets, and not where somebody could profit from a collision.
 *
 * @see http://www.isthe.com/chongo/tech/comp/fnv/
 * @module
 */

/** As a signed number, so that all of the arithmetic is on 32-bit integers: this halves the time. */
const OFFSET_BASIS = 0x811c9dc5 | 0;
const PRIME = 0x01000193;

/** The hash as a signed number, continued from `hash`. Takes UTF-16 units as if they were bytes: names are ASCII. */
export function fnv1a(text: string, hash: number = OFFSET_BASIS): number {
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), PRIME);
  return hash;
}
