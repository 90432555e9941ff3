/** Tests of what Events say, and which records of the log are some. @module */
import assert from "node:assert/strict";
import { type EventCode, EVENTS } from "../../../lib/base/events.ts";
import type { LogFields } from "../../../lib/base/log.ts";
import { EVENT_ROWS, eventOf } from "../../../lib/ops/event_table.ts";

/** Record, reason and note of the Event; nothing if it is none. */
const CASES: readonly (readonly [EventCode, LogFields, string?, string?])[] = [
  ["scaled", { from: 0, to: 1, because: "1 held session" }, "ScaledUp", "Scaled from 0 to 1: 1 held session"],
  ["scaled", { from: 2, to: 0, because: "idle" }, "ScaledDown", "Scaled from 2 to 0: idle"],
  ["scaled", { from: 1, to: 1, because: "a promise" }],
  [
    "scaling_failed",
    { cause: "/a/file: gone", publicCause: "a file is gone" },
    "ScalingFailed",
    "a file is gone",
  ],
  ["scaling_failed", { cause: "HTTP 500" }, "ScalingFailed", "HTTP 500"],
  [
    "replicas_changed_externally",
    { from: 1, to: 3 },
    "ReplicasChanged",
    "Another client changed the replicas from 1 to 3",
  ],
  [
    "replicas_changed_externally",
    { from: 2, to: 0, wanted: 1 },
    "ReplicasLowered",
    "Another client changed the replicas from 2 to 0, though this proxy needs 1",
  ],
  [
    "replicas_raised_again",
    { to: 3, times: 2, keptMs: 480_000 },
    "ReplicasContested",
    "Another client raised the replicas to 3 again soon after they were lowered; they stay for 8m0s unless a session " +
    "uses them",
  ],
  [
    "cold_start_ended",
    { raisedMs: 20, readyMs: 13_600 },
    "ColdStartEnded",
    "A pod was ready 14s after a client had called for it",
  ],
  ["pod_late", { cause: "pod b-0 is Pending", waiting: 0 }, "ColdStartSlow", "pod b-0 is Pending"],
  [
    "pod_late",
    { cause: "Stuck: pod b-0 is Pending", waiting: 2, stuck: true },
    "BuilderStuck",
    "Stuck: pod b-0 is Pending (2 clients wait for it)",
  ],
  ["pod_late_recovered", { ready: true }, "BuilderRecovered", "No pod is awaited for long any more"],
  ["pod_late_recovered", { ready: false }],
  ["queue_slow", { cause: "queued" }, "ClientsQueued", "queued"],
  ["session_ended", { outcome: "timed_out", reason: "no pod" }, "ClientTimedOut", "no pod"],
  [
    "session_ended",
    { outcome: "queue_timeout", reason: "full" },
    "QueueTimedOut",
    "A client found no room within --queue-timeout",
  ],
  ["session_ended", { outcome: "completed" }],
  ["leader_changed", { leader: "x" }],
];

for (const [code, fields, reason, note] of CASES) {
  Deno.test(`eventOf() of ${code} ${JSON.stringify(fields)} is ${reason ?? "nothing"}`, () => {
    const { event } = eventOf(code, fields) ?? {};
    assert.deepEqual([event?.reason, event?.note], [reason, note]);
  });
}

Deno.test("eventOf() never throws, whatever a record lacks, and says something", () => {
  for (const code of Object.keys(EVENTS) as EventCode[]) {
    for (const fields of [{}, { outcome: "timed_out" }, { from: 1, to: 2 }, { ready: true, stuck: true }]) {
      assert.notEqual(eventOf(code, fields)?.event.note, "");
    }
  }
});

Deno.test("each Event is a warning if its record is one, and the end of a fault is normal", () => {
  for (const [code, rows] of Object.entries(EVENT_ROWS)) {
    for (const { type, reason, action } of rows) {
      if (code.endsWith("_recovered")) assert.equal(type, "Normal", code);
      assert.match(reason, /^[A-Z][A-Za-z]{1,127}$/);
      assert.match(action, /^[A-Z][A-Za-z]{1,127}$/);
    }
  }
});

Deno.test("eventOf() cuts a note at 1024 bytes and a whole character, and escapes what moves a terminal's cursor", () => {
  const noteOf = (cause: string) => eventOf("scaling_failed", { cause })!.event.note;
  assert.equal(noteOf("a".repeat(1024)), "a".repeat(1024));
  assert.equal(noteOf("a".repeat(1025)), `${"a".repeat(1021)}…`);
  assert.equal(noteOf("é".repeat(600)), `${"é".repeat(510)}…`);
  assert.equal(noteOf("😀".repeat(300)), `${"😀".repeat(255)}…`);
  assert.equal(noteOf("\u001b[31mred\n"), "\\u001b[31mred\\u000a");
});
