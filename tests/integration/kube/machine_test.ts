/**
 * The real machine: environment, files, and programs that it runs.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type Command, isMissing, readFault, systemMachine, tlsMachine } from "../../../lib/kube/machine.ts";
import { never } from "../../unit/kube/fakes.ts";

const sh = (script: string, rest: Partial<Command> = {}): Command => ({
  program: "sh",
  args: ["-c", script, "name", "argument"],
  env: {},
  interactive: false,
  maxOutputBytes: 1000,
  ...rest,
});

Deno.test("systemMachine.run() gives exit code and output, without input, in the environment of this process", async () => {
  systemMachine.setEnv("MACHINE_TEST", "inherited");
  const script = 'cat; printf "%s %s %s é" "$1" "$MINE" "$MACHINE_TEST"; echo oh >&2; exit 7';
  const outcome = await systemMachine.run(sh(script, { env: { MINE: "mine" } }), never);
  assert.deepEqual(outcome, {
    code: 7,
    stdout: "argument mine inherited é",
    stderrTail: "oh\n",
    tooLong: false,
  });
});

Deno.test("systemMachine.run() takes as much output as it may, and ends a program that prints more", async () => {
  const fits = await systemMachine.run(sh("printf 12345", { maxOutputBytes: 5 }), never);
  assert.deepEqual([fits.stdout, fits.tooLong, fits.code], ["12345", false, 0]);
  const tooLong = await systemMachine.run(sh("yes", { maxOutputBytes: 5 }), never);
  assert.deepEqual([tooLong.stdout, tooLong.tooLong], ["y\ny\ny", true]);
  assert.ok(tooLong.code > 128);
});

Deno.test("systemMachine.run() puts together what arrives in many portions", async () => {
  const script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done";
  const { stdout } = await systemMachine.run(sh(script, { maxOutputBytes: 1_000_000 }), never);
  assert.equal(stdout, Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join(""));
});

Deno.test("systemMachine.run() keeps the last 4 KiB of what a program says on stderr", async () => {
  const script = "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done";
  const { stderrTail } = await systemMachine.run(sh(script), never);
  assert.equal(stderrTail.length, 4096);
  assert.match(stderrTail, /line 1998\nline 1999\n$/);
});

Deno.test("systemMachine.run() starts nothing for a signal that is aborted, and ends with its reason later", async () => {
  const reason = new Error("enough");
  const folder = await Deno.makeTempDir();
  try {
    const script = `: > ${folder}/started; exec sleep 1000`;
    await assert.rejects(
      systemMachine.run(sh(script), AbortSignal.abort(reason)),
      (error) => error === reason,
    );
    await assert.rejects(Deno.stat(`${folder}/started`), Deno.errors.NotFound);
    const controller = new AbortController();
    const run = systemMachine.run(sh("exec sleep 1000"), controller.signal);
    controller.abort(reason);
    await assert.rejects(run, (error) => error === reason);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("systemMachine says so when there is no such program or file", async () => {
  await assert.rejects(systemMachine.run(sh("", { program: "no-such-program-here" }), never), isMissing);
  await assert.rejects(systemMachine.readText("/no/such/file"), isMissing);
});

Deno.test("systemMachine takes an empty variable for one that is not set", () => {
  systemMachine.setEnv("MACHINE_TEST", "x");
  assert.equal(systemMachine.env("MACHINE_TEST"), "x");
  systemMachine.setEnv("MACHINE_TEST", "");
  assert.equal(systemMachine.env("MACHINE_TEST"), undefined);
  assert.equal(systemMachine.env("MACHINE_TEST_THAT_NOBODY_SETS"), undefined);
  assert.equal(systemMachine.denoVersion(), Deno.version.deno);
  assert.equal(systemMachine.hasTerminal(), Deno.stdin.isTerminal());
  assert.equal(systemMachine.home(), Deno.env.get("HOME"));
});

Deno.test("readFault() puts into words why a file cannot be read", async () => {
  const coded = (code: string) => readFault(Object.assign(new Error("x"), { code }));
  assert.deepEqual(["ENOENT", "EACCES", "EPERM", "EISDIR", "EIO"].map(coded), [
    "found no such file",
    "found a file that may not be read",
    "found a file that may not be read",
    "found a directory",
    "found a file that cannot be read: x",
  ]);
  const { errors } = Deno;
  const named = [errors.NotFound, errors.PermissionDenied, errors.NotCapable, errors.IsADirectory];
  assert.deepEqual(named.map((Class) => readFault(new Class("x"))), [
    "found no such file",
    "found a file that may not be read",
    "found a file that may not be read",
    "found a directory",
  ]);
  assert.equal(readFault("text"), "found a file that cannot be read: text");
  await assert.rejects(systemMachine.readText("/"), (error) => readFault(error) === "found a directory");
});

Deno.test("tlsMachine.readText() reads a file of up to 1 MiB, also by a link, and neither a larger one nor a pipe", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = (name: string) => `${folder}/${name}`;
    await Deno.writeTextFile(path("file"), "x".repeat(1024 * 1024));
    await Deno.symlink(path("file"), path("link"));
    await Deno.writeTextFile(path("large"), "x".repeat(1024 * 1024 + 1));
    await new Deno.Command("mkfifo", { args: [path("pipe")] }).output();
    assert.equal((await tlsMachine.readText(path("link"))).length, 1024 * 1024);
    await assert.rejects(
      tlsMachine.readText(path("large")),
      /^Error: it has 1048577 bytes, want at most 1048576$/,
    );
    await assert.rejects(tlsMachine.readText(path("pipe")), /^Error: it is no regular file$/);
    await assert.rejects(tlsMachine.readText("/dev/zero"), /^Error: it is no regular file$/);
    for (const [name, found] of [["none", "no such file"], [".", "a directory"]] as const) {
      assert.equal(
        readFault(await tlsMachine.readText(path(name)).catch((error) => error)),
        `found ${found}`,
      );
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
