/**
 * What is compiled is looked at before it is taken.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { check, flagsOf, rejectBadBundle, rejectMissingFiles, TARGETS, USAGE } from "../../.ci/compile.ts";

const MADE = { version: "1.2.3", commit: "0123456789ab" };

/** A file of the given content in a folder of its own. */
async function withFile(content: string | Uint8Array, use: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = join(folder, "program");
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  await Deno.writeFile(path, bytes, { mode: 0o755 });
  try {
    await use(path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The start of a program for `machine` (ELF), and what follows. */
function elf(machine: number, rest: string): Uint8Array {
  const bytes = new Uint8Array(64 + rest.length);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  bytes[18] = machine;
  bytes.set(new TextEncoder().encode(rest), 64);
  return bytes;
}

Deno.test("check() refuses a program for this machine that does not start, or tells another version", async () => {
  const target = { triple: Deno.build.target, starts: () => true };
  const told = `buildkitd-autoscaler 1.2.3 (commit 0123456789ab, deno 2.9.6, ${Deno.build.target})`;
  const version = `#!/bin/sh\n[ "$1" = version ] && echo '${told}' && exit 0\n`;
  await withFile(`${version}echo "Cannot read $2" >&2; exit 2\n`, async (path) => {
    assert.equal(await check(path, target, MADE, "2.9.6"), told);
    await assert.rejects(
      check(path, target, MADE, "2.6.10"),
      /^Error: Cannot use what was compiled .* it says/,
    );
    await assert.rejects(check(path, target, { ...MADE, commit: "ba9876543210" }, "2.9.6"), /it says/);
  });
  await withFile(`${version}echo Dynamic require >&2; exit 1\n`, async (path) => {
    await assert.rejects(
      check(path, target, MADE, "2.9.6"),
      /want it to start .* but it says "Dynamic require"$/,
    );
  });
  await withFile("#!/bin/sh\nexit 3\n", async (path) => {
    await assert.rejects(check(path, target, MADE, "2.9.6"), /ended with 3/);
  });
});

Deno.test("check() refuses a program for another machine than wanted, and one without the bundle", async () => {
  const [name, machine, other] = Deno.build.arch === "x86_64"
    ? ["linux-arm64", 0xb7, 0x3e] as const
    : ["linux-amd64", 0x3e, 0xb7] as const;
  const target = TARGETS[name]!;
  const bundle = 'x={version:"1.2.3",commit:"0123456789ab"}';
  await withFile(elf(machine, bundle), async (path) => {
    assert.match(await check(path, target, MADE, "2.9.6"), /not run, since this is /);
  });
  await withFile(elf(other, bundle), async (path) => {
    await assert.rejects(check(path, target, MADE, "2.9.6"), /found a program for another machine/);
  });
  await withFile(elf(machine, "the plain Deno"), async (path) => {
    await assert.rejects(check(path, target, MADE, "2.9.6"), /found no bundle of the commit 0123456789ab/);
  });
});

Deno.test("flagsOf() gives a command's flags", () => {
  assert.deepEqual(flagsOf("deno run --no-prompt --allow-sys=a,b main.ts"), [
    "--no-prompt",
    "--allow-sys=a,b",
  ]);
});

Deno.test("rejectBadBundle() names the place of a character beyond ASCII, which would double the bundle in memory", () => {
  rejectBadBundle('const arrow = "\\u2192";\n');
  assert.throws(() => rejectBadBundle("html`from → to`"), /at "html`from → to`"/);
});

Deno.test("rejectMissingFiles() names a file of the bundle that is not in the program", async () => {
  const folder = await Deno.makeTempDir();
  for (const name of ["main.js", "part.js"]) {
    await Deno.writeTextFile(join(folder, name), `say("${name}");\n`);
  }
  const files = ["main.js", "part.js"];
  await withFile(
    '...say("main.js");\nsay("part.js");\n...',
    (path) => rejectMissingFiles(path, { folder, files }),
  );
  await withFile('...say("main.js");\n...import("./part.js")', async (path) => {
    await assert.rejects(rejectMissingFiles(path, { folder, files }), /found no "part\.js"/);
  });
  await Deno.remove(folder, { recursive: true });
});

Deno.test("rejectBadBundle() refuses a package whose require() would throw", () => {
  const stub = `throw Error('Dynamic require of "' + name + '" is not supported')`;
  assert.throws(() => rejectBadBundle(stub), /could not load modules of Node/);
});

/** What the compiler says to arguments that it does nothing for. */
async function said(...args: string[]) {
  const compiler = fileURLToPath(new URL("../../.ci/compile.ts", import.meta.url));
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", compiler, ...args],
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out, err: err! };
}

Deno.test("compile --help says what it takes, and a wrong flag points at it", async () => {
  for (const flag of ["--help", "-h"]) {
    assert.deepEqual(await said(flag, "linux-amd64"), { code: 0, out: `${USAGE}\n`, err: "" });
  }
  for (const name of Object.keys(TARGETS)) assert.ok(USAGE.includes(name), name);
  for (const line of USAGE.split("\n")) assert.ok(line.length <= 80, line);
  const { code, out, err } = await said("--nope");
  assert.deepEqual([code, out], [2, ""]);
  assert.match(err, /^Unknown option '--nope'.*\nSee "deno task compile --help"\n$/);
});
