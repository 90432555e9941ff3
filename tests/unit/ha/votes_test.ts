/** Tests of who has to consent to a scale-down, and who has. @module */
import assert from "node:assert/strict";
import type { RecordBody } from "../../../lib/ha/record.ts";
import { hasAnswered, mustAnswer, objects, stillThere } from "../../../lib/ha/votes.ts";
import { BUSY, EXPIRY_MS, IDLE } from "../../support/ha.ts";

const voter = (identity: string, unchangedMs = 0) => ({ identity, unchangedMs, expiryMs: EXPIRY_MS });
const names = (voters: readonly { readonly identity: string }[]) => voters.map(({ identity }) => identity);

Deno.test("mustAnswer() returns every other proxy whose record has not expired", () => {
  const list = [voter("me"), voter("a"), voter("b", EXPIRY_MS - 1), voter("dead", EXPIRY_MS)];
  assert.deepEqual(names(mustAnswer(list, "me")), ["a", "b"]);
  assert.deepEqual(mustAnswer([voter("me")], "me"), []);
});

Deno.test("stillThere() leaves out whoever is not on the later list, or has expired by then", () => {
  const missing = [voter("a"), voter("gone"), voter("dead")];
  const later = [voter("new"), voter("a"), voter("dead", EXPIRY_MS)];
  assert.deepEqual(names(stillThere(missing, later)), ["a"]);
  assert.deepEqual(stillThere(missing, []), []);
});

Deno.test("hasAnswered() holds only for this very announcement of this leader", () => {
  const says = (answers: RecordBody["answers"]) => ({ body: { answers } });
  assert.equal(hasAnswered(says({ me: 3 }), "me", 3), true);
  for (const answers of [{}, { me: 2 }, { me: 4 }, { other: 3 }]) {
    assert.equal(hasAnswered(says(answers), "me", 3), false, JSON.stringify(answers));
  }
  assert.equal(hasAnswered({ body: undefined }, "me", 3), false, "a record that cannot be read");
  assert.equal(hasAnswered(undefined, "me", 3), false, "a record that is gone");
});

Deno.test("objects() if a session uses the pod to be removed, or a held session needs it", () => {
  const on = (ordinal: number, busy: boolean) => ({ ...IDLE, inUse: [{ ordinal, busy, idleMs: 0 }] });
  const cases: readonly (readonly [body: RecordBody | undefined, below: number, wanted: boolean])[] = [
    [IDLE, 0, false],
    [BUSY, 0, true],
    [BUSY, 1, false],
    [on(1, true), 1, true],
    [on(1, true), 2, false],
    [on(0, false), 0, false],
    [{ ...IDLE, inUse: [...on(2, true).inUse, ...on(0, true).inUse] }, 2, true],
    [{ ...IDLE, needing: 3 }, 0, true],
    [{ ...IDLE, needing: 3 }, 1, false],
    [undefined, 0, false],
  ];
  for (const [body, below, wanted] of cases) {
    assert.equal(objects({ body }, below), wanted, `${JSON.stringify(body)} ${below}`);
  }
  assert.equal(objects(undefined, 0), false);
});
