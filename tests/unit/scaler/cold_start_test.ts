/** Tests of how the phases of a cold start are measured. @module */
import assert from "node:assert/strict";
import type { Metrics } from "../../../lib/base/metrics.ts";
import { ColdStart } from "../../../lib/scaler/cold_start.ts";
import type { Backend } from "../../../lib/scaler/backends.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

function setUp() {
  const clock = new VirtualClock();
  /** What was recorded since the last look: the phase and the seconds. */
  const recorded: (readonly [string, number])[] = [];
  const metrics: Metrics = {
    record(name, value, labels) {
      assert.equal(name, "cold_start_seconds");
      recorded.push([(labels as { phase: string }).phase, value]);
    },
  };
  const log = recordingLog();
  const coldStart = new ColdStart({ clock, log, metrics });
  const look = (ready: boolean, ...backends: Backend[]) =>
    coldStart.look({ all: backends, isReady: ({ terminating }) => ready && !terminating });
  const news = () => recorded.splice(0);
  return { clock, log, coldStart, look, news };
}

const pod = (addresses: readonly string[], terminating = false): Backend => ({
  ordinal: 0,
  pod: "b-0",
  uid: "u",
  addresses,
  ready: false,
  terminating,
});
const WITHOUT_ADDRESS = pod([]);
const WITH_ADDRESS = pod(["192.0.2.1"]);
const TERMINATING = pod(["192.0.2.2"], true);

Deno.test("ColdStart ends with the ready pod where nobody but a request without a session has waited", async () => {
  const { clock, coldStart, look, news } = setUp();
  coldStart.begin(false);
  await clock.advance(1_000);
  look(true, WITH_ADDRESS);
  assert.deepEqual(news(), [["pod_address", 1], ["ready", 1]]);
  await clock.advance(5_000_000);
  coldStart.reached("first_byte");
  assert.deepEqual(news(), [], "the first build comes to a pod that is there");
  coldStart.begin(false);
  coldStart.begin();
  await clock.advance(1_000);
  look(true, WITH_ADDRESS);
  coldStart.reached("first_byte");
  assert.deepEqual(news().at(-1), ["first_byte", 1], "a session has waited, too");
});

Deno.test("ColdStart measures each phase once, from the first held session on", async () => {
  const { clock, coldStart, look, news } = setUp();
  coldStart.begin();
  await clock.advance(500);
  coldStart.begin();
  coldStart.reached("scale_write");
  assert.deepEqual(news(), [["scale_write", 0.5]]);
  await clock.advance(500);
  coldStart.reached("scale_write");
  look(false);
  look(false, WITHOUT_ADDRESS);
  look(false, TERMINATING);
  look(true, TERMINATING);
  assert.deepEqual(news(), [], "no phase has ended");
  look(false, TERMINATING, WITH_ADDRESS);
  assert.deepEqual(news(), [["pod_address", 1]]);
  await clock.advance(1_000);
  look(true, TERMINATING, WITH_ADDRESS);
  look(true, WITH_ADDRESS);
  assert.deepEqual(news(), [["ready", 2]]);
  await clock.advance(1_000);
  coldStart.reached("first_byte");
  coldStart.reached("first_byte");
  look(true, WITH_ADDRESS);
  assert.deepEqual(news(), [["first_byte", 3]]);
});

Deno.test("ColdStart measures nothing of pods that come while nobody waits", () => {
  const { coldStart, look, news } = setUp();
  look(true, WITH_ADDRESS);
  coldStart.reached("first_byte");
  assert.deepEqual(news(), []);
});

Deno.test("ColdStart forgets a cold start when nobody waits any more", async () => {
  const { clock, coldStart, look, news } = setUp();
  coldStart.begin();
  await clock.advance(1_000);
  coldStart.settle();
  look(true, WITH_ADDRESS);
  coldStart.reached("first_byte");
  assert.deepEqual(news(), []);
  coldStart.begin();
  await clock.advance(1_000);
  look(true, WITH_ADDRESS);
  assert.deepEqual(
    news(),
    [["pod_address", 1], ["ready", 1]],
    "the next one begins at its own first session",
  );
});

Deno.test("ColdStart still measures the first byte when all sessions have been seated", async () => {
  const { clock, coldStart, look, news } = setUp();
  coldStart.begin();
  look(true, WITH_ADDRESS);
  news();
  await clock.advance(1_000);
  coldStart.settle();
  coldStart.reached("first_byte");
  assert.deepEqual(news(), [["first_byte", 1]]);
});

Deno.test("ColdStart begins again for a session that is held once a pod was ready", async () => {
  const { clock, coldStart, look, news } = setUp();
  coldStart.begin();
  look(true, WITH_ADDRESS);
  news();
  await clock.advance(1_000);
  coldStart.begin();
  await clock.advance(2_000);
  look(true, WITH_ADDRESS);
  assert.deepEqual(news(), [["pod_address", 2], ["ready", 2]]);
});

Deno.test("ColdStart counts no write that comes after the first byte: it is for running sessions", async () => {
  const { clock, coldStart, look, news } = setUp();
  coldStart.begin();
  look(true, WITH_ADDRESS);
  coldStart.reached("first_byte");
  news();
  await clock.advance(3_600_000);
  coldStart.reached("scale_write");
  assert.deepEqual(news(), []);
});

Deno.test("ColdStart logs how long a cold start took if this proxy has raised the count for it, once", async () => {
  for (const raises of [true, false]) {
    const { clock, log, coldStart, look } = setUp();
    coldStart.raised();
    for (let i = 0; i < 2; i++) {
      coldStart.begin();
      await clock.advance(20);
      if (raises) coldStart.raised();
      await clock.advance(1_000);
      look(true, WITH_ADDRESS);
      look(true, WITH_ADDRESS);
    }
    const record = { level: "info", code: "cold_start_ended", fields: { raisedMs: 20, readyMs: 1_020 } };
    assert.deepEqual(log.records, raises ? [record, record] : []);
  }
});
