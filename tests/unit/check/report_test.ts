/**
 * The report as text and as JSON, also of clusters that would play with a terminal.
 *
 * @module
 */
import assert from "node:assert/strict";
import { apiServerFinding } from "../../../lib/check/api_server.ts";
import { failed, type Finding, kubectl, listed, ok, unchecked, warning } from "../../../lib/check/finding.ts";
import { isHealthy, reportJson, reportText } from "../../../lib/check/report.ts";

const FINDINGS: readonly Finding[] = [
  ok("API server", "v1.36.0"),
  warning("ports", "1234", "8372", "kubectl patch"),
  warning("writers", "argocd", "none", "remove it"),
  failed('Service "a"', "none", "one", kubectl("ci", "set", "selector", "service", "a", "app=x y")),
  unchecked("pod", "none runs"),
];

Deno.test("reportText() has a line for each finding, the command that fixes it on one line, and the sums", () => {
  assert.equal(
    reportText(FINDINGS),
    `ok           API server: v1.36.0
warning      ports: 1234
             want: 8372
             fix: kubectl patch
warning      writers: argocd
             want: none
             fix: remove it
FAILED       Service "a": none
             want: one
             fix: kubectl --namespace ci set selector service a 'app=x y'
not checked  pod: none runs

1 failed, 2 warnings, 1 not checked, 1 ok
`,
  );
  assert.match(reportText([FINDINGS[1]!]), /\n1 warning\n$/);
});

Deno.test("reportText() breaks long texts, and no command", () => {
  const long = "word ".repeat(60).trim();
  const lines = reportText([failed("a", long, long, long)]).split("\n");
  const fix = lines.filter((line) => line.includes("fix: "));
  assert.equal(fix[0]?.trim(), `fix: ${long}`);
  for (const line of lines.filter((line) => !fix.includes(line))) assert.ok(line.length <= 110, line);
});

Deno.test("the report shows control characters of the cluster as text", () => {
  const evil = failed("a\u001b[2J", "b\nok  c\u202e", "d\u0085", "e\rf");
  const text = reportText([evil]);
  for (const output of [text, reportJson([evil])]) {
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(output, /[\u0000-\u0009\u000b-\u001f\u0080-\u009f\u202e]/);
  }
  assert.ok(text.startsWith("FAILED       a\\u001b[2J: b\\u000aok  c\\u202e\n"), text);
  assert.deepEqual(JSON.parse(reportJson([evil])).findings, [evil]);
});

Deno.test("isHealthy() forgives warnings and what was not checked", () => {
  const fine = FINDINGS.filter(({ result }) => result !== "failed");
  assert.equal(isHealthy(fine), true);
  assert.equal(isHealthy(FINDINGS), false);
  assert.equal(JSON.parse(reportJson(fine)).healthy, true);
  assert.equal(JSON.parse(reportJson(FINDINGS)).healthy, false);
});

Deno.test("listed() joins words as people do", () => {
  assert.deepEqual([[], ["a"], ["a", "b"], ["a", "b", "c"]].map(listed), ["", "a", "a and b", "a, b and c"]);
});

Deno.test("apiServerFinding() wants an answer, and a version that is not too old", () => {
  const facts = { origin: "https://api", user: { is: "found", value: "me" }, fault: undefined } as const;
  const of = (value: string) => apiServerFinding({ ...facts, version: { is: "found", value } });
  assert.deepEqual(of("v1.36.3-gke.1"), ok("API server", "v1.36.3-gke.1 at https://api, you are me"));
  assert.equal(of("v1.30.0").result, "ok");
  assert.equal(of("v1.29.9").result, "warning");
  assert.equal(of("v2.1.0").result, "ok");
  assert.equal(of("unknown").result, "ok");
  const unknown = apiServerFinding({ ...facts, version: { is: "unread", why: "no right" } });
  assert.deepEqual([unknown.result, unknown.found], [
    "unchecked",
    "https://api answers, its version cannot be read: no right, you are me",
  ]);
  const nobody = { ...facts, user: { is: "absent" } } as const;
  assert.equal(apiServerFinding({ ...nobody, version: { is: "absent" } }).result, "unchecked");
  const broken = { is: "unread", why: "HTTP 503" } as const;
  assert.deepEqual(apiServerFinding({ ...facts, user: broken, version: broken }).result, "failed");
  const away = apiServerFinding({ ...facts, version: { is: "absent" }, fault: "refused" });
  assert.deepEqual([away.result, away.found], ["failed", "refused"]);
});
