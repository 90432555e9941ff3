/**
 * Finds the name that was probably meant by a mistyped one. Pure.
 *
 * @module
 */

/**
 * The name with the fewest edits from `wrong`; `undefined` if they differ in more than a third of their letters. A
 * common `prefix` is not compared.
 */
export function nearest(wrong: string, names: readonly string[], prefix = ""): string | undefined {
  const word = (name: string) => name.startsWith(prefix) ? name.slice(prefix.length) : name;
  const ranked = names.map((name) => {
    const edits = editDistance(word(wrong), word(name));
    return { name, edits, isNear: edits * 3 <= Math.max(word(wrong).length, word(name).length) };
  }).filter(({ isNear }) => isNear);
  if (ranked.length === 0) return undefined;
  return ranked.reduce((best, next) => next.edits < best.edits ? next : best).name;
}

/**
 * The number of insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (optimal string
 * alignment distance).
 */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let edits = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      // For the first letters this compares with `undefined`, which equals no letter.
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        edits = Math.min(edits, beforeLast[j - 2]! + 1);
      }
      row.push(edits);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
