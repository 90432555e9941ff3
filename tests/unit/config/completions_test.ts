/**
 * Completions, as a shell asks for them, and in bash itself.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { bashCompletion } from "../../../lib/config/bash_completion.ts";
import { settingRows } from "../../../lib/config/settings.ts";

const main = fileURLToPath(new URL("../../../main.ts", import.meta.url));

/** Runs the completion function of bash for lines with the cursor at their end, in one shell that read the script twice. */
async function completed(lines: readonly string[]): Promise<{ stderr: string; replies: string[] }> {
  const asked = lines.map((line) => `ask '${line}' '${/[^= ]*$/.exec(line)![0]}'`);
  const script = [
    bashCompletion("buildkitd-autoscaler"),
    bashCompletion("buildkitd-autoscaler"),
    `buildkitd-autoscaler() { '${Deno.execPath()}' run -A --no-check '${main}' "$@"; }`,
    "compopt() { files=no; }",
    "ask() {",
    '  COMP_LINE=$1 COMP_POINT=${#1} files="" COMPREPLY=()',
    '  __buildkitd_autoscaler_complete buildkitd-autoscaler "$2"',
    '  echo "${COMPREPLY[*]}${files:+ (no files)}"',
    "}",
    "complete -p buildkitd-autoscaler",
    ...asked,
  ].join("\n");
  const { stdout, stderr } = await new Deno.Command("bash", { args: ["-c", script], stdin: "null" }).output();
  const decoder = new TextDecoder();
  return { stderr: decoder.decode(stderr), replies: decoder.decode(stdout).trimEnd().split("\n") };
}

Deno.test("bashCompletion() completes commands, flags and values, and leaves files to bash", async () => {
  const name = "buildkitd-autoscaler";
  const { stderr, replies } = await completed([
    `${name} chec`,
    `${name} help com`,
    `${name} run --wake-`,
    `${name} --wake-on `,
    `${name} check --wake-on=d`,
    `${name} --kubeconfig ~/.k`,
    `${name} run --tls-cert=`,
    `${name} $(echo harm >&2) chec`,
  ]);
  assert.equal(stderr, "");
  assert.deepEqual(replies, [
    `complete -o default -F __buildkitd_autoscaler_complete ${name}`,
    "check (no files)",
    "completions (no files)",
    "--wake-on (no files)",
    "connect data (no files)",
    "data (no files)",
    "",
    "",
    " (no files)",
  ]);
});

Deno.test("bashCompletion() keeps the flag where the equals sign ends no word", async () => {
  const script = [
    bashCompletion("p"),
    `p() { '${Deno.execPath()}' run -A --no-check '${main}' "$@"; }`,
    "compopt() { :; }",
    "COMP_LINE='p --wake-on=c ' COMP_POINT=13",
    '__p_complete p --wake-on=c; echo "${COMPREPLY[*]}"',
  ].join("\n");
  const { stdout } = await new Deno.Command("bash", { args: ["-c", script], stdin: "null" }).output();
  assert.equal(new TextDecoder().decode(stdout), "--wake-on=connect\n");
});

Deno.test("bashCompletion() asks a program in the home directory, and one shell that has no compopt", async () => {
  const home = await Deno.makeTempDir();
  try {
    const text = `#!/bin/sh\nexec '${Deno.execPath()}' run -A --no-check '${main}' "$@"\n`;
    await Deno.writeTextFile(`${home}/p`, text, { mode: 0o755 });
    const script = [
      bashCompletion("p"),
      "enable -n compopt",
      "COMP_LINE='~/p chec' COMP_POINT=8",
      '__p_complete "~/p" chec; echo "${COMPREPLY[*]}"',
    ].join("\n");
    const env = { HOME: home, DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno` };
    const command = new Deno.Command("bash", { args: ["-c", script], stdin: "null", env });
    const { stdout, stderr } = await command.output();
    assert.equal(new TextDecoder().decode(stdout), "check\n");
    assert.equal(new TextDecoder().decode(stderr), "");
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});

/** What the program answers a shell. */
async function answerTo(...words: string[]): Promise<string> {
  const args = ["run", "-A", "--no-check", main, "complete", "--", ...words];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args, stdin: "null" }).output();
  return new TextDecoder().decode(stdout);
}

Deno.test("printCompletions() asks for files exactly where a value is one", async () => {
  const files = settingRows().filter(([, { type }]) => type.placeholder === "file").map(([, { flag }]) =>
    flag
  );
  assert.deepEqual(files, [
    "--upstream-tls-ca",
    "--upstream-tls-cert",
    "--upstream-tls-key",
    "--tls-cert",
    "--tls-key",
    "--tls-client-ca",
    "--kubeconfig",
  ]);
  for (const flag of files) assert.equal(await answerTo(flag, ""), ":0\n", flag);
  assert.equal(await answerTo("check", "--kubeconfig", "~/"), ":0\n");
  for (const words of [["--sts-name"], ["demo"], ["check"]]) {
    assert.equal(await answerTo(...words, ""), ":4\n", words.join(" "));
  }
});
