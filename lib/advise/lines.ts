/**
 * Splits bytes into lines without keeping more than one line.
 *
 * @module
 */

/** A longer line is no line of a history, in characters. */
const LONGEST_LINE = 65_536;

/** The lines of a text in UTF-8, without their ends; `undefined` for a line that is too long to be kept. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string | undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  let isTooLong = false;
  for await (const chunk of chunks) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop()!;
    for (const part of parts) {
      yield isTooLong || part.length > LONGEST_LINE ? undefined : part;
      isTooLong = false;
    }
    if (rest.length > LONGEST_LINE) {
      isTooLong = true;
      rest = "";
    }
  }
  rest += decoder.decode();
  if (isTooLong) yield undefined;
  else if (rest !== "") yield rest;
}
