/**
 * A lasting fault is said once, and one that follows from another not at all.
 *
 * @module
 */
import assert from "node:assert/strict";
import { PrivateError } from "../../../lib/base/errors.ts";
import { CauseLog, logWith } from "../../../lib/base/log.ts";
import { recordingLog } from "../../support/recording_log.ts";

function said(log: ReturnType<typeof recordingLog>): string[] {
  return log.records.filter(({ level }) => level !== "debug")
    .map(({ level, code, fields }) => `${level} ${code}: ${fields["cause"]}`);
}

Deno.test("CauseLog logs each new cause once, and the end of the fault", () => {
  const log = recordingLog();
  const fault = new CauseLog(log, "scaling_failed");
  fault.succeeded();
  for (const cause of ["a", "a", "b"]) fault.failed(cause);
  assert.equal(fault.cause, "b");
  fault.succeeded();
  fault.succeeded();
  assert.equal(fault.cause, undefined);
  assert.deepEqual(said(log), [
    "warn scaling_failed: a",
    "warn scaling_failed: b",
    "info scaling_failed_recovered: b",
  ]);
});

Deno.test("CauseLog under a fault that lasts knows its cause and does not say it, until that one is over", () => {
  const log = recordingLog();
  const above = new CauseLog(log, "api_access_failed");
  const fault = new CauseLog(log, "scaling_failed", above);
  above.failed("refused");
  fault.failed("refused");
  assert.equal(fault.cause, "refused");
  above.succeeded();
  fault.failed("forbidden");
  above.failed("refused");
  fault.failed("refused");
  above.succeeded();
  fault.succeeded();
  assert.deepEqual(said(log), [
    "warn api_access_failed: refused",
    "info api_access_failed_recovered: refused",
    "warn scaling_failed: forbidden",
    "warn api_access_failed: refused",
    "info api_access_failed_recovered: refused",
    "info scaling_failed_recovered: forbidden",
  ]);
});

Deno.test("CauseLog writes an error's own message, and shows the public one", () => {
  const log = recordingLog();
  const faults = new CauseLog(log, "scaling_failed");
  const error = new PrivateError("/home/me/config is gone", "a file is gone");
  faults.failed(error);
  assert.equal(faults.cause, "a file is gone");
  assert.deepEqual(log.of("scaling_failed").map(({ fields }) => fields["cause"]), [
    "/home/me/config is gone",
  ]);
});

Deno.test("CauseLog puts its own fields into every record, at every level", () => {
  const log = recordingLog();
  const faults = new CauseLog(log, "watch_failed", undefined, { resource: "leases" });
  faults.failed("a", { attempt: 1 });
  faults.failed("a");
  faults.succeeded();
  assert.deepEqual(log.records.map(({ level, code, fields }) => [level, code, fields]), [
    ["warn", "watch_failed", { resource: "leases", cause: "a", attempt: 1 }],
    ["debug", "watch_failed", { resource: "leases", cause: "a" }],
    ["info", "watch_failed_recovered", { resource: "leases", cause: "a" }],
  ]);
});

Deno.test("logWith() adds its fields to every record, and a record's own come first", () => {
  const log = recordingLog();
  const own = logWith(log, { builder: "b2", cause: "none" });
  own.info("scaled", { from: 0, to: 1 });
  own.warn("scaling_failed", { cause: "a" });
  own.debug("session_opened");
  assert.deepEqual(log.records.map(({ level, code, fields }) => ({ level, code, fields })), [
    { level: "info", code: "scaled", fields: { builder: "b2", cause: "none", from: 0, to: 1 } },
    { level: "warn", code: "scaling_failed", fields: { builder: "b2", cause: "a" } },
    { level: "debug", code: "session_opened", fields: { builder: "b2", cause: "none" } },
  ]);
});
