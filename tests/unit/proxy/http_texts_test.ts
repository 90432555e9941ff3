/**
 * Tests of what is said to those who speak HTTP/1.1, and of what is read out of their requests.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  keepFor,
  lookJson,
  lookText,
  problemText,
  stepJson,
  stepText,
  wantsJson,
} from "../../../lib/proxy/http_texts.ts";
import type { Outlook } from "../../../lib/target/seats.ts";

const HOUR_MS = 3_600_000;

function outlook(change: Partial<Outlook> = {}): Outlook {
  return {
    builder: "buildkitd",
    project: undefined,
    state: "asleep",
    keptForMs: 0,
    explain: () => assert.fail("nobody asks"),
    ...change,
  };
}

const PLACE = { host: "buildkitd.ci.svc:8372", isTls: false, isMutual: false };

/** The line about the builder. */
function builderLine(change: Partial<Outlook>, reason?: string): string | undefined {
  return lookText(outlook(change), reason, PLACE).split("\n").find((line) => line.startsWith("Builder "));
}

Deno.test("lookText() says what this is, how to build here, and how to wake the builder", () => {
  assert.equal(
    lookText(outlook(), undefined, PLACE),
    `BuildKit clients connect to this address. buildkitd starts when they need it (buildkitd-autoscaler).

Builder buildkitd: asleep, the next build wakes it

To build here:
  docker buildx create --name remote --driver remote --use tcp://buildkitd.ci.svc:8372
  buildctl --addr tcp://buildkitd.ci.svc:8372 build --frontend dockerfile.v0 --local context=. --local dockerfile=.

To wake the builder before a build, and see each step:
  curl -fsSN -X POST http://buildkitd.ci.svc:8372/wake
`,
  );
});

Deno.test("lookText() names the state, the reason, whose builder it is and how long it is kept awake", () => {
  assert.equal(
    builderLine({ state: "starting", project: "team-a.ci" }, "pod buildkitd-0 is Pending"),
    "Builder buildkitd (of team-a.ci): starting: pod buildkitd-0 is Pending",
  );
  assert.equal(builderLine({ state: "stuck" }, "no"), "Builder buildkitd: stuck: no");
  assert.equal(
    builderLine({ state: "unknown" }, "no answer"),
    "Builder buildkitd: not known yet: no answer",
  );
  assert.equal(builderLine({ state: "missing" }), "Builder buildkitd: missing");
  assert.equal(
    builderLine({ state: "ready", keptForMs: 2 * HOUR_MS - 1_400 }),
    "Builder buildkitd: ready, kept awake for another 1h59m59s",
  );
});

Deno.test("lookText() shows a TLS client what it needs, and the port that it has used", () => {
  const place = { host: "build.example.org", isTls: true, isMutual: false };
  const text = lookText(outlook(), undefined, place);
  assert.match(text, /--driver-opt cacert=ca\.pem --use tcp:\/\/build\.example\.org:443\n/);
  assert.match(text, /--addr tcp:\/\/build\.example\.org:443 --tlscacert ca\.pem build/);
  assert.match(
    text,
    /curl -fsSN --http1\.1 --cacert ca\.pem -X POST https:\/\/build\.example\.org:443\/wake\n/,
  );
  const mutual = lookText(outlook(), undefined, { ...place, isMutual: true });
  assert.match(mutual, / --driver-opt cacert=ca\.pem,cert=cert\.pem,key=key\.pem --use tcp:/);
  assert.match(mutual, /:443 --tlscacert ca\.pem --tlscert cert\.pem --tlskey key\.pem build /);
  assert.match(
    mutual,
    /curl -fsSN --http1\.1 --cacert ca\.pem --cert cert\.pem --key key\.pem -X POST https:/,
  );
  assert.match(lookText(outlook(), undefined, { ...PLACE, host: "h" }), /tcp:\/\/h:80\n/);
  assert.match(lookText(outlook(), undefined, { ...PLACE, host: "[::1]:5" }), /tcp:\/\/\[::1\]:5\n/);
});

for (
  const host of [
    null,
    "",
    "x y",
    "a;rm -rf /",
    "<script>",
    "a\x1b[2J",
    "a:b",
    "a:123456",
    "x".repeat(300),
    "$(id)",
  ]
) {
  Deno.test(`lookText() does not repeat the host ${JSON.stringify(host)?.slice(0, 20)}: people paste what it says`, () => {
    const text = lookText(outlook(), undefined, { ...PLACE, host });
    assert.match(text, /--use tcp:\/\/ADDRESS:PORT\n/);
    if (host) assert.ok(!text.includes(host));
  });
}

Deno.test("a reason has no unprintable characters, and is not endless", () => {
  const reason = `a\r\nb\x1b[31m\u0085c\u2028\u061c\u200b\u2060\ufeff${"x".repeat(5_000)}`;
  for (
    const text of [
      builderLine({ state: "starting" }, reason)!,
      stepText({ state: "failed", reason, waitedMs: 0, keptForMs: 0 }, 0).trimEnd(),
    ]
  ) {
    assert.match(text, /: a b \[31m c xxx/);
    assert.ok(text.length < 1_100);
  }
  assert.equal(lookJson(outlook({ state: "starting" }), reason).split("\n").length, 2);
});

Deno.test("lookJson() is one line with what is known", () => {
  assert.equal(lookJson(outlook(), undefined), '{"builder":"buildkitd","state":"asleep"}\n');
  assert.deepEqual(
    JSON.parse(lookJson(outlook({ state: "stuck", project: "p", keptForMs: 1_234 }), "why")),
    { builder: "buildkitd", project: "p", state: "stuck", reason: "why", keptAwakeSeconds: 1.2 },
  );
});

Deno.test("stepText() and stepJson() tell a step in a line", () => {
  const step = {
    state: "starting",
    reason: "pod buildkitd-0 is Pending",
    waitedMs: 1_049,
    keptForMs: 0,
  } as const;
  assert.equal(stepText(step, 0), "starting (1s): pod buildkitd-0 is Pending\n");
  assert.equal(stepJson(step), '{"state":"starting","seconds":1,"reason":"pod buildkitd-0 is Pending"}\n');
  const ready = { state: "ready", waitedMs: 72_345, keptForMs: 2 * HOUR_MS } as const;
  assert.equal(stepText(ready, 2 * HOUR_MS), "ready after 1m12s, kept awake for 2h0m0s\n");
  assert.equal(stepJson(ready), '{"state":"ready","seconds":72.3,"keptAwakeSeconds":7200}\n');
  assert.equal(stepText({ ...ready, keptForMs: 0, waitedMs: 0 }, 0), "ready after 0s\n");
  assert.equal(
    stepText({ ...ready, keptForMs: 0 }, HOUR_MS),
    "ready after 1m12s, but not kept awake: this proxy is shutting down\n",
  );
});

Deno.test("problemText() is a line for people, or an object for programs", () => {
  assert.equal(problemText("No", false), "No\n");
  assert.equal(problemText('"No"', true), '{"error":"\\"No\\""}\n');
});

Deno.test("wantsJson() goes by Accept", () => {
  for (const accept of ["application/json", "application/x-ndjson", "text/html, application/json;q=0.9"]) {
    assert.equal(wantsJson(accept), true, accept);
  }
  for (const accept of [null, "*/*", "text/html,application/xhtml+xml,*/*;q=0.8"]) {
    assert.equal(wantsJson(accept), false, String(accept));
  }
});

Deno.test("keepFor() takes a duration up to the limit", () => {
  const of = (query: string, limitMs = 8 * HOUR_MS) => keepFor(new URLSearchParams(query), limitMs);
  assert.equal(of(""), 0);
  assert.equal(of("for=2h"), 2 * HOUR_MS);
  assert.equal(of("for=8h"), 8 * HOUR_MS);
  assert.equal(of("for=90s"), 90_000);
  for (
    const [query, found] of [
      ["for=8h1s", "8h1s"],
      ["for=0s", "0s"],
      ["for=-2h", "-2h"],
      ["for=2 hours", "2 hours"],
      ["for=", ""],
      ["for=1h&for=2h", "1h, 2h"],
    ]
  ) {
    assert.deepEqual(of(query!), {
      problem:
        `Cannot keep the builder awake: found "${found}", want a duration such as "2h" of at most 8h0m0s ` +
        "(--max-wake-for)",
    });
  }
  assert.deepEqual(of("fro=2h"), { problem: 'Cannot read the request: found "fro", want "for" or nothing' });
  assert.deepEqual(of("for=2h", 0), {
    problem: "Cannot keep the builder awake: that is turned off here (--max-wake-for)",
  });
  assert.equal(of("", 0), 0);
});

Deno.test("lookText() of a proxy that only observes promises no start", () => {
  const text = lookText(outlook(), undefined, PLACE, true);
  assert.match(
    text,
    /buildkitd-autoscaler only observes here, and starts nothing\.\n\nBuilder buildkitd: asleep\n/,
  );
  assert.match(text, /To build here:/);
  assert.doesNotMatch(text, /wake/);
});
