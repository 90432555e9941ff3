/** Tests of what makes a pod ready. @module */
import assert from "node:assert/strict";
import {
  checked,
  dialFailed,
  dialled,
  type HealthAnswer,
  isReady,
  type PodHealth,
  type ReadinessMode,
  UNCHECKED,
  unready,
} from "../../../lib/scaler/readiness.ts";

const backend = (ready: boolean, terminating = false) => ({
  ordinal: 0,
  pod: "b-0",
  uid: "u",
  addresses: ["192.0.2.1"],
  ready,
  terminating,
});
const after = (...answers: HealthAnswer[]): PodHealth => answers.reduce(checked, UNCHECKED);
const ready = (mode: ReadinessMode, condition: boolean, health: PodHealth) =>
  isReady(mode, backend(condition), health);

Deno.test("isReady() is never true of a terminating pod", () => {
  for (const mode of ["auto", "pod", "grpc"] as const) {
    assert.equal(isReady(mode, backend(true, true), after("serving")), false);
  }
});

Deno.test("isReady() in auto is true as soon as either says ready", () => {
  assert.equal(ready("auto", false, UNCHECKED), false);
  assert.equal(ready("auto", true, UNCHECKED), true);
  assert.equal(ready("auto", false, after("serving")), true);
  assert.equal(ready("auto", true, after("missed", "missed", "missed", "missed")), true);
});

Deno.test("isReady() in auto takes a pod out after three missed checks in a row, whatever its condition says", () => {
  assert.equal(ready("auto", false, after("serving", "missed", "missed")), true);
  assert.equal(ready("auto", true, after("serving", "missed", "not_serving", "missed")), false);
  assert.equal(ready("auto", true, after("serving", "missed", "missed", "serving", "missed")), true);
  assert.equal(ready("auto", false, after("serving", "missed", "missed", "missed", "serving")), true);
});

Deno.test("isReady() in auto requires the daemon's own answer after a failed dial", () => {
  const health = dialFailed(after("serving"), 0);
  assert.equal(ready("auto", true, health), false);
  assert.equal(ready("auto", true, checked(health, "missed")), false);
  assert.equal(ready("auto", true, checked(health, "serving")), true);
  assert.equal(ready("auto", true, checked(health, "unsupported")), true);
});

Deno.test("isReady() in auto falls back to the condition for a daemon without a health service", () => {
  assert.equal(ready("auto", true, after("unsupported")), true);
  assert.equal(ready("auto", false, after("unsupported")), false);
});

Deno.test("isReady() in pod looks at the condition only", () => {
  for (const health of [UNCHECKED, after("serving"), after("serving", "missed", "missed", "missed")]) {
    assert.equal(ready("pod", true, health), true);
    assert.equal(ready("pod", false, health), false);
  }
});

Deno.test("isReady() takes a pod out whose condition decides and that refuses three connections in a row, over 10 s", () => {
  for (const [mode, health] of [["pod", UNCHECKED], ["auto", after("unsupported")]] as const) {
    const dials = (...timesMs: readonly number[]) =>
      timesMs.reduce<PodHealth>((before, nowMs) => dialFailed(before, nowMs), health);
    assert.equal(ready(mode, true, dials(5, 10, 15, 5_000, 10_004)), true, "it may just be restarted");
    assert.equal(ready(mode, true, dials(5, 60_000)), true, "two are few");
    const out = dials(5, 5_000, 10_005);
    assert.equal(ready(mode, true, out), false);
    assert.equal(ready(mode, true, dialled(out)), true);
    assert.equal(ready(mode, true, unready(out)), true, "its container was restarted");
    const between = dialFailed(dialled(dials(5, 5_000)), 10_005);
    assert.equal(ready(mode, true, dialFailed(between, 20_004)), true, "one has succeeded in between");
  }
});

Deno.test("dialled() changes nothing of a pod that no dial to has failed", () => {
  const health = after("serving");
  assert.equal(dialled(health), health);
});

Deno.test("isReady() in grpc requires the daemon's answer", () => {
  for (
    const health of [UNCHECKED, after("unsupported"), after("not_serving"), dialFailed(after("serving"), 0)]
  ) {
    assert.equal(ready("grpc", true, health), false);
  }
  assert.equal(ready("grpc", false, after("serving")), true);
});

Deno.test("checked() takes an odd answer of a daemon that has served for a missed check", () => {
  assert.equal(after("serving", "unsupported").unsupported, false);
  assert.equal(after("serving", "unsupported").missed, 1);
});
