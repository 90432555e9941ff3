/** Tests of who uses what, against a model that keeps nothing but a list of sessions. @module */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Usage } from "../../../lib/scaler/usage.ts";

/** A session of the model: `client` is false while it may be no client at all. */
interface Session {
  readonly ordinal: number | undefined;
  readonly client: boolean;
  readonly silent?: boolean;
  readonly watches?: boolean;
}

/** What a plain reading of the documentation expects. */
class Model {
  readonly sessions = new Map<number, Session>();
  readonly usedMs = new Map<number, number>();
  neededMs = -Infinity;

  set(id: number, session: Session | undefined, nowMs: number): void {
    const needingBefore = this.needing;
    const before = this.sessions.get(id);
    this.sessions.delete(id);
    const wasLast = needingBefore > 0 && this.needing === 0;
    if (session !== undefined) this.sessions.set(id, session);
    if (session?.watches || before?.watches) return;
    if (before?.ordinal !== undefined && before.client) this.usedMs.set(before.ordinal, nowMs);
    if (wasLast) this.neededMs = nowMs;
  }

  get held(): number {
    return [...this.sessions.values()].filter(({ ordinal }) => ordinal === undefined).length;
  }

  get needing(): number {
    return [...this.sessions.values()].filter(({ ordinal, client }) => ordinal === undefined && client)
      .length;
  }

  on(ordinal: number): number {
    return [...this.sessions.values()].filter((session) => session.ordinal === ordinal && !session.watches)
      .length;
  }

  load(ordinal: number): number {
    return [...this.sessions.values()].filter((session) =>
      session.ordinal === ordinal && !session.watches && !session.silent
    ).length;
  }
}

const IDS = [1, 2, 3];
const ORDINALS = [0, 1, 2];

type Step = (usage: Usage, model: Model, nowMs: number) => void;

const id = fc.constantFrom(...IDS);
const ordinal = fc.constantFrom(...ORDINALS);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(id, fc.boolean()).map(([id, client]): Step => (usage, model, nowMs) => {
    const before = model.sessions.get(id);
    const isSame = before !== undefined && before.ordinal === undefined && before.client === client;
    assert.equal(usage.hold(id, client, nowMs), !isSame);
    // One that goes on needing a pod has not ceased to.
    if (!isSame) model.set(id, { ordinal: undefined, client }, nowMs);
  }),
  fc.tuple(id, ordinal, fc.boolean()).map(([id, ordinal, client]): Step => (usage, model, nowMs) => {
    usage.place(id, ordinal, client, nowMs);
    model.set(id, { ordinal, client }, nowMs);
  }),
  fc.tuple(id, ordinal).map(([id, ordinal]): Step => (usage, model, nowMs) => {
    usage.watch(id, ordinal);
    model.set(id, { ordinal, client: false, watches: true }, nowMs);
  }),
  fc.tuple(id, fc.boolean()).map(([id, silent]): Step => (usage, model) => {
    usage.silent(id, silent);
    const session = model.sessions.get(id);
    if (session?.ordinal !== undefined) model.sessions.set(id, { ...session, silent });
  }),
  fc.tuple(ordinal).map(([ordinal]): Step => (usage, model, nowMs) => {
    usage.needed(ordinal, nowMs);
    model.usedMs.set(ordinal, nowMs);
  }),
  id.map((id): Step => (usage, model, nowMs) => {
    usage.markUsed(id, nowMs);
    const session = model.sessions.get(id);
    if (session?.watches) return;
    if (session !== undefined) model.sessions.set(id, { ...session, client: true });
  }),
  id.map((id): Step => (usage, model, nowMs) => {
    assert.equal(usage.end(id, nowMs), model.sessions.has(id));
    model.set(id, undefined, nowMs);
  }),
  ordinal.map((from): Step => (usage, model) => {
    usage.forget(from);
    for (const ordinal of model.usedMs.keys()) {
      if (ordinal >= from && model.on(ordinal) === 0) model.usedMs.delete(ordinal);
    }
  }),
);

Deno.test("Usage says after any steps who is held, who needs a backend, and what is in use since when", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const usage = new Usage();
      const model = new Model();
      for (const [nowMs, step] of steps.entries()) {
        step(usage, model, nowMs);
        const busy = ORDINALS.filter((ordinal) => model.on(ordinal) > 0);
        assert.equal(usage.open, model.sessions.size);
        assert.equal(usage.held, model.held);
        assert.equal(usage.needing, model.needing);
        assert.deepEqual(usage.busyOrdinals, busy);
        assert.equal(usage.highest, busy.at(-1) ?? -1);
        for (const ordinal of ORDINALS) {
          assert.equal(usage.on(ordinal), model.on(ordinal));
          assert.equal(usage.load.get(ordinal) ?? 0, model.load(ordinal));
        }
        assert.ok([...usage.load.values()].every((count) => count > 0));
        for (const id of IDS) {
          const session = model.sessions.get(id);
          assert.equal(usage.ordinalOf(id), session?.ordinal);
          assert.equal(usage.needs(id), session?.client ?? false);
          assert.equal(usage.watches(id), session?.watches ?? false);
        }
        assert.deepEqual(new Map(usage.lastUsedMs), model.usedMs);
        // While somebody still needs a backend, nobody asks when the last one ceased to.
        if (usage.needing === 0) assert.equal(usage.lastNeededMs, model.neededMs);
      }
    }),
    { numRuns: 500 },
  );
});
