/**
 * Memory and CPU time of this process, for its metrics. Needs no permission.
 *
 * @module
 */
import process from "node:process";
import type { ProcessFacts } from "./prometheus.ts";

/** Reads the facts. `startMs` is the wall time when the program's own code began. */
export function processFacts(startMs: number): () => ProcessFacts {
  return () => {
    const { rss, heapUsed } = Deno.memoryUsage();
    const { user, system } = process.cpuUsage();
    return {
      residentBytes: rss,
      heapBytes: heapUsed,
      cpuSeconds: (user + system) / 1e6,
      startSeconds: startMs / 1000,
    };
  };
}
