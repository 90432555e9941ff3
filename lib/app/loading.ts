/**
 * Waits for what is read at the start, so that all problems of all files are reported at once.
 *
 * @module
 */
import { UsageError } from "../base/errors.ts";

/**
 * What all parts have loaded.
 *
 * @throws UsageError with the problems of all that threw one, or the first other error
 */
export async function loadAll<Parts extends readonly unknown[]>(
  ...parts: Parts
): Promise<{ -readonly [Index in keyof Parts]: Awaited<Parts[Index]> }> {
  const settled = await Promise.allSettled(parts);
  const reasons = settled.flatMap((result) => result.status === "rejected" ? [result.reason as unknown] : []);
  const other = reasons.find((reason) => !(reason instanceof UsageError));
  if (other !== undefined) throw other;
  const problems = reasons.flatMap((reason) => (reason as UsageError).problems);
  if (problems.length > 0) throw new UsageError(problems);
  return settled.map((result) => (result as PromiseFulfilledResult<unknown>).value) as never;
}
