/**
 * The bars that the gate checks, on medians of one run. They guard against regressions: a change of the program that
 * misses one has made it slower or larger.
 *
 * @module
 */
import { type Bar, PEERS } from "./figures.ts";

const STREAMS = [1, 4, 64].flatMap((count) => [`streams-up-${count}`, `streams-down-${count}`]);

/** All of them; times in ms, memory in MB. */
export const BARS: readonly Bar[] = [
  ...STREAMS.map((row) => ({ row, beside: PEERS, atLeast: 1 })),
  ...STREAMS.map((row) => ({ row: `${row}-cpu`, beside: ["Go"] as const, atMost: 1.2, isAim: true })),
  ...[1, 64, 1_000].map((count) => ({
    row: `pingpong-${count}`,
    beside: ["HAProxy"] as const,
    atLeast: 1,
  })),
  { row: "connects", beside: ["Go"], atLeast: 0.9 },
  ...["up", "down"].flatMap((mode) => [
    { row: `tls-${mode}`, beside: ["Go"] as const, atLeast: 0.9, isAim: true },
    { row: `tls-mutual-${mode}`, beside: ["Go"] as const, atLeast: 0.6, isAim: true },
  ]),
  { row: "idle-0", above: "empty", atMost: 12 },
  { row: "idle-1000", above: "empty", atMost: 30 },
  { row: "idle-9000", above: "empty", atMost: 200 },
  { row: "held-memory", above: "empty", atMost: 150 },
  { row: "held-last", atMost: 2_000 },
  { row: "cold-ready", atMost: 5 },
  { row: "cold-answer", atMost: 5 },
  { row: "crashes", atMost: 50 },
];
