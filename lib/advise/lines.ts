/**
 * Reads bytes until a signal, and splits them into lines without keeping more than one line.
 *
 * @module
 */

/** A longer line is no line of a history, in characters. */
export const LONGEST_LINE = 65_536;

/** The bytes of a stream. Ends with the signal's reason, also while there is nothing to read; then the stream is cancelled. */
export async function* bytesOf(
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  const reader = stream.getReader();
  // Unlike closing the file, this is no error once the stream has ended.
  const stop = () => void reader.cancel(signal.reason).catch(() => {});
  signal.addEventListener("abort", stop);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      signal.throwIfAborted();
      if (done) return;
      yield value;
    }
  } finally {
    signal.removeEventListener("abort", stop);
    reader.releaseLock();
  }
}

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
