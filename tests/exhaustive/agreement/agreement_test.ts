/**
 * The agreement before a scale-down, enumerated: all interleavings of two proxies, with lost, late and orphaned writes,
 * stale views, crash, restart, lapse and other writers. A violation is a write of ours that removes the ordinal of a
 * connected session of a live proxy. Then each rule is broken once: what was needed must show.
 *
 * `AGREEMENT_DEEP=1` searches the safe variants and two ordinals to the end, too (minutes, and a few GB).
 *
 * @module
 */
import assert from "node:assert/strict";
import { explore, type Found, graphOf, type Step, stuck } from "./explore.ts";
import { connectedTo, initial, type Options, steps } from "./rules.ts";
import { Claim, Phase, Session, St, type World } from "./state.ts";

const DEEP = Deno.env.get("AGREEMENT_DEEP") === "1";

/** More states than there are. */
const MANY = 100_000_000;

type Verdict = "violation" | "not live" | "safe";

/** What is changed, what comes of it, and the ordinals that it takes to show. */
type Row = readonly [
  what: string,
  verdict: Verdict,
  change: Omit<Options, "ordinals" | "calm">,
  ordinals?: number,
];

const ROWS: readonly Row[] = [
  ["a claim carries no version", "violation", { claimWithoutVersion: true }],
  ["a claim's success ends every promise", "violation", { claimVoidsAll: true }],
  ["a new proxy reads the announcements, not the count", "violation", { joinReadsAnnouncements: true }],
  ["the same, and a new leader claims first", "violation", {
    joinReadsAnnouncements: true,
    leadBeginsWithClaim: true,
  }],
  ["only the last promise binds", "violation", { lastPromiseOnly: true }, 2],
  ["the leader does not vote", "violation", { leaderDoesNotVote: true }],
  ["back from a silence without joining", "violation", { backWithoutJoining: true }],
  ["a lapsed proxy places", "violation", { lapsedPlaces: true }],
  ["a new leader claims first", "safe", { leadBeginsWithClaim: true }],
  ["the scale-down carries no version", "violation", { writeWithoutVersion: true }],
  ["the version is read after announcing", "violation", { versionReadLate: true }],
  ["the records are listed before the version is read", "violation", { listBeforeRead: true }],
  ["it is announced before the records are listed", "safe", { announceFirst: true }],
  ["the records are an old list", "violation", { staleList: true }],
  ["expiry is judged on an older list", "violation", { expiryJudgedEarly: true }],
  ["silence is consent", "violation", { silenceConsents: true }],
  ["an answer to an earlier announcement counts", "violation", { oldAnswersCount: true }],
  ["the answer comes before the promise", "violation", { answerBeforePromise: true }],
  ["an answer in spite of a session", "violation", { answersBusy: true }],
  ["a session counts only after its dial", "violation", { dialDoesNotCount: true }],
  ["an answer in spite of a held session", "safe", { answersHeld: true }],
  ["a promise is dropped early", "violation", { promiseDropped: true }],
  ["a promise ends with the announcement", "violation", { withdrawalEndsPromise: true }],
  ["a claim under a used manager name ends promises", "violation", {
    usedManagerName: true,
    claimVoidsAll: true,
  }],
  ["a claim under a used manager name", "not live", { usedManagerName: true }],
  ["placing when the claim is sent", "violation", { placesOnSending: true }],
  ["a claim that timed out counts", "violation", { timeoutCounts: true }],
  ["a claim of the need only", "violation", { claimsNeedOnly: true }, 2],
  ["a new proxy has no promise", "violation", { joinsUnbound: true }],
  ["a new proxy reads the count before its record is written", "violation", { joinReadsFirst: true }],
  ["no second look after the dial", "violation", { noSecondLook: true }],
  ["the second look is at the record's age only", "violation", { secondLookAtAgeOnly: true }],
  ["the record of a busy live proxy expires", "violation", { busyExpires: true }],
  ["records never expire", "not live", { neverExpires: true }],
  ["no claims", "not live", { noClaims: true }],
  ["a promise ends by an own claim only", "safe", { ownClaimsOnly: true }],
];

function search(options: Options, limit: number): Found {
  return explore(initial(options), (world, emit) => steps(world, options, emit), limit);
}

const isAlive = ({ st }: World["p"][number]) => st === St.recorded || st === St.joined || st === St.lapsed;

/** No pod, nothing under way, nobody held or served. */
function isSettled({ p, count, writes, orphans }: World): boolean {
  return count === 0 && writes === 0 && orphans === 0 &&
    p.every(({ session, claim, phase }) =>
      session === Session.none && claim === Claim.none && phase === Phase.idle
    );
}

/** States that never settle; if there are none, held sessions that are never served while their client stays. */
function stuckStates(options: Options, { space }: Found): number {
  const graph = graphOf(
    space,
    (world, emit: (next: World, step: Step) => void) => steps(world, options, emit),
  );
  // With sessions that stay, nothing settles.
  let count = options.sessionsStay ? 0 : stuck(space, graph, ({ p }) => p.some(isAlive), isSettled);
  for (let i = 0; i < 2 && count === 0; i++) {
    count += stuck(
      space,
      graph,
      ({ p }) => isAlive(p[i]!) && p[i]!.session !== Session.none,
      ({ p }) => connectedTo(p[i]!) >= 0,
      i,
    );
  }
  return count;
}

interface Outcome {
  readonly verdict: Verdict;
  readonly states: number;
  readonly complete: boolean;
  readonly trace: readonly string[];
  readonly calm: boolean;
}

/** First without faults, so that the trace has none unless it needs one. */
function judge(change: Row[2], ordinals: number, limit: number): Outcome {
  for (const calm of [true, false]) {
    const options = { ...change, ordinals, calm };
    const found = search(options, calm ? MANY : limit);
    const { states, complete, trace } = found;
    if (trace !== undefined) return { verdict: "violation", states, complete, trace, calm };
    if (calm && stuckStates(options, found) > 0) {
      return { verdict: "not live", states, complete, trace: [], calm };
    }
    if (!calm) {
      const live = !complete || stuckStates(options, found) === 0;
      return { verdict: live ? "safe" : "not live", states, complete, trace: [], calm };
    }
  }
  throw new Error("not reached");
}

function say(line: string): void {
  // deno-lint-ignore no-console -- the table is what this test is for
  console.log(line);
}

Deno.test("the agreement, two proxies and one ordinal: no write cuts a session, and everything settles and is served", () => {
  const options = { ordinals: 1 };
  const found = search(options, MANY);
  assert.equal(found.trace, undefined, found.trace?.join("\n"));
  assert.ok(found.complete);
  say(`two proxies, one ordinal: ${found.states} states, all, ${found.depth} steps deep`);
  assert.equal(stuckStates(options, found), 0);
});

Deno.test("the agreement, two proxies and two ordinals: no write cuts a session", () => {
  const found = search({ ordinals: 2 }, DEEP ? MANY : 400_000);
  assert.equal(found.trace, undefined, found.trace?.join("\n"));
  if (DEEP) assert.ok(found.complete);
  const bound = found.complete ? "all" : `all to ${found.depth - 1} steps`;
  say(`two proxies, two ordinals: ${found.states} states, ${bound}`);
});

Deno.test("the agreement, two ordinals that take one session each: no write cuts one, and everything settles and is served", () => {
  const options = { ordinals: 2, target: true };
  for (const sessionsStay of [false, true]) {
    const calmly = { ...options, calm: true, sessionsStay };
    const calm = search(calmly, MANY);
    assert.equal(calm.trace, undefined, calm.trace?.join("\n"));
    assert.ok(calm.complete);
    say(`two proxies, two ordinals of one session each, without faults: ${calm.states} states, all`);
    assert.equal(stuckStates(calmly, calm), 0);
  }
  const found = search(options, DEEP ? MANY : 400_000);
  assert.equal(found.trace, undefined, found.trace?.join("\n"));
});

for (const [what, verdict, change, ordinals = 1] of ROWS) {
  Deno.test(`the agreement, broken: ${what}: ${verdict}`, () => {
    const found = judge(change, ordinals, verdict === "safe" && !DEEP ? 150_000 : MANY);
    const how = found.verdict === "violation"
      ? `after ${found.trace.length} steps${found.calm ? "" : ", with a fault"}`
      : `${found.states} states${found.complete ? "" : ", not all"}`;
    say(`| ${what} | ${found.verdict} | ${how} |`);
    assert.equal(found.verdict, verdict, found.trace.join("\n"));
  });
}
