/**
 * `.ci/run` and its suites: what counts as passed, and that nothing hangs or stays behind. The suites are fakes.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { ROOT } from "./generated.ts";

/** What `.ci/suites.sh` makes of some commands: the two counts of its last line, and all its output. */
async function runSuites(commands: string): Promise<{ counts: string; output: string }> {
  const logs = await Deno.makeTempDir();
  try {
    const script = `set -uo pipefail; . .ci/suites.sh; trap tidy EXIT\n${commands}\n` +
      'echo "$passed passed, $failed failed"';
    const { stdout, stderr } = await new Deno.Command("bash", {
      args: ["-c", script],
      cwd: fileURLToPath(ROOT),
      env: { logs, GRACE_SECONDS: "1", NO_COLOR: "1" },
      stdin: "null",
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    const counts = /^(\d+ passed, \d+ failed)\n$/.exec(out!.slice(out!.trimEnd().lastIndexOf("\n") + 1))?.[1];
    return { counts: counts ?? `no counts in: ${out}`, output: out! + err! };
  } finally {
    await Deno.remove(logs, { recursive: true });
  }
}

/** A suite, by what it says and its exit code. */
const says = (lines: string, code = 0) => `sh -c 'printf "${lines}\\n"; exit ${code}'`;

/** What suites say, and what they count as. */
const SUITES: readonly { readonly what: string; readonly command: string; readonly counts: string }[] = [
  { what: "tests that pass", command: says("ok | 3 passed | 0 failed (1s)"), counts: "3 passed, 0 failed" },
  {
    what: "several runs of tests, with colours and steps",
    command: says(
      "\\033[32mok\\033[0m | 3 passed (2 steps) | 0 failed (1s)\\nok | 4 passed | 0 failed (1s)",
    ),
    counts: "7 passed, 0 failed",
  },
  {
    what: "a total of its own",
    command: says("ok | 3 passed | 0 failed (1s)\\n7 passed, 0 failed"),
    counts: "7 passed, 0 failed",
  },
  {
    what: "a test that fails",
    command: says("FAILED | 3 passed | 2 failed (1s)", 1),
    counts: "3 passed, 2 failed",
  },
  {
    what: "another exit code than 0 after tests that pass",
    command: says("ok | 3 passed | 0 failed (1s)", 1),
    counts: "3 passed, 1 failed",
  },
  {
    what: "another exit code than 0 after its own total",
    command: says("7 passed, 0 failed", 3),
    counts: "7 passed, 1 failed",
  },
  {
    what: "a signal after tests that pass",
    command: `sh -c 'echo "7 passed, 0 failed"; kill -INT $$; echo survived'`,
    counts: "7 passed, 1 failed",
  },
  { what: "no test", command: "true", counts: "0 passed, 1 failed" },
  {
    what: "a run of no tests",
    command: says("ok | 0 passed | 0 failed | 5 filtered out (1s)"),
    counts: "0 passed, 1 failed",
  },
  {
    what: "tests that were passed over",
    command: says("ok | 3 passed | 0 failed | 2 ignored (1s)"),
    counts: "3 passed, 2 failed",
  },
  {
    what: "a total that hides tests that were passed over",
    command: says("ok | 3 passed | 0 failed | 2 ignored (1s)\\n7 passed, 0 failed"),
    counts: "3 passed, 2 failed",
  },
  {
    what: "a total that hides tests that failed",
    command: says("7 passed, 0 failed\\nFAILED | 3 passed | 1 failed (1s)"),
    counts: "3 passed, 1 failed",
  },
  {
    what: "a total of less than its tests",
    command: says("ok | 8 passed | 0 failed (1s)\\n7 passed, 0 failed"),
    counts: "7 passed, 1 failed",
  },
];

Deno.test("suites count as passed only if tests passed, none failed or was passed over, and the suite says so", async () => {
  const begun = SUITES.map(({ command }, i) => `begin fake${i} 60 ${command}`);
  const finished = SUITES.map((_, i) => `finish fake${i}`);
  const { output } = await runSuites([...begun, ...finished].join("\n"));
  const found = SUITES.map(({ what }, i) =>
    `${what}: ${new RegExp(`^=== fake${i}: (.*)$`, "m").exec(output)?.[1]}`
  );
  assert.deepEqual(found, SUITES.map(({ what, counts }) => `${what}: ${counts}`), output);
});

Deno.test("the last line sums all suites", async () => {
  const commands = `suite one 60 ${says("3 passed, 1 failed", 1)}; suite two 60 ${
    says("4 passed, 0 failed", 2)
  }`;
  assert.equal((await runSuites(commands)).counts, "7 passed, 2 failed");
});

Deno.test("suite kills one that hangs with everything that it has started, and shows its last lines", async () => {
  const mark = `${Date.now()}.${Deno.pid}`;
  const hanging = `sh -c 'trap "" TERM; (setsid sleep ${mark} &); sleep ${mark} & ` +
    `echo "ok | 3 passed | 0 failed (1s)"; echo waiting for godot; sleep ${mark}'`;
  const { counts, output } = await runSuites(
    `suite fake 5 ${hanging}; suite next 60 ${says("2 passed, 0 failed")}`,
  );
  assert.equal(counts, "5 passed, 1 failed", output);
  assert.match(output, /fake: did not end in time; its last lines:\n[^]*waiting for godot/);
  assert.deepEqual(await running(`sleep ${mark}`), []);
});

Deno.test("suite kills what a suite leaves behind", async () => {
  const mark = `${Date.now()}.${Deno.pid}`;
  const { counts } = await runSuites(
    `suite fake 60 sh -c '(setsid sleep ${mark} &); echo "2 passed, 0 failed"'`,
  );
  assert.equal(counts, "2 passed, 0 failed");
  assert.deepEqual(await running(`sleep ${mark}`), []);
});

Deno.test("begin runs a suite beside others, and finish counts it", async () => {
  // Each of the two waits for the other.
  const meet = (own: string, other: string) =>
    `sh -c 'touch "$logs/${own}"; until [ -e "$logs/${other}" ]; do sleep 0.1; done; echo "1 passed, 0 failed"'`;
  const { counts, output } = await runSuites(
    `export logs; begin one 60 ${meet("a", "b")}; suite two 60 ${meet("b", "a")}; finish one`,
  );
  assert.equal(counts, "2 passed, 0 failed", output);
});

Deno.test("prepare counts as a failure what did not succeed, and as nothing what did", async () => {
  assert.equal((await runSuites("prepare tools 60 true")).counts, "0 passed, 0 failed");
  assert.equal((await runSuites("prepare tools 60 false")).counts, "0 passed, 1 failed");
  assert.equal((await runSuites("prepare tools 1 sleep 100")).counts, "0 passed, 1 failed");
});

Deno.test("suite ends a suite when the time of all suites has passed, whatever its own limit is", async () => {
  const { counts, output } = await runSuites(
    "ALL_SECONDS=2; suite fake 60 sleep 100; suite late 60 sleep 100",
  );
  assert.match(output, /fake: did not end in time/);
  assert.match(output, /late: did not end in time/);
  assert.equal(counts, "0 passed, 2 failed");
});

Deno.test("repo: all suites together end well before the 90 minutes of CI, and each alone in less", async () => {
  const read = (path: string) => Deno.readTextFile(new URL(path, ROOT));
  const all = Number(/ALL_SECONDS:=(\d+)/.exec(await read(".ci/suites.sh"))![1]);
  assert.ok(all <= 86 * 60);
  const limits = [...(await read(".ci/run")).matchAll(/^(?:prepare|suite|begin) (\w+) (\d+) /gm)];
  assert.deepEqual(limits.map(([, name]) => name), [
    "tools",
    "test",
    "simulation",
    "faults",
    "chart",
    "browser",
    "e2e",
    "binary",
  ]);
  for (const [, name, seconds] of limits) assert.ok(Number(seconds) <= all * 0.65, name);
  assert.match(await read(".github/workflows/ci.yml"), /^ {4}timeout-minutes: 90$/m);
});

/** The processes with exactly this command line. */
async function running(command: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    if (line.replaceAll("\0", " ").trim() === command) found.push(name);
  }
  return found;
}
