/**
 * Tests of the status page as text: what it says, that it is well formed, and that no text of others becomes markup. A
 * browser looks at it in tests/browser.
 *
 * @module
 */
import assert from "node:assert/strict";
import { page, partsOf } from "../../../lib/ops/page/page.ts";
import { SCRIPT } from "../../../lib/ops/page/script.ts";
import { columnsOf, runsOf, timeline, WINDOWS } from "../../../lib/ops/page/timeline.ts";
import { amount, money } from "../../../lib/ops/page/words.ts";
import type { BuilderFacts, StatusFacts } from "../../../lib/ops/status_facts.ts";
import { BUILDER, FACTS, hostileFacts } from "../../support/status_facts.ts";

const VOID = new Set(["meta", "link", "rect", "line", "path", "!DOCTYPE"]);

/** Elements that are not closed, or closed out of turn; ids that are there twice. */
function malformations(markup: string): string[] {
  const open: string[] = [];
  const found: string[] = [];
  for (const [, slash, name, rest] of markup.matchAll(/<(\/?)(!?[A-Za-z][A-Za-z0-9]*)([^>]*)>/g)) {
    if (slash === "/") {
      if (open.pop() !== name) found.push(`</${name}> closes nothing`);
    } else if (!VOID.has(name!) && !rest!.endsWith("/")) open.push(name!);
  }
  const ids = [...markup.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
  found.push(...ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => `id ${id} twice`));
  const labels = [...markup.matchAll(/ aria-labelledby="([^"]*)"/g)].map(([, id]) => id);
  found.push(...labels.filter((id) => !ids.includes(id)).map((id) => `no element ${id}`));
  return [...found, ...open.map((name) => `<${name}> is not closed`)];
}

async function draw(facts: StatusFacts): Promise<string> {
  return page(facts, "1h", await partsOf(facts, "1h"));
}

/** The text of a page without its markup. */
function textOf(markup: string): string {
  return markup.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");
}

async function pageOf(changes: Partial<BuilderFacts> = {}, more: Partial<StatusFacts> = {}): Promise<string> {
  return textOf(await draw({ ...FACTS, builders: [{ ...BUILDER, ...changes }], ...more }));
}

Deno.test("page() is well formed and has no inline style, script or handler, which its policy forbids", async () => {
  for (const facts of [FACTS, hostileFacts("plain")]) {
    const markup = await draw(facts);
    assert.deepEqual(malformations(markup), []);
    assert.doesNotMatch(markup, / style=| on\w+=|<style|<script>|https?:/);
    assert.equal(markup.match(/<script/g)!.length, 1);
  }
});

Deno.test("page() shows hostile text as text, wherever it comes from", async () => {
  const text = `"><script>alert(1)</script><img src=x onerror='alert(2)'>&amp;\u202e`;
  const markup = await draw(hostileFacts(text));
  assert.deepEqual(malformations(markup), []);
  assert.equal(markup.match(/<script/g)!.length, 1);
  assert.ok(!markup.includes("<img") && !markup.includes("\u202e"));
  assert.ok(markup.includes("&lt;script&gt;alert(1)&lt;/script&gt;"));
});

Deno.test("page() says in what state the builder is, why, and when the next scale-down is due", async () => {
  assert.match(await pageOf(), /Asleep .* Replicas 0 of 1 Why nothing is in use/);
  assert.match(await pageOf(), /Next scale-down none: there is no pod/);
  const awake = { state: "ready", replicas: 1, because: "it was in use recently" } as const;
  assert.match(
    await pageOf({ ...awake, scaleDownAt: "2026-03-01T10:32:05.120Z" }),
    /at 10:32:05 UTC, unless a client comes/,
  );
  assert.match(await pageOf({ ...awake, sessions: 2 }), /2m0s after the last session has ended/);
  const settings = { ...BUILDER.settings, floor: 1 };
  assert.match(await pageOf({ ...awake, settings }), /none: 1 replica stays without clients/);
});

Deno.test("page() says who waits for what, and how many more", async () => {
  assert.match(await pageOf(), /Nobody waits/);
  const waiting: StatusFacts["waiting"] = [
    {
      session: 7,
      client: "192.0.2.1:9",
      clientName: "ci",
      project: "web",
      pool: "",
      waitsFor: "pod",
      builder: "buildkitd",
      since: FACTS.now,
    },
    { session: 8, pool: "", waitsFor: "room", since: FACTS.now },
  ];
  const text = await pageOf({ waitsBecause: "pod buildkitd-0 is Pending" }, { waiting, moreWaiting: 12 });
  assert.match(text, /7 ci \(192\.0\.2\.1:9\) web 10:30:00 a pod of buildkitd: pod buildkitd-0 is Pending/);
  assert.match(text, /8 unknown none 10:30:00 room on a builder/);
  assert.match(text, /And 12 more/);
});

Deno.test("page() shows decisions, and what each idle timeout would have saved and cost", async () => {
  const text = await pageOf();
  assert.match(text, /10:20:00 scaled 1 → 0 nothing has been in use for 2m0s/);
  assert.match(text, /1m0s 30 min 2\.5 h 3 47 s 2m0s set 60 min 2\.0 h 2 not known yet/);
  assert.doesNotMatch(text, /Money/);
  const price = { perHour: 0.5, currency: "EUR" };
  const saved = { ...FACTS.saved, money: 1 };
  assert.match(
    await pageOf({ saved }, { price, saved }),
    /Saved 1\.00 EUR pods slept 2\.0 h .* worth 1\.00 EUR/,
  );
});

Deno.test("page() has a table of all builders if there are several", async () => {
  assert.doesNotMatch(await pageOf(), /All builders/);
  const others = ["a", "b"].map((name) => ({ ...BUILDER, name }));
  assert.match(
    textOf(await draw({ ...FACTS, builders: others })),
    /All builders .* a default Asleep 0 0 0 none due 2\.0 h/,
  );
});

Deno.test("partsOf() tells screen readers what matters most", async () => {
  const news = async (facts: Partial<StatusFacts>) =>
    (await partsOf({ ...FACTS, ...facts }, "1h")).get("news");
  assert.equal(await news({}), "buildkitd is asleep; nobody waits.");
  const builders = [BUILDER, { ...BUILDER, state: "stuck" as const }];
  assert.equal(
    await news({ ready: false, builders, sessions: { open: 3, held: 2 } }),
    "Not ready. 1 asleep, 1 stuck; 2 sessions held.",
  );
});

Deno.test("partsOf() changes nothing but what has changed", async () => {
  const later = { ...FACTS, now: "2026-03-01T10:30:01.000Z", saved: { ...FACTS.saved, coldStarts: 3 } };
  const before = await partsOf(FACTS, "24h");
  const changed = [...await partsOf(later, "24h")].filter(([id, markup]) => before.get(id) !== markup);
  assert.deepEqual(changed.map(([id]) => id), ["summary"]);
});

Deno.test("columnsOf() shows peaks of sessions and the last phases, and nothing before the first point", () => {
  const startMs = Date.parse("2026-03-01T10:00:00.000Z");
  const point = (seconds: number, sessions: number) => ({
    at: new Date(startMs + seconds * 1_000).toISOString(),
    pods: [sessions > 0 ? "ready" as const : null],
    sessions,
    held: 0,
    queued: 0,
  });
  const columns = columnsOf([point(20, 3), point(25, 0), point(40, 1)], startMs, 10_000);
  assert.deepEqual(
    columns.slice(0, 6).map((column) => column && [column.sessions, column.pods[0]]),
    [undefined, undefined, [3, null], [0, null], [1, "ready"], [1, "ready"]],
  );
  assert.deepEqual(columns.at(-1)!.sessions, 1);
});

Deno.test("timeline() says in words what it shows", () => {
  const { markup } = timeline("x", BUILDER.timeline, FACTS.now, WINDOWS.get("1h")!);
  assert.match(
    markup,
    /<title id="x-title">Timeline\. Now: no pod; 0 sessions, 0 held, 0 queued\. At most 2 at once/,
  );
  assert.equal(markup.match(/<rect class="pod ready"/g)!.length, 1);
  assert.match(timeline("x", [], FACTS.now, WINDOWS.get("1h")!).markup, /Nothing was seen yet/);
});

Deno.test("runsOf() joins equal neighbours", () => {
  assert.deepEqual(runsOf([1, 1, 2, 1]), [
    { value: 1, from: 0, to: 2 },
    { value: 2, from: 2, to: 3 },
    { value: 1, from: 3, to: 4 },
  ]);
  assert.deepEqual(runsOf([]), []);
});

Deno.test("amount() and money() read well at every size", () => {
  const seconds = [0, 0.04, 9.94, 59, 119, 120, 7_199, 7_200, 86_400, 3_600_000];
  const texts = ["0 s", "0.0 s", "9.9 s", "59 s", "119 s", "2 min", "120 min", "2.0 h", "24.0 h", "1000 h"];
  assert.deepEqual(seconds.map(amount), texts);
  assert.deepEqual([money(1.5, undefined), money(12, { perHour: 1, currency: "EUR" })], [
    "1.50",
    "12.00 EUR",
  ]);
});

Deno.test("the script of the page is JavaScript", () => {
  new Function(SCRIPT);
});

Deno.test("partsOf() gives others a turn before each builder", async () => {
  let turns = 0;
  const turn = () => Promise.resolve(void turns++);
  await partsOf({ ...FACTS, builders: [BUILDER, BUILDER, BUILDER] }, "1h", turn);
  assert.equal(turns, 3);
});

const OBSERVED: Partial<BuilderFacts> = {
  state: "ready",
  replicas: 1,
  observed: {
    replicas: 0,
    saved: { podSecondsAsleep: 3_600, coldStarts: 3, secondsWaited: 90 },
    startSeconds: 30,
    isStartMeasured: false,
  },
  timeline: [
    { ...BUILDER.timeline[0]!, virtualReplicas: 1 },
    { ...BUILDER.timeline[0]!, at: "2026-03-01T10:20:00.000Z", virtualReplicas: 0 },
  ],
};
const WOULD = { observes: true, wouldSave: OBSERVED.observed!.saved };

Deno.test("page(): observe mode says so, and what would be there, saved and waited, with how that is known", async () => {
  const text = await pageOf(OBSERVED, WOULD);
  assert.match(text, /Observe mode: this proxy writes no replica count and wakes nothing\./);
  assert.match(text, /Would have saved 60 min of pods asleep/);
  assert.match(text, /Would have cost 3 cold starts clients would have waited about 90 s/);
  assert.match(text, /Replicas 1 of 1 Without observe mode 0 /);
  assert.match(text, /Would scale down none: there would be no pod/);
  assert.match(text, /A cold start counts 30 s, which is assumed: no pod has told how long its start took\./);
  const measured = { ...OBSERVED.observed!, startSeconds: 12, isStartMeasured: true };
  assert.match(
    await pageOf({ ...OBSERVED, observed: measured }, WOULD),
    /A cold start counts 12 s, as the last pod that was seen to start took/,
  );
  const markup = await draw({ ...FACTS, ...WOULD, builders: [{ ...BUILDER, ...OBSERVED }] });
  assert.deepEqual(malformations(markup), []);
  assert.equal(
    markup.match(/<rect class="virtual" x="\d/g)?.length,
    2,
    "the legend's, and that of the first 20 minutes",
  );
  assert.doesNotMatch(await pageOf(), /[Oo]bserve|Would/);
});

Deno.test("page(): observe mode with several builders has what there would be in the overview", async () => {
  const builders = ["a", "b"].map((name): BuilderFacts => ({ ...BUILDER, ...OBSERVED, name }));
  const markup = await draw({ ...FACTS, ...WOULD, builders });
  assert.match(
    textOf(markup),
    /Replicas Without observe mode Sessions Held Next scale-down Would have saved/,
  );
  assert.deepEqual(malformations(markup), []);
});
