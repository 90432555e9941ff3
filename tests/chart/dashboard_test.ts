/**
 * The chart's ConfigMap has the dashboard, and the dashboard is what Grafana's own types allow.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { ensureBuilt } from "../e2e/tools.ts";
import { CHART, Helm } from "./helm.ts";

const FILE = join(CHART, "dashboards", "buildkitd-autoscaler.json");
const text = await Deno.readTextFile(FILE);

const say = (line: string) => void Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
const CHECK = join(await ensureBuilt("grafana", say), "check-dashboard");

async function check(dashboard: string): Promise<{ readonly success: boolean; readonly output: string }> {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(file, dashboard);
    const { success, stdout, stderr } = await new Deno.Command(CHECK, { args: [file] }).output();
    return { success, output: [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("") };
  } finally {
    await Deno.remove(file);
  }
}

Deno.test("dashboard: it has the fields that Grafana's types want, and no others", async () => {
  const { panels } = JSON.parse(text);
  assert.ok(panels.length > 30, "the panels were found");
  assert.deepEqual(await check(text), { success: true, output: `${panels.length} panels\n` });
});

for (
  const [right, wrong] of [['"legendFormat"', '"legendfmt"'], ['"multi"', '"several"'], [
    '"gridPos"',
    '"grid"',
  ]]
) {
  Deno.test(`dashboard: Grafana's types refuse ${wrong} instead of ${right}`, async () => {
    const { success, output } = await check(text.replaceAll(right!, wrong!));
    assert.ok(!success);
    assert.match(output, /unexpected field/);
  });
}

Deno.test("chart: the dashboard is in a ConfigMap that Grafana's sidecar selects", async () => {
  const helm = await Helm.of("helm");
  const found = async (dashboard: unknown) =>
    [...(await helm.objects({ autoscaler: { metrics: { dashboard } } })).values()]
      .filter(({ kind, data }) => kind === "ConfigMap" && "buildkitd-autoscaler.json" in data);
  assert.deepEqual(await found({}), []);
  const [own] = await found({ enabled: true });
  assert.equal(own?.metadata.labels?.["grafana_dashboard"], "1");
  assert.equal(own?.metadata.namespace, "builds");
  assert.equal(own?.data["buildkitd-autoscaler.json"].trim(), text.trim());
  const [other] = await found({
    enabled: true,
    namespace: "monitoring",
    labels: { grafana_dashboard: null, dashboards: "yes" },
    annotations: { grafana_folder: "CI" },
  });
  assert.equal(other?.metadata.namespace, "monitoring");
  assert.equal(other?.metadata.labels?.["dashboards"], "yes");
  assert.ok(!("grafana_dashboard" in other!.metadata.labels!));
  assert.equal(other?.metadata.annotations?.["grafana_folder"], "CI");
});
