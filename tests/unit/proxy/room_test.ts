/**
 * Tests of how many sessions there are descriptors for.
 *
 * @module
 */
import assert from "node:assert/strict";
import { FEW_ARRIVALS, MOST_ARRIVALS } from "../../../lib/entrance/arrivals.ts";
import { countDescriptors } from "../../../lib/ops/descriptors.ts";
import { descriptorsFor, Room } from "../../../lib/proxy/room.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { recordingLog } from "../../support/recording_log.ts";

/** A process that may open so many more files. */
function roomOf(maxConnections: number, free: number | undefined) {
  const log = recordingLog();
  const metrics = countedMetrics(() => {});
  const process = { free, asked: [] as number[] };
  const count = (atMost: number) => {
    process.asked.push(atMost);
    return process.free === undefined ? undefined : Math.min(atMost, process.free);
  };
  return { room: new Room(maxConnections, { count, log, metrics }), process, log, metrics };
}

/** The most sessions that fit, all of them with a connection to buildkitd. */
function mostOf({ room, process }: ReturnType<typeof roomOf>): number {
  const start = process.free;
  let open = 0;
  for (; room.fits(open, 0); open++) if (start !== undefined) process.free = start - 2 * (open + 1);
  return open;
}

Deno.test("Room is --max-connections where that many have descriptors, or nothing limits them", () => {
  for (const free of [undefined, descriptorsFor(500), 1_000_000]) {
    const found = roomOf(500, free);
    assert.equal(mostOf(found), 500);
    assert.equal(found.room.full, "The limit of 500 connections is reached (--max-connections)");
    assert.equal(found.metrics.value("sessions_limit"), 500);
  }
});

Deno.test("Room keeps a descriptor back for each connection that may be on its way to a session", () => {
  const [log, metrics] = [recordingLog(), countedMetrics(() => {})];
  const arrivals = { most: MOST_ARRIVALS, few: FEW_ARRIVALS };
  const few = new Room(10_000, { count: () => 1_000, log, metrics, arrivals });
  const { wanted, sessions } = log.of("descriptors_insufficient")[0]!.fields;
  assert.deepEqual({ wanted, sessions }, {
    wanted: 20_200 + MOST_ARRIVALS,
    sessions: 400 - FEW_ARRIVALS / 2,
  });
  assert.equal(few.arrivals, FEW_ARRIVALS);
  const enough = new Room(10_000, {
    count: (atMost) => Math.min(atMost, 1_200 + MOST_ARRIVALS),
    log,
    metrics,
    arrivals,
  });
  assert.equal(enough.arrivals, MOST_ARRIVALS);
  assert.equal(new Room(10_000, { count: () => 1_000, log, metrics }).arrivals, 0);
});

Deno.test("Room keeps descriptors back where there are too few, warns at start, and says what to do", () => {
  const found = roomOf(10_000, 1_000);
  const { level, fields } = found.log.of("descriptors_insufficient")[0]!;
  assert.equal(level, "warn");
  assert.deepEqual(fields, {
    free: 1_000,
    wanted: 20_200,
    sessions: 400,
    then:
      "raise the limit of open files by 19200 (ulimit -n; containers: LimitNOFILE of containerd), or lower " +
      "--max-connections to 400",
  });
  assert.equal(found.metrics.value("sessions_limit"), 400);
  assert.equal(found.metrics.value("descriptors_free"), 1_000);
  assert.equal(mostOf(found), 400);
  assert.ok(found.process.free! >= found.room.refused + 64, "refused clients and the admin port still fit");
  assert.match(found.room.full, /^The limit of 400 connections is reached: .*ulimit -n/);
  assert.equal(found.process.asked.length, 1, "it does not look again");
});

Deno.test("Room looks for more only when more sessions come, and finds the end of them then", () => {
  const found = roomOf(10_000, 9_000);
  assert.deepEqual(found.process.asked, [descriptorsFor(500)]);
  assert.deepEqual(found.log.records, [
    { level: "debug", code: "descriptors_counted", fields: { sessions: 500 } },
  ]);
  assert.equal(found.metrics.value("sessions_limit"), 10_000, "as far as is known");
  assert.equal(mostOf(found), 4_400);
  assert.equal(found.metrics.value("sessions_limit"), 4_400);
  assert.equal(found.log.of("descriptors_insufficient").length, 1);
  assert.equal(found.process.free, 200);
});

Deno.test("Room keeps as many back when it looks for more", () => {
  for (const [free, most] of [[1_200, 500], [1_300, 550], [5_200, 2_500], [5_300, 2_550]] as const) {
    const found = roomOf(10_000, free);
    assert.equal(mostOf(found), most);
    assert.equal(found.process.free, 200);
  }
});

Deno.test("Room counts the second descriptor of sessions that are held", () => {
  const { room, process } = roomOf(10_000, 9_000);
  process.free = 7_000;
  assert.ok(room.fits(2_000, 2_000));
  process.free = 3_200;
  // 1000 of these 3200 are spoken for, and 200 are kept back.
  assert.ok(room.fits(4_000, 1_000));
  assert.ok(room.fits(4_999, 0));
  assert.ok(!room.fits(5_000, 0));
  assert.deepEqual(process.asked, [1_200, 6_200, 5_200]);
});

Deno.test("Room never allows more sessions than descriptors are left", () => {
  for (let free = 8; free < 2 * descriptorsFor(1); free++) {
    const found = roomOf(10_000, free);
    const sessions = mostOf(found);
    assert.ok(sessions >= 1 && 2 * sessions + found.room.refused < free, `${free}: ${sessions} sessions`);
  }
  assert.equal(mostOf(roomOf(10_000, 0)), 1);
});

Deno.test("countDescriptors() counts no further than asked", () => {
  assert.equal(countDescriptors(20), Deno.build.os === "windows" ? undefined : 20);
});

Deno.test("Room tells clients that are refused in half of what it keeps back, whatever that is", () => {
  for (const [free, refused] of [[7, 1], [8, 2], [9, 2], [100, 25], [1_000, 100]] as const) {
    assert.equal(roomOf(10_000, free).room.refused, refused, `${free} free`);
  }
});
