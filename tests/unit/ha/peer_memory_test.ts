/** Tests of what the records of others say together, and of what is remembered of those that have gone. @module */
import assert from "node:assert/strict";
import { PeerMemory } from "../../../lib/ha/peer_memory.ts";
import type { RecordBody } from "../../../lib/ha/record.ts";
import { parseRecord } from "../../../lib/ha/record.ts";
import type { SeenRecord } from "../../../lib/ha/record_expiry.ts";
import { BUSY, EXPIRY_MS, IDLE, leaseOf, TARGET } from "../../support/ha.ts";

function seen(
  identity: string,
  body: Partial<RecordBody> | undefined,
  seenMs: number,
  unchangedMs = 0,
): SeenRecord {
  const record = parseRecord(leaseOf(identity, { ...IDLE, ...body }), TARGET)!;
  return { ...record, body: body === undefined ? undefined : record.body, seenMs, unchangedMs };
}

const idleFor = (ordinal: number, idleMs: number) => ({ inUse: [{ ordinal, busy: false, idleMs }] });

Deno.test("PeerMemory: without other proxies nothing is known", () => {
  const memory = new PeerMemory(50);
  memory.update([], 100);
  assert.deepEqual(memory.use, {
    highestBusy: -1,
    sessions: new Map(),
    needing: 0,
    lastNeededMs: -Infinity,
    lastUsedMs: new Map(),
    knownSinceMs: 50,
  });
});

Deno.test("PeerMemory: the highest busy ordinal of all, and the sum of held sessions", () => {
  const memory = new PeerMemory(0);
  const on = (...ordinals: number[]) => ({
    inUse: ordinals.map((ordinal) => ({ ordinal, busy: true, idleMs: 0 })),
  });
  memory.update([seen("a", { ...on(0, 2), needing: 1 }, 1), seen("b", { ...on(1), needing: 2 }, 1)], 2);
  assert.equal(memory.use.highestBusy, 2);
  assert.equal(memory.use.needing, 3);
});

Deno.test("PeerMemory: idle times are as of the write, and grow by what was measured here since then", () => {
  const memory = new PeerMemory(0);
  memory.update(
    [seen("a", { ...idleFor(0, 40_000), neededMs: 50_000, knowsForMs: 70_000 }, 100_000)],
    160_000,
  );
  assert.equal(memory.use.lastUsedMs.get(0), 60_000);
  assert.equal(memory.use.lastNeededMs, 50_000);
  assert.equal(memory.use.knownSinceMs, 0);
  memory.update([seen("a", { ...idleFor(0, 40_000), knowsForMs: 170_000 }, 100_000)], 160_000);
  assert.equal(memory.use.knownSinceMs, -70_000, "what another one knows from before this one started");
});

Deno.test("PeerMemory: the latest use by any of them counts, in whatever order it is heard", () => {
  const memory = new PeerMemory(0);
  memory.update([seen("a", idleFor(0, 10_000), 100_000), seen("b", idleFor(0, 90_000), 100_000)], 100_000);
  assert.equal(memory.use.lastUsedMs.get(0), 90_000);
  memory.update([seen("b", idleFor(0, 95_000), 105_000)], 105_000);
  assert.equal(memory.use.lastUsedMs.get(0), 90_000);
});

Deno.test("PeerMemory: what a proxy said that has left is remembered", () => {
  const memory = new PeerMemory(0);
  memory.update(
    [seen("a", { ...idleFor(0, 30_000), neededMs: 20_000, knowsForMs: 500_000 }, 100_000)],
    100_000,
  );
  memory.update([], 200_000);
  assert.equal(memory.use.lastUsedMs.get(0), 70_000);
  assert.equal(memory.use.lastNeededMs, 80_000);
  assert.equal(memory.use.knownSinceMs, -400_000);
  assert.equal(memory.use.needing, 0);
});

Deno.test("PeerMemory: a proxy that was busy in its last record counts as busy until it is gone or expired", () => {
  const memory = new PeerMemory(0);
  memory.update([seen("a", BUSY, 100_000)], 100_000);
  assert.equal(memory.use.lastUsedMs.has(0), false);
  memory.update([], 150_000);
  assert.equal(memory.use.highestBusy, -1);
  assert.equal(memory.use.lastUsedMs.get(0), 150_000);
  memory.update([seen("b", BUSY, 160_000)], 160_000);
  memory.update([seen("b", BUSY, 160_000, EXPIRY_MS)], 500_000);
  assert.equal(memory.use.highestBusy, -1);
  assert.equal(memory.use.lastUsedMs.get(0), 500_000);
  memory.update([seen("b", BUSY, 160_000, EXPIRY_MS)], 600_000);
  assert.equal(memory.use.lastUsedMs.get(0), 500_000, "once");
});

Deno.test("PeerMemory: the newest record of a live proxy replaces what was remembered of its ordinals", () => {
  const cases: readonly (readonly [says: Partial<RecordBody>, inherited: number | undefined])[] = [
    [BUSY, undefined],
    [idleFor(0, 1_000), undefined],
    // It has forgotten, since the count fell and rose.
    [IDLE, 150_000],
    [idleFor(1, 1_000), 150_000],
    [{ inUse: [{ ordinal: 1, busy: true, idleMs: 0 }] }, 150_000],
  ];
  for (const [says, inherited] of cases) {
    const memory = new PeerMemory(0);
    memory.update([seen("a", BUSY, 100_000)], 100_000);
    memory.update([seen("a", says, 150_000)], 150_000);
    assert.equal(memory.inherited.lastUsedMs.get(0), inherited, JSON.stringify(says));
  }
});

Deno.test("PeerMemory: what a living proxy said before, and does not repeat, is not inherited", () => {
  const memory = new PeerMemory(0);
  memory.update([seen("a", { ...idleFor(0, 1_000), neededMs: 1_000 }, 100_000)], 100_000);
  memory.update([seen("a", IDLE, 150_000)], 150_000);
  assert.deepEqual(memory.inherited, { lastUsedMs: new Map(), lastNeededMs: -Infinity });
  assert.equal(memory.use.lastNeededMs, -Infinity);
});

Deno.test("PeerMemory: of several that have gone, and of those that live, the latest need counts", () => {
  const memory = new PeerMemory(0);
  const needed = (identity: string, neededMs: number) => seen(identity, { neededMs }, 100_000);
  memory.update([needed("a", 10_000), needed("b", 30_000)], 100_000);
  assert.equal(memory.use.lastNeededMs, 90_000);
  memory.update([needed("b", 30_000)], 110_000);
  assert.equal(memory.inherited.lastNeededMs, 90_000);
  memory.update([], 120_000);
  assert.equal(memory.inherited.lastNeededMs, 90_000, "the other one's was earlier");
  memory.update([needed("c", 50_000)], 130_000);
  assert.equal(memory.use.lastNeededMs, 90_000);
  memory.update([needed("c", 5_000)], 130_000);
  assert.equal(memory.use.lastNeededMs, 95_000);
});

Deno.test("PeerMemory: this proxy's own start counts where no other one knows more, and an unreadable record knows nothing", () => {
  const memory = new PeerMemory(50_000);
  memory.update([seen("a", { knowsForMs: 40_000 }, 100_000), seen("b", undefined, 1_000)], 100_000);
  assert.equal(memory.use.knownSinceMs, 50_000);
  assert.equal(memory.use.needing, 0);
  memory.update([seen("a", { knowsForMs: 60_000 }, 100_000), seen("c", { knowsForMs: 1 }, 100_000)], 100_000);
  assert.equal(memory.use.knownSinceMs, 40_000);
});

Deno.test("PeerMemory: a record that cannot be read is busy everywhere, and until it is gone", () => {
  const memory = new PeerMemory(0);
  memory.update([seen("a", undefined, 100), seen("b", IDLE, 100)], 100);
  assert.equal(memory.use.highestBusy, Infinity);
  memory.update([seen("a", undefined, 100, EXPIRY_MS)], 200);
  assert.equal(memory.use.highestBusy, -1);
});

Deno.test("PeerMemory: two idle proxies do not extend each other's idle time, however slow their records are", () => {
  const [a, b] = [new PeerMemory(0), new PeerMemory(0)];
  // `b` has used the pod at 0. Each record arrives 5 s after it was written.
  const says = ({ inherited: { lastUsedMs } }: PeerMemory, ownMs: number, nowMs: number) =>
    idleFor(0, nowMs - Math.max(ownMs, lastUsedMs.get(0) ?? -Infinity));
  for (let nowMs = 30_000; nowMs <= 600_000; nowMs += 30_000) {
    a.update([seen("b", says(b, 0, nowMs), nowMs + 5_000)], nowMs + 5_000);
    const { lastUsedMs } = a.inherited;
    const body = lastUsedMs.has(0) ? idleFor(0, nowMs - lastUsedMs.get(0)!) : {};
    b.update([seen("a", body, nowMs + 10_000)], nowMs + 10_000);
  }
  assert.equal(a.use.lastUsedMs.get(0), 5_000);
  assert.equal(b.use.lastUsedMs.has(0), false);
  a.update([], 700_000);
  assert.equal(a.inherited.lastUsedMs.get(0), 5_000, "once `b` has gone, `a` tells it on");
});

Deno.test("PeerMemory: the sessions of all by ordinal, one for each busy ordinal of a proxy that does not count them", () => {
  const memory = new PeerMemory(0);
  const both = [0, 2].map((ordinal) => ({ ordinal, busy: true, idleMs: 0 }));
  memory.update([
    seen("a", { inUse: [...both, { ordinal: 1, busy: false, idleMs: 5 }], sessions: { 0: 3, 2: 1 } }, 100),
    seen("b", { inUse: both }, 100),
    seen("c", { inUse: both, sessions: { 3: 0 } }, 100),
    seen("d", undefined, 100),
  ], 100);
  assert.deepEqual(memory.use.sessions, new Map([[0, 4], [2, 2]]));
  memory.update([], 200);
  assert.deepEqual(memory.use.sessions, new Map());
});
