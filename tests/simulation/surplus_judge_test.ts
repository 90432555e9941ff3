/** Tests of the judge of surpluses. @module */
import assert from "node:assert/strict";
import { SurplusJudge } from "./surplus_judge.ts";

Deno.test("SurplusJudge wants a surplus that is raised again and again to be kept twice as long each time", () => {
  const judge = new SurplusJudge(() => 10_000);
  const lowered = (ms: number) => judge.scaled("b", 2, 1, false, ms);
  const raised = (ms: number) => judge.scaled("b", 1, 2, true, ms);
  assert.equal(lowered(0), undefined);
  raised(1_000);
  assert.match(lowered(12_000) ?? "", /raised again 1 times, is lowered after 11000 ms/);
  raised(13_000);
  assert.equal(lowered(53_000), undefined);
  raised(54_000);
  judge.used("b", 1);
  assert.equal(lowered(65_000), undefined, "a session has used it");
  raised(80_000);
  assert.equal(lowered(90_000), undefined, "that was not soon");
  assert.equal(judge.scaled("other", 1, 0, false, 90_000), undefined);
  assert.equal(judge.scaled("b", 0, 1, false, 90_100), undefined);
  assert.equal(judge.scaled("b", 1, 2, true, 91_000), undefined);
  assert.equal(
    judge.scaled("b", 2, 1, false, 102_000),
    undefined,
    "a proxy has raised it for a session in between",
  );
});
