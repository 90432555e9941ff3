/**
 * What the benchmarks tell their user, on standard output.
 *
 * @module
 */

/** Prints the text as whole lines, however long it is. */
export function say(text: string): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(Deno.stdout.writeSync(rest));
}
