/**
 * The rehearsal of a workflow runs what it knows and refuses everything else; the stand-in for docker changes only what it
 * must.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { run } from "../../../.ci/commands.ts";
import { buildxArguments } from "../../e2e/registry/docker.ts";
import { parseReference } from "../../e2e/registry/pull.ts";
import { Rehearsal, type Workflow } from "../../e2e/registry/workflow.ts";

/** A rehearsal in a new folder, whose scripts run by bash without any other program. */
async function rehearsing(jobs: Workflow["jobs"], env: Record<string, string> = {}) {
  const folder = await Deno.makeTempDir();
  return {
    folder,
    rehearsal: new Rehearsal({
      workflow: { env: { PLACE: "there" }, jobs },
      workplace: {
        folder,
        run: (script, { cwd, env: own = {}, shell = [] }) =>
          run("bash", [...shell, "-c", script], { cwd, env: own }),
      },
      repository: folder,
      tag: "v1.0.0",
      commit: "0123456789abcdef",
      env,
      actor: { name: "somebody", password: "secret" },
    }),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

const MACHINE = { "runs-on": "ubuntu-24.04" };

Deno.test("Rehearsal runs scripts, hands on outputs and artifacts, and notes what it cannot run", async () => {
  await using made = await rehearsing({
    gate: { uses: "./ci.yml" },
    first: {
      needs: "gate",
      ...{
        strategy: {
          matrix: { include: [{ target: "a", runner: "ubuntu-24.04" }, { target: "b", runner: "other" }] },
        },
      },
      "runs-on": "${{ matrix.runner }}",
      steps: [
        { id: "one", run: 'echo "digest=$PLACE-$GITHUB_SHA" >> "$GITHUB_OUTPUT"' },
        {
          run: 'echo "${{ steps.one.outputs.digest }} ${{ matrix.target }} $TOKEN" > out-1.txt',
          env: { TOKEN: "${{ github.token }}" },
        },
        { uses: "actions/upload-artifact@abc", with: { name: "result", path: "out-*.txt\n" } },
        { uses: "actions/attest-sbom@abc" },
      ],
    },
    second: {
      ...MACHINE,
      needs: ["gate", "first"],
      steps: [
        { uses: "actions/download-artifact@abc", with: { path: "files", "merge-multiple": true } },
        { run: "cat files/out-1.txt > all", shell: "bash" },
      ],
    },
  }, { PLACE: "here" });
  await made.rehearsal.run();
  assert.deepEqual(made.rehearsal.left, [
    "gate: ./ci.yml",
    "first (a): actions/attest-sbom",
    "first (b): the machine other",
  ]);
  assert.equal(
    await Deno.readTextFile(join(made.rehearsal.folderOf("second"), "all")),
    "here-0123456789abcdef a secret\n",
  );
});

const REFUSED: Readonly<Record<string, readonly [jobs: Workflow["jobs"], message: RegExp]>> = {
  "a condition of a step": [
    { a: { ...MACHINE, steps: [{ run: "true", if: "always()" } as object] } },
    /step of "a": it has if/,
  ],
  "a condition of a job": [{ a: { ...MACHINE, if: "false" } as object }, /job "a": it has if/],
  "an action without a stand-in": [
    { a: { ...MACHINE, steps: [{ uses: "somebody/else@v1" }] } },
    /no stand-in for "somebody\/else"/,
  ],
  "an expression that is no known name": [
    { a: { ...MACHINE, steps: [{ run: "echo ${{ hashFiles('a') }}" }] } },
    /Cannot evaluate "hashFiles\('a'\)"/,
  ],
  "a job before those that it needs": [
    { a: { ...MACHINE, needs: "b" }, b: MACHINE },
    /Cannot run "a": it needs b/,
  ],
  "a script that fails": [{ a: { ...MACHINE, steps: [{ run: "false" }] } }, /ended with 1/],
  "an artifact that nobody made": [
    { a: { ...MACHINE, steps: [{ uses: "actions/download-artifact@v1", with: { name: "x" } }] } },
    /Cannot download "x"/,
  ],
};

for (const [what, [jobs, message]] of Object.entries(REFUSED)) {
  Deno.test(`Rehearsal refuses ${what}`, async () => {
    await using made = await rehearsing(jobs);
    await assert.rejects(made.rehearsal.run(), message);
  });
}

Deno.test("Rehearsal refuses a variable that the workflow does not have", async () => {
  await assert.rejects(rehearsing({}, { PLASE: "here" }), /Cannot set "PLASE"/);
});

Deno.test("buildxArguments() puts a running builder in the place of a container, and images in the place of names", () => {
  const settings = { builder: "tcp://10.0.0.1:1", contexts: ["a=oci-layout:///b"], caFile: "" };
  const real = (line: string) => buildxArguments(line.split(" "), settings).join(" ");
  assert.equal(real("create --use"), "create --use --driver remote tcp://10.0.0.1:1");
  assert.equal(
    real("create --name x --driver docker-container --use"),
    "create --name x --use --driver remote tcp://10.0.0.1:1",
  );
  assert.equal(
    real("create --name x --driver remote tcp://1.2.3.4:5"),
    "create --name x --driver remote tcp://1.2.3.4:5",
  );
  assert.equal(real("build --push ."), "build --build-context a=oci-layout:///b --push .");
  assert.equal(real("rm x"), "rm x");
});

Deno.test("parseReference() reads tags and digests, and a port is no tag", () => {
  const digest = `sha256:${"0".repeat(64)}`;
  assert.deepEqual(parseReference("1.2.3.4:5000/a/b"), {
    host: "1.2.3.4:5000",
    repository: "a/b",
    version: "latest",
  });
  assert.equal(parseReference("1.2.3.4:5000/a/b:dev").version, "dev");
  assert.equal(parseReference(`1.2.3.4:5000/a/b:dev@${digest}`).version, digest);
  assert.throws(() => parseReference("alpine"), /Cannot pull "alpine"/);
});
