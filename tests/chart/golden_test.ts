/**
 * What the chart renders for each set of values, and what helm prints then, is what stands in `golden/`. With
 * `CHART_GOLDEN=write` in the environment it is written there instead, to be read by who changed the chart.
 *
 * @module
 */
import assert from "node:assert/strict";
import { loadAll } from "js-yaml";
import { Helm } from "./helm.ts";
import { VALUE_SETS } from "./value_sets.ts";

const GOLDEN = new URL("golden/", import.meta.url);
const helm = await Helm.of("helm");
const helm3 = await Helm.of("helm3");

async function compare(name: string, actual: string): Promise<void> {
  const file = new URL(name, GOLDEN);
  if (Deno.env.get("CHART_GOLDEN") === "write") return await Deno.writeTextFile(file, actual);
  assert.equal(actual, await Deno.readTextFile(file), `${name} differs: see CHART_GOLDEN in golden_test.ts`);
}

for (const [name, values] of VALUE_SETS) {
  Deno.test(`chart: the values "${name}" render what they did, in helm 4 and helm 3`, async () => {
    const manifest = await helm.template(values);
    await compare(`${name}.yaml`, manifest);
    assert.deepEqual(objectsOf(await helm3.template(values)), objectsOf(manifest));
  });

  Deno.test(`chart: helm says what it did after an install with the values "${name}"`, async () => {
    await compare(`${name}.txt`, await helm.notes(values));
  });
}

Deno.test("chart: there is a golden file for each set of values, and no other", () => {
  const expected = [...VALUE_SETS.keys()].flatMap((name) => [`${name}.txt`, `${name}.yaml`]);
  assert.deepEqual([...Deno.readDirSync(GOLDEN)].map(({ name }) => name).sort(), expected.sort());
});

/** Without those that are nothing but a comment. */
function objectsOf(manifest: string): unknown[] {
  return loadAll(manifest).filter((each) => each !== null && each !== undefined);
}
