/**
 * The chart as others get it: lint is content with it, a package holds what it should, and a parent chart can use it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { CHART, Helm } from "./helm.ts";

const HELMS = { helm: await Helm.of("helm"), helm3: await Helm.of("helm3") };

for (const [name, helm] of Object.entries(HELMS)) {
  Deno.test(`chart: ${name} lint --strict finds nothing`, async () => {
    const { success, stdout, stderr } = await helm.run("lint", "--strict", CHART);
    assert.ok(success, stdout + stderr);
    assert.doesNotMatch(stdout, /WARNING|ERROR/);
  });

  Deno.test(`chart: ${name} makes a package of it, with README and schema and without tests`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      const { success, stderr } = await helm.run("package", CHART, "--destination", folder);
      assert.ok(success, stderr);
      const [file] = [...Deno.readDirSync(folder)];
      const listed = await new Deno.Command("tar", { args: ["tzf", join(folder, file!.name)] }).output();
      const files = new TextDecoder().decode(listed.stdout).trim().split("\n");
      for (
        const wanted of [
          "Chart.yaml",
          "README.md",
          "values.yaml",
          "values.schema.json",
          "templates/NOTES.txt",
          "dashboards/buildkitd-autoscaler.json",
        ]
      ) {
        assert.ok(files.includes(`buildkitd-stack/${wanted}`), wanted);
      }
      assert.deepEqual(
        files.filter((path) =>
          !/\/(templates\/|dashboards\/|Chart\.yaml|README\.md|values\.|\.helmignore)/.test(path)
        ),
        [],
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });

  Deno.test(`chart: a parent chart of ${name} hands on values, switches it off, and takes defaults away`, async () => {
    using parent = await parentChart();
    const render = (values: unknown) => helm.template(values, parent.folder);
    const on = await render({
      global: { registry: "mirror.example.com" },
      "buildkitd-stack": { enabled: true, autoscaler: { resources: null, nodeSelector: { a: "b" } } },
    });
    assert.match(on, /kind: StatefulSet/);
    assert.match(on, /nodeSelector:\n +a: b/);
    assert.doesNotMatch(on, /resources:\n +requests:\n +cpu/);
    assert.doesNotMatch(await render({ "buildkitd-stack": { enabled: false } }), /kind:/);
    await assert.rejects(
      render({ "buildkitd-stack": { enable: true } }),
      /additional properties 'enable' not allowed/,
    );
  });
}

/** A chart that has this one as a dependency, in a folder of its own. */
async function parentChart() {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(
    join(folder, "Chart.yaml"),
    "apiVersion: v2\nname: parent\nversion: 1.0.0\ndependencies:\n" +
      "  - { name: buildkitd-stack, version: '>=0.0.0', condition: buildkitd-stack.enabled }\n",
  );
  await Deno.mkdir(join(folder, "charts"));
  await Deno.symlink(CHART, join(folder, "charts", "buildkitd-stack"));
  return { folder, [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }) };
}
