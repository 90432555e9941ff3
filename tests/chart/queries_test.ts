/**
 * The queries that documents show, in Prometheus' own test of queries: they give what the documents say of them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { documents, fenced } from "../repo/documents.ts";
import { promtool } from "./promtool.ts";

const all = await documents(new URL("../../", import.meta.url));
const PROXIES = ["a", "b"].map((pod) => `pod="${pod}"`);

/** A week of one pod that sleeps half of the time, seen by two proxies, and of clients that wait a second in a minute. promtool loads few samples. */
const WEEK = PROXIES.flatMap((proxy) => [
  { series: `buildkitd_autoscaler_pod_asleep_seconds_total{builder="b",${proxy}}`, values: "0+75x4100" },
  { series: `buildkitd_autoscaler_waited_seconds_total{builder="b",${proxy}}`, values: "0+2.5x4100" },
  { series: `buildkitd_autoscaler_price_per_hour{${proxy}}`, values: "0.5x4100" },
]);

/** What each query gives after that week, in the order of the document. */
const ANSWERS: Readonly<Record<string, readonly number[]>> = {
  // 84 hours of a pod at 0.5 each; two proxies whose clients wait 168 minutes each.
  "docs/status-page.md": [42, 336],
};

Deno.test("documents: their queries give what they say, in Prometheus", async () => {
  const found = all.map(({ path, text }) => [path, fenced(text, "promql")] as const)
    .filter(([, blocks]) => blocks.length > 0);
  assert.deepEqual(found.map(([path]) => path), Object.keys(ANSWERS));
  for (const [path, blocks] of found) {
    const answers = ANSWERS[path]!;
    assert.equal(blocks.length, answers.length, path);
    await promtool(
      {
        "test.yaml": {
          tests: [{
            interval: "150s",
            input_series: WEEK,
            promql_expr_test: blocks.map((block, i) => ({
              expr: `round(${block})`,
              eval_time: "169h",
              exp_samples: [{ labels: "{}", value: answers[i] }],
            })),
          }],
        },
      },
      "test",
      "rules",
      "test.yaml",
    );
  }
});
