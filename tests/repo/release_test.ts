/**
 * The scripts that the release workflow calls, and that what it is made with is named once.
 *
 * @module
 */
import assert from "node:assert/strict";
import { readVersionedFiles, releaseNotes } from "../../.ci/release_notes.ts";
import { billOfMaterials, readMaterials } from "../../.ci/sbom.ts";
import { ROOT } from "./generated.ts";

const CHANGELOG = `# Changelog

For operators.

## 1.1.0 (unreleased)

- Not yet.

## 1.0.0 (2026-12-01)

### What it does

- See [the docs](docs/a.md) and [the web](https://example.com/).

## 0.9.0 (2026-11-01)

- Old.
`;

function files(version: string) {
  return { config: { version }, chart: { version, appVersion: version }, changelog: CHANGELOG };
}

Deno.test("releaseNotes() gives the version's part of the changelog, with links that work elsewhere", () => {
  assert.equal(
    releaseNotes("v1.0.0", files("1.0.0")),
    "### What it does\n\n- See [the docs](https://github.com/EarthBuild/buildkitd-autoscaler/blob/v1.0.0/docs/a.md) " +
      "and [the web](https://example.com/).",
  );
});

Deno.test("releaseNotes() names every reason against a release", () => {
  const reasons = (tag: string, given: Parameters<typeof releaseNotes>[1]) => {
    try {
      releaseNotes(tag, given);
    } catch (error) {
      return (error as Error).message.split("\n");
    }
    return [];
  };
  assert.deepEqual(reasons("v1.1.0", files("1.1.0")), [
    'Cannot release "v1.1.0": found "## 1.1.0 (unreleased)" in CHANGELOG.md, want the date in brackets',
  ]);
  assert.deepEqual(reasons("v2.0.0", files("2.0.0")), [
    'Cannot release "v2.0.0": want a part "## 2.0.0 (date)" in CHANGELOG.md',
  ]);
  const chart = { version: "0.9.0", appVersion: "0.9.0" };
  assert.deepEqual(reasons("v1.0.0", { ...files("1.0.0"), config: { version: "0.9.0" }, chart }), [
    'Cannot release "v1.0.0": found version in deno.json "0.9.0", want "1.0.0"',
    'Cannot release "v1.0.0": found version of the chart "0.9.0", want "1.0.0"',
    'Cannot release "v1.0.0": found appVersion of the chart "0.9.0", want "1.0.0"',
  ]);
  assert.deepEqual(reasons("1.0.0", files("1.0.0")), [
    'Cannot release "1.0.0": want a tag such as "v1.2.3"',
  ]);
});

Deno.test("repo: the version that comes next could be released but for its date", async () => {
  const versioned = await readVersionedFiles();
  const changelog = versioned.changelog.replace("(unreleased)", "(2026-12-01)");
  assert.notEqual(releaseNotes(`v${versioned.config.version}`, { ...versioned, changelog }), "");
});

Deno.test("billOfMaterials() names Deno and what the program reaches, with the lock file's hashes", async () => {
  const materials = await readMaterials();
  const { metadata, components } = billOfMaterials(materials);
  assert.equal(metadata.component.version, materials.config.version);
  const names = components.map(({ name }) => name);
  for (const name of ["deno", "commander", "@logtape/logtape", "prom-client", "bintrees"]) {
    assert.ok(names.includes(name), name);
  }
  assert.ok(!names.includes("fast-check"), "what only tests use is not in it");
  assert.throws(() => billOfMaterials({ ...materials, lock: { npm: {} } }), /Cannot find a SHA-512/);
});

Deno.test("repo: every file names the same Deno", async () => {
  const patterns: Readonly<Record<string, RegExp>> = {
    "Dockerfile": /^ARG DENO_VERSION=(\S+)$/gm,
    ".ci/run": /^DENO_VERSION=(\S+)$/gm,
    ".github/workflows/release.yml": /\bdeno[@ ]([\d.]+\d)/g,
  };
  const found = new Set<string>();
  for (const [path, pattern] of Object.entries(patterns)) {
    const versions = [...(await Deno.readTextFile(new URL(path, ROOT))).matchAll(pattern)].map(([, v]) => v!);
    assert.ok(versions.length > 0, path);
    for (const version of versions) found.add(version);
  }
  assert.equal(found.size, 1, [...found].join(", "));
});

Deno.test("repo: workflows run only actions of one commit, with the version beside it", async () => {
  const folder = new URL(".github/workflows/", ROOT);
  const used = [];
  for await (const { name } of Deno.readDir(folder)) {
    const text = await Deno.readTextFile(new URL(name, folder));
    used.push(...[...text.matchAll(/\buses: (.+)$/gm)].map(([, action]) => action!));
  }
  assert.ok(used.length > 5);
  const unpinned = used.filter((action) =>
    !action.startsWith("./") && !/^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(action)
  );
  assert.deepEqual(unpinned, []);
});
