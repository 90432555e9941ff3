/**
 * What the program's log writes.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Log } from "../../lib/base/log.ts";
import { type LogOptions, openLog } from "../../lib/ops/log_output.ts";
import { VirtualClock } from "./virtual_clock.ts";

/** The lines that `use` writes. */
export async function logged(
  use: (log: Log, clock: VirtualClock) => void | Promise<void>,
  options: Partial<LogOptions> = {},
): Promise<string[]> {
  const clock = new VirtualClock();
  let written = "";
  const decoder = new TextDecoder();
  const { log, flush } = await openLog({
    level: "info",
    format: "json",
    terminal: false,
    colors: false,
    clock,
    writer: {
      write(bytes) {
        written += decoder.decode(bytes, { stream: true });
        return Promise.resolve(bytes.length);
      },
    },
    ...options,
  });
  await use(log, clock);
  await flush(1000);
  assert.equal(clock.pending, 0, "no timer stays");
  return written === "" ? [] : written.replace(/\n$/, "").split("\n");
}
