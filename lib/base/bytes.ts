/**
 * Operations on byte arrays. Pure.
 *
 * @module
 */

/** A new array with all parts in order. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}

/** The same bytes in fewer parts: each has `leastBytes` or more, but for the last one. Takes what it needs for the next one. */
export function* joined(parts: Iterable<Uint8Array>, leastBytes: number): Generator<Uint8Array, void> {
  const some: Uint8Array[] = [];
  let bytes = 0;
  for (const part of parts) {
    some.push(part);
    bytes += part.byteLength;
    if (bytes < leastBytes) continue;
    yield concat(some.splice(0));
    bytes = 0;
  }
  if (bytes > 0) yield concat(some);
}
