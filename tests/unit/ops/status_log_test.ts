/**
 * Tests of what the status page takes from the log.
 *
 * @module
 */
import assert from "node:assert/strict";
import { MOST_DECISIONS, MOST_SESSIONS, StatusLog } from "../../../lib/ops/status_log.ts";
import { recordingLog } from "../../support/recording_log.ts";

function setUp() {
  const log = recordingLog();
  const noted = new StatusLog({ nowMs: () => 1_000 });
  return { log, noted, over: noted.over(log) };
}

Deno.test("StatusLog passes every record on as it is", () => {
  const { log, over } = setUp();
  over.debug("session_opened", { session: 1, client: "192.0.2.1:9" });
  over.info("scaled", { from: 0, to: 1 });
  over.warn("scaling_failed", { cause: "no" });
  over.error("internal_error");
  assert.deepEqual(log.records.map(({ level, code, fields }) => [level, code, fields]), [
    ["debug", "session_opened", { session: 1, client: "192.0.2.1:9" }],
    ["info", "scaled", { from: 0, to: 1 }],
    ["warn", "scaling_failed", { cause: "no" }],
    ["error", "internal_error", {}],
  ]);
});

Deno.test("StatusLog keeps the last decisions of each builder, and no other record", () => {
  const { noted, over } = setUp();
  for (let to = 1; to <= MOST_DECISIONS + 5; to++) over.info("scaled", { builder: "a", from: to - 1, to });
  over.info("replicas_changed_externally", { builder: "b", from: 0, to: 3 });
  over.info("leader_changed", { builder: "b" });
  over.info("scaled", { builder: "b", from: 3, to: 3 });
  const decisions = noted.decisionsOf("a");
  assert.equal(decisions.length, MOST_DECISIONS);
  assert.deepEqual(decisions.at(-1), {
    atMs: 1_000,
    code: "scaled",
    text: "scaled",
    fields: { builder: "a", from: MOST_DECISIONS + 4, to: MOST_DECISIONS + 5 },
  });
  assert.deepEqual(noted.decisionsOf("b").map(({ text }) => text), ["replicas changed by another client"]);
  assert.deepEqual(noted.decisionsOf("c"), []);
});

Deno.test("StatusLog takes records that name no builder for those of the only one", () => {
  const { noted, over } = setUp();
  over.info("scaled", { from: 0, to: 1 });
  assert.equal(noted.decisionsOf("buildkitd").length, 1);
});

Deno.test("StatusLog knows the clients of open sessions, and the last sessions that have ended", () => {
  const { noted, over } = setUp();
  over.debug("session_opened", { session: 1, client: "192.0.2.1:9", clientName: "ci" });
  assert.deepEqual(noted.clientOf(1), { client: "192.0.2.1:9", clientName: "ci" });
  for (let session = 1; session <= MOST_SESSIONS + 5; session++) over.info("session_ended", { session });
  assert.deepEqual(noted.clientOf(1), {});
  assert.equal(noted.sessions.length, MOST_SESSIONS);
  assert.equal(noted.sessions.at(-1)!.fields["session"], MOST_SESSIONS + 5);
});

Deno.test("StatusLog forgets the oldest clients when there are too many", () => {
  const { noted, over } = setUp();
  for (let session = 1; session <= 20_001; session++) over.debug("session_opened", { session, client: "x" });
  assert.deepEqual([noted.clientOf(1), noted.clientOf(2).client], [{}, "x"]);
});
