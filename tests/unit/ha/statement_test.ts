/** Tests of what a proxy says of itself: its own sessions, and what it has inherited of proxies that have gone. @module */
import assert from "node:assert/strict";
import { describeUse } from "../../../lib/ha/statement.ts";
import type { LastUse } from "../../../lib/ha/peers.ts";
import { Usage } from "../../../lib/scaler/usage.ts";

const NOBODY: LastUse = { lastUsedMs: new Map(), lastNeededMs: -Infinity };

function describe(usage: Usage, options: { readonly replicas?: number; readonly inherited?: LastUse } = {}) {
  const { replicas = 3, inherited = NOBODY } = options;
  return describeUse({ usage, replicas, inherited, knownSinceMs: 400 }, 1_000);
}

/** Sessions that were on these ordinals, and ended at these times. */
function usedAt(...uses: readonly (readonly [ordinal: number, endMs: number])[]): Usage {
  const usage = new Usage();
  uses.forEach(([ordinal, endMs], id) => {
    usage.place(id, ordinal, true, 0);
    usage.end(id, endMs);
  });
  return usage;
}

Deno.test("describeUse() of a proxy without sessions says for how long it knows that nothing was in use", () => {
  assert.deepEqual(describe(new Usage()), { inUse: [], needing: 0, neededMs: null, knowsForMs: 600 });
});

Deno.test("describeUse() says which ordinals have sessions, and for how long the others have had none", () => {
  const usage = usedAt([2, 100], [0, 300], [1, 200]);
  usage.place(9, 1, true, 500);
  assert.deepEqual(describe(usage).inUse, [
    { ordinal: 1, busy: true, idleMs: 0 },
    { ordinal: 0, busy: false, idleMs: 700 },
    { ordinal: 2, busy: false, idleMs: 900 },
  ]);
});

Deno.test("describeUse() says nothing of a pod beyond the count, unless a session is on it", () => {
  const usage = usedAt([0, 300], [1, 300], [2, 300]);
  assert.deepEqual(describe(usage, { replicas: 1 }).inUse.map(({ ordinal }) => ordinal), [0]);
  usage.place(9, 2, true, 500);
  assert.deepEqual(describe(usage, { replicas: 1 }).inUse.map(({ ordinal }) => ordinal), [2, 0]);
});

Deno.test("describeUse() says how many held sessions need a backend, and for how long none has", () => {
  const usage = new Usage();
  usage.hold(1, true, 100);
  usage.hold(2, true, 150);
  assert.equal(describe(usage).needing, 2);
  usage.end(1, 200);
  usage.end(2, 250);
  assert.equal(describe(usage).needing, 0);
  assert.equal(describe(usage).neededMs, 750);
});

Deno.test("describeUse() passes on what proxies that have gone used, where that was later than its own use", () => {
  const inherited = { lastUsedMs: new Map([[0, 350], [1, 150], [2, 50]]), lastNeededMs: 320 };
  const usage = usedAt([0, 300], [1, 200]);
  const idleMs = ({ inUse }: ReturnType<typeof describe>) => inUse.map(({ idleMs }) => idleMs);
  assert.deepEqual(idleMs(describe(usage, { inherited })), [650, 800, 950]);
  assert.equal(describe(usage, { inherited }).neededMs, 680);
  usage.hold(8, true, 330);
  usage.end(8, 400);
  assert.equal(describe(usage, { inherited }).neededMs, 600);
});
