/**
 * A lasting fault is said once, and one that follows from another not at all.
 *
 * @module
 */
import assert from "node:assert/strict";
import { PrivateError } from "../../../lib/base/errors.ts";
import { CauseLog } from "../../../lib/base/log.ts";
import { recordingLog } from "../../support/recording_log.ts";

function said(log: ReturnType<typeof recordingLog>): string[] {
  return log.records.filter(({ level }) => level !== "debug")
    .map(({ level, event, fields }) => `${level} ${event}: ${fields["cause"]}`);
}

Deno.test("CauseLog says each new cause once, and the end of the fault", () => {
  const log = recordingLog();
  const fault = new CauseLog(log, "cannot scale");
  fault.succeeded();
  for (const cause of ["a", "a", "b"]) fault.failed(cause);
  assert.equal(fault.cause, "b");
  fault.succeeded();
  fault.succeeded();
  assert.equal(fault.cause, undefined);
  assert.deepEqual(said(log), [
    "warn cannot scale: a",
    "warn cannot scale: b",
    "info cannot scale is over: b",
  ]);
});

Deno.test("CauseLog under a fault that lasts knows its cause and does not say it, until that one is over", () => {
  const log = recordingLog();
  const above = new CauseLog(log, "no access");
  const fault = new CauseLog(log, "cannot scale", above);
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
    "warn no access: refused",
    "info no access is over: refused",
    "warn cannot scale: forbidden",
    "warn no access: refused",
    "info no access is over: refused",
    "info cannot scale is over: forbidden",
  ]);
});

Deno.test("CauseLog writes an error's own message, and shows the public one", () => {
  const log = recordingLog();
  const faults = new CauseLog(log, "broken");
  const error = new PrivateError("/home/me/config is gone", "a file is gone");
  faults.failed(error);
  assert.equal(faults.cause, "a file is gone");
  assert.deepEqual(log.of("broken").map(({ fields }) => fields["cause"]), ["/home/me/config is gone"]);
});
