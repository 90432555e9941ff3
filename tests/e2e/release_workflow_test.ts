/**
 * A rehearsal of a release: runs the scripts of `.github/workflows/release.yml` as they stand, for a tag of this checkout's
 * version, against a registry that wants a login instead of ghcr.io. Then checks what a user would get.
 *
 * Steps that only GitHub can run are printed and compared with a list, so that a new step of the workflow is either run or
 * named here. The tests build on each other, in this order.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { OLDER_DENO } from "../../.ci/older_deno.ts";
import { releaseNotes } from "../../.ci/release_notes.ts";
import config from "../../deno.json" with { type: "json" };
import { parseManifests } from "./manifests.ts";
import { DockerBuilder } from "./registry/builder.ts";
import { commitAndTag, commitCheckout } from "./registry/checkout.ts";
import { pull, type Pulled } from "./registry/pull.ts";
import { Registry, REGISTRY_USER } from "./registry/registry.ts";
import { readWorkflow, Rehearsal } from "./registry/workflow.ts";
import { Workplace } from "./registry/workplace.ts";
import { surroundings } from "./surroundings.ts";
import { cleanUp } from "./waiting.ts";

const WORKFLOW = fileURLToPath(new URL("../../.github/workflows/release.yml", import.meta.url));
const TAG = `v${config.version}`;
const REPOSITORY = "https://github.com/EarthBuild/buildkitd-autoscaler";
const LOGIN = `${REGISTRY_USER.name}:${REGISTRY_USER.password}`;

/** The parts of the workflow that cannot run here, in its order. */
const NOT_REHEARSED = [
  "gate: ./.github/workflows/ci.yml",
  "binaries (linux-amd64): actions/attest-build-provenance",
  "binaries (linux-amd64): actions/attest-sbom",
  "binaries (linux-arm64): the machine ubuntu-24.04-arm",
  "binaries (darwin-amd64): the machine macos-15-intel",
  "binaries (darwin-arm64): the machine macos-15",
  "binaries (windows-amd64): the machine windows-2025",
  "image (image): actions/attest-build-provenance",
  "image (image): actions/attest-sbom",
  "image (distroless): actions/attest-build-provenance",
  "image (distroless): actions/attest-sbom",
];

/** A release's date, as the owner writes it into the changelog. */
const DATE = "2026-12-01";

const folder = join(surroundings().folder, "rehearsal");
const upstream = join(folder, "upstream");
let registry: Registry;
let builder: DockerBuilder;
let workplace: Workplace;
let rehearsal: Rehearsal;
let commit: string;
let image: string;
let charts: string;

/** Registers a test. The sanitizers are off: registry and builder outlive single tests by design. */
function rehearse(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn });
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`  ${line}\n`));
}

Deno.test.beforeAll(async () => {
  await Deno.mkdir(folder);
  registry = await Registry.start({
    address: "10.99.5.3",
    folder: join(folder, "registry"),
    login: true,
  });
  builder = await DockerBuilder.start(registry.caFile);
  workplace = await Workplace.create({
    folder: join(folder, "workplace"),
    builder,
    caFile: registry.caFile,
  });
  image = `${registry.host}/earthbuild/buildkitd-autoscaler`;
  charts = `${registry.host}/earthbuild/charts`;
});

Deno.test.afterAll(() => cleanUp(() => builder?.stop(), () => registry?.stop()));

rehearse("release.yml: every step that needs no foreign service runs, and the others are known", async () => {
  await commitCheckout(upstream, REPOSITORY);
  const changelog = join(upstream, "CHANGELOG.md");
  const text = await Deno.readTextFile(changelog);
  await Deno.writeTextFile(changelog, text.replace(/^(## \S+) \(unreleased\)$/m, `$1 (${DATE})`));
  commit = await commitAndTag(upstream, TAG);
  rehearsal = new Rehearsal({
    workflow: await readWorkflow(WORKFLOW),
    workplace,
    repository: upstream,
    tag: TAG,
    commit,
    // The base runtime of the current Deno cannot be downloaded here: an older one compiles.
    env: {
      IMAGE: image,
      CHARTS: charts,
      RUNTIME: `deno ${OLDER_DENO}`,
      COMPILE: `--commit=${commit.slice(0, 12)}`,
    },
    actor: REGISTRY_USER,
  });
  await rehearsal.run();
  say("");
  say(`rehearsed: ${rehearsal.done.join(", ")}`);
  for (const left of rehearsal.left) say(`NOT REHEARSED: ${left}`);
  assert.deepEqual(rehearsal.left, NOT_REHEARSED);
});

for (const suffix of ["", "-distroless"]) {
  rehearse(
    `the image ${TAG.slice(1)}${suffix} is there for both platforms, with its provenance`,
    async () => {
      const pulled = await pull(
        `${image}:${config.version}${suffix}`,
        { caFile: registry.caFile, login: LOGIN },
        join(folder, `pulled${suffix}`),
      );
      const [platforms, attestations] = [false, true].map((attested) =>
        pulled.entries.filter(({ platform }) => (platform?.os === "unknown") === attested)
      );
      assert.deepEqual(platforms!.map(({ platform }) => `${platform?.os}/${platform?.architecture}`), [
        "linux/amd64",
        "linux/arm64",
      ]);
      assert.deepEqual(
        attestations!.map(({ annotations }) => annotations?.["vnd.docker.reference.digest"]),
        platforms!.map(({ digest }) => digest),
      );
      for (const entry of attestations!) await assertProvenance(pulled, entry);
      for (const { platform } of platforms!) {
        const { Labels = {} } = pulled.layout.config(platform!.architecture).config;
        assert.equal(Labels["org.opencontainers.image.version"], config.version);
        assert.equal(Labels["org.opencontainers.image.revision"], commit.slice(0, 12));
      }
    },
  );
}

async function assertProvenance(pulled: Pulled, entry: Pulled["entries"][number]): Promise<void> {
  const { layers = [] } = await pulled.manifest(entry);
  const statements = await Promise.all(layers.map(({ digest }) => pulled.json(digest))) as readonly {
    readonly predicateType: string;
    readonly predicate: unknown;
  }[];
  assert.equal(statements.length, 1);
  assert.match(statements[0]!.predicateType, /^https:\/\/slsa\.dev\/provenance\//);
  // Only with "mode=max": what was built, step by step.
  assert.match(JSON.stringify(statements[0]!.predicate), /"llbDefinition"/);
}

rehearse("the chart of that version is there, and installs the image of that version", async () => {
  const options = { name: "a user", cwd: workplace.folder };
  await workplace.run(
    `helm pull "oci://${charts}/buildkitd-stack" --version "${config.version}" --untar`,
    options,
  );
  const images = async (flags: string) => {
    const manifest = await workplace.run(`helm template test buildkitd-stack ${flags} 2> /dev/null`, options);
    const found = parseManifests(manifest).find(({ kind }) => kind === "Deployment") as unknown as {
      readonly spec: {
        readonly template: { readonly spec: { readonly containers: readonly { readonly image: string }[] } };
      };
    };
    return found.spec.template.spec.containers.map((container) => container.image);
  };
  const { env } = await readWorkflow(WORKFLOW);
  assert.deepEqual(await images(""), [`${env.IMAGE}:${config.version}`]);
  assert.deepEqual(await images(`--set autoscaler.image.repository=${image}`), [
    `${image}:${config.version}`,
  ]);
});

rehearse("the GitHub release has the notes of the changelog, the files, and their checksums", async () => {
  const publishing = rehearsal.folderOf("release");
  const files = [
    "files/SHA256SUMS",
    "files/buildkitd-autoscaler-linux-amd64",
    "files/buildkitd-autoscaler.cdx.json",
  ];
  assert.deepEqual(await workplace.ghCalls(), [
    ...["release", "create", TAG, "--repo", "EarthBuild/buildkitd-autoscaler", "--verify-tag"],
    ...["--title", TAG, "--notes-file", "notes.md", ...files],
  ]);
  const read = (path: string) => Deno.readTextFile(join(publishing, path));
  const upstreamText = await Deno.readTextFile(join(upstream, "CHANGELOG.md"));
  const chart = { version: config.version, appVersion: config.version };
  const notes = releaseNotes(TAG, { config, chart, changelog: upstreamText });
  assert.equal(await read("notes.md"), `${notes}\n`);
  const sums = (await read("files/SHA256SUMS")).trimEnd().split("\n").map((line) => line.split("  "));
  assert.deepEqual(sums.map(([, name]) => `files/${name}`), files.slice(1));
  for (const [sum, name] of sums) {
    const bytes = await Deno.readFile(join(publishing, "files", name!));
    assert.equal(sum, new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex(), name);
  }
  assert.equal(JSON.parse(await read("files/buildkitd-autoscaler.cdx.json")).bomFormat, "CycloneDX");
  const program = join(publishing, "files", "buildkitd-autoscaler-linux-amd64");
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", 'chmod +x "$1" && "$1" version', "sh", program],
  })
    .output();
  assert.match(new TextDecoder().decode(stdout), new RegExp(`${config.version}.*${commit.slice(0, 12)}`));
});
