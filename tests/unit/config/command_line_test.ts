/**
 * The command line, as a function and as the program itself.
 *
 * @module
 */
import assert from "node:assert/strict";
import process from "node:process";
import { UsageError } from "../../../lib/base/errors.ts";
import { parseCommandLine, type Request } from "../../../lib/config/command_line.ts";
import { COMMANDS, SHELLS } from "../../../lib/config/commands.ts";
import { settingRows, TOPICS } from "../../../lib/config/settings.ts";

function parse(...args: string[]): Request {
  return parseCommandLine(args, {});
}

function settingsOf(...args: string[]) {
  const request = parse(...args);
  assert.ok(request.command === "run");
  return request.settings;
}

function problemsOf(...args: string[]): readonly string[] {
  try {
    parse(...args);
  } catch (error) {
    assert.ok(error instanceof UsageError);
    return error.problems;
  }
  return [];
}

function helpOf(...args: string[]): string {
  const request = parse(...args);
  assert.ok(request.command === "help");
  return request.text;
}

Deno.test("parseCommandLine() runs without a command, and with run", () => {
  assert.deepEqual(settingsOf(), settingsOf("run"));
});

Deno.test("parseCommandLine() takes both forms of a flag, before and after the command", () => {
  for (
    const args of [
      ["--idle-timeout", "1m"],
      ["--idle-timeout=1m"],
      ["run", "--idle-timeout=1m"],
      ["--idle-timeout", "1m", "run"],
    ]
  ) {
    assert.equal(settingsOf(...args).idleTimeoutMs.base, 60_000, args.join(" "));
  }
  assert.deepEqual(settingsOf("--listen-addr=[::1]:1").listenAddr, { hostname: "::1", port: 1 });
});

Deno.test("parseCommandLine() takes everything after -- as arguments", () => {
  assert.deepEqual(problemsOf("run", "--", "--target-port=1"), ['Unexpected argument "--target-port=1"']);
});

Deno.test("parseCommandLine() takes the last of a flag given twice", () => {
  assert.equal(settingsOf("--target-port=1", "--target-port", "2").targetPort, 2);
});

Deno.test("parseCommandLine() names the nearest of unknown flags, commands and arguments, all together", () => {
  assert.deepEqual(
    problemsOf("--idle-timout", "2m", "--target-port=x", "--log_level=info", "extra", "--sts-name"),
    [
      'Unknown flag "--idle-timout": the nearest is "--idle-timeout"',
      'Unknown flag "--log_level": the nearest is "--log-level"',
      'Unexpected argument "extra"',
      'Cannot parse "--sts-name": found no value, want one after it',
      'Cannot parse "--target-port": found "x", want a whole number from 1 to 65535',
    ],
  );
  assert.deepEqual(problemsOf("dmeo"), ['Unknown command "dmeo": the nearest is "demo"']);
  assert.deepEqual(problemsOf("run", "now"), ['Unexpected argument "now"']);
  assert.deepEqual(problemsOf("-x"), ['Unknown flag "-x"']);
  for (const argument of ["-", "x"]) {
    assert.deepEqual(problemsOf("--zzzzzzzzzz=1m", argument), [
      'Unknown flag "--zzzzzzzzzz"',
      `Unexpected argument "${argument}"`,
    ]);
    assert.deepEqual(problemsOf("--zzzzzzzzzz", argument), ['Unknown flag "--zzzzzzzzzz"']);
  }
  assert.equal(problemsOf("--nope=1", "-").at(-1), 'Unexpected argument "-"');
  assert.deepEqual(problemsOf("demo", "--sts-name"), [
    'Cannot parse "--sts-name": found no value, want one after it',
  ]);
  for (const flag of ["--help", "--version"]) {
    assert.deepEqual(problemsOf(`${flag}=foo`), [`Cannot use "${flag}=foo": "${flag}" takes no value`]);
  }
  assert.deepEqual(problemsOf("deploy"), [
    'Unknown command "deploy": want one of run, check, demo, version, completions, help',
  ]);
});

Deno.test("parseCommandLine() reports unknown variables with the arguments' problems", () => {
  try {
    parseCommandLine(["--sts-nam=x"], { AUTOSCALER_UPSTREM: "dns" });
    assert.fail("no error");
  } catch (error) {
    assert.ok(error instanceof UsageError);
    assert.equal(error.problems.length, 2);
  }
});

Deno.test("parseCommandLine() gives the demo its own arguments, and no settings", () => {
  assert.deepEqual(parse("demo"), { command: "demo", stub: false, laptop: false });
  assert.deepEqual(parse("demo", "--stub"), { command: "demo", stub: true, laptop: false });
  assert.deepEqual(parse("demo", "--laptop"), { command: "demo", stub: false, laptop: true });
  assert.deepEqual(problemsOf("demo", "--stub", "--real", "x"), [
    'Cannot use "--real" with "demo": want nothing, "--stub" or "--laptop"',
    'Cannot use "x" with "demo": want nothing, "--stub" or "--laptop"',
  ]);
  assert.deepEqual(problemsOf("demo", "--idle-timeout=1m"), [
    'Cannot use "--idle-timeout" with "demo": it has settings of its own',
  ]);
});

Deno.test("parseCommandLine() gives check the settings of run, and an output", () => {
  for (const args of [["check"], ["check", "--output", "text"], ["--output=text", "check"]]) {
    assert.deepEqual(parse(...args), { ...parse("run"), command: "check", output: "text" });
  }
  const request = parse("check", "--sts-name=web", "--output", "json", "--upstream", "dns");
  assert.ok(request.command === "check");
  assert.deepEqual([request.output, request.settings.stsName, request.settings.upstream], [
    "json",
    "web",
    "dns",
  ]);
  assert.deepEqual(problemsOf("check", "--output", "yaml", "--idle-timout=1m", "now"), [
    'Unknown flag "--idle-timout": the nearest is "--idle-timeout"',
    'Unexpected argument "now"',
    'Cannot parse "--output": found "yaml", want one of text, json',
  ]);
  assert.deepEqual(problemsOf("check", "--output"), [
    'Cannot parse "--output": found no value, want one after it',
  ]);
  for (const name of ["run", "version"]) {
    assert.deepEqual(problemsOf(name, "--output=json"), [
      `Cannot use "--output" with "${name}": only "check" prints a report`,
    ]);
  }
  assert.deepEqual(problemsOf("demo", "--output=json"), [
    'Cannot use "--output" with "demo": want nothing, "--stub" or "--laptop"',
  ]);
});

Deno.test("check --help says what it looks at, its own flag, and what the exit codes mean", () => {
  const help = helpOf("check", "--help");
  for (const line of help.split("\n")) assert.ok(line.length <= 80, line);
  assert.match(help, /^Usage: buildkitd-autoscaler check \[flags\]\n/);
  assert.match(help, /--output <how> +how to print the report: text, json/);
  assert.match(help.replace(/\s+/g, " "), /Exit codes: 0 no fault, 1 at least one, 2 wrong usage\./);
});

Deno.test("the help of every command says its usage as the list of commands does, and begins like a sentence", () => {
  const list = helpOf("--help");
  for (const [name, { usage }] of COMMANDS) {
    const term = `${name} ${usage}`.trimEnd();
    assert.ok(list.includes(`\n  ${term}  `), term);
    if (name === "run" || name === "help") continue;
    const help = helpOf(name, "--help");
    for (const line of help.split("\n")) assert.ok(line.length <= 80 && !line.endsWith(" "), line);
    assert.ok(help.startsWith(`Usage: buildkitd-autoscaler ${term}\n\n`), help);
    assert.match(help, /^.*\n\n[A-Z][\s\S]*[a-z)]\.?\n/, name);
  }
});

Deno.test("help is that of the program, or of the command that is named", () => {
  for (const args of [[], ["run"], ["help"]]) assert.equal(helpOf("help", ...args), helpOf("--help"));
  for (const name of ["check", "demo", "version", "completions"]) {
    assert.equal(helpOf("help", name), helpOf(name, "--help"), name);
  }
  assert.deepEqual(problemsOf("help", "chek", "now", "--loud"), [
    'Unknown command "chek": the nearest is "check"',
    'Unexpected argument "now"',
    'Unexpected argument "--loud"',
  ]);
});

Deno.test("parseCommandLine() points at the help of the command, and says whether that starts something", () => {
  for (
    const [args, command, preventsStart] of [
      [["--nonsense"], undefined, true],
      [["run", "--nonsense"], undefined, true],
      [["nonsense"], undefined, true],
      [["check", "--output=yaml"], "check", false],
      [["check", "--target-port=x"], "check", false],
      [["--output=yaml", "check"], "check", false],
      [["demo", "--nonsense"], "demo", true],
      [["version", "--json"], "version", false],
      [["completions", "tcsh"], "completions", false],
      [["help", "nonsense"], undefined, false],
    ] as const
  ) {
    assert.throws(
      () => parse(...args),
      (error) =>
        error instanceof UsageError && error.command === command && error.preventsStart === preventsStart,
      args.join(" "),
    );
  }
});

Deno.test("parseCommandLine() knows version, completions and their arguments", () => {
  assert.deepEqual(parse("version"), { command: "version" });
  assert.deepEqual(parse("--version"), { command: "version" });
  assert.deepEqual(parse("completions", "fish"), { command: "completions", shell: "fish" });
  assert.deepEqual(parse("complete", "--", "--lo"), { command: "complete", words: ["--lo"] });
  assert.deepEqual(problemsOf("complete"), [
    'Unknown command "complete": want one of run, check, demo, version, completions, help',
  ]);
  assert.deepEqual(problemsOf("completions", "tcsh"), [
    'Cannot make completions: found "tcsh", want one of bash, zsh, fish, powershell',
  ]);
  assert.equal(problemsOf("completions").length, 1);
  assert.equal(problemsOf("version", "x").length, 1);
});

Deno.test("parseCommandLine() quotes at most 80 characters of a wrong value", () => {
  for (const [length, shown] of [[80, "x".repeat(80)], [81, `${"x".repeat(80)}…`]] as const) {
    const [problem] = problemsOf(`--target-port=${"x".repeat(length)}`);
    assert.ok(problem?.startsWith(`Cannot parse "--target-port": found "${shown}", want`), problem);
  }
});

Deno.test("--help has the flags of a topic together, the choices of each, and itself and the commands at the end", () => {
  const shown = helpOf("--help").replace(/\s+/g, " ");
  const end =
    "JSON lines elsewhere: auto, text, json [AUTOSCALER_LOG_FORMAT, default auto] --events [boolean] write Kubernetes " +
    "Events about the StatefulSets: true, false [AUTOSCALER_EVENTS, default true] --admin-addr <address> " +
    "where the status page, /livez, /readyz and /metrics are served [AUTOSCALER_ADMIN_ADDR, default :8081] " +
    "--price-per-hour <price> what a pod of buildkitd costs in an hour, as 0.34 or 0.34 EUR, to show what was saved " +
    "[AUTOSCALER_PRICE_PER_HOUR] Other: " +
    "-h, --help show this --version show the version Commands: run [flags] proxy and scale (the default) " +
    "check [flags] look for faults, and name the commands that fix them " +
    "demo [flags] demonstrate it on a miniature cluster inside this process version " +
    "show the version completions <shell> print a script that completes commands and flags help [command] show this, " +
    "or the help of a command";
  assert.ok(shown.includes(end), shown);
});

Deno.test("--help says what each kind of flag takes", () => {
  const taken = [
    "--listen-addr <address>",
    "--cluster-domain <name>",
    "--connect-timeout <duration>",
    "--context <name>",
    "--events [boolean]",
    "--kubeconfig <file>",
    "--log-level <level>",
    "--max-held <number>",
    "--readiness <mode>",
    "--sts-namespace <name>",
    "--upstream <how>",
    "--wake-on <what>",
  ];
  const help = helpOf("--help");
  for (const flag of taken) assert.ok(help.includes(`\n  ${flag} `), flag);
  assert.equal(help.match(/--help/g)?.length, 1, "and names itself once");
});

Deno.test("--help fits 80 columns and shows every flag with its variable and default", () => {
  const help = helpOf("--help");
  for (const line of help.split("\n")) assert.ok(line.length <= 80, line);
  for (const [, { flag, variable, type, default: preset }] of settingRows()) {
    const shown = help.slice(help.indexOf(`  ${flag} `)).replace("[boolean]", "").split("]")[0]!
      .replace(/\s+/g, " ");
    const perPool = type.range.endsWith("; per pool") ? ", per pool" : "";
    assert.ok(
      shown.endsWith(`[${variable}${preset === undefined ? "" : `, default ${preset}`}${perPool}`),
      flag,
    );
  }
  assert.match(help, /\[READY_WAIT_TIMEOUT, default 5m0s, per\s+pool\]/);
  assert.match(help, /"per pool": a value for all pools, then others for some of them: 5m, arm64=15m\./);
  assert.match(help, /A variable \(in brackets\) overrides its flag/);
  assert.match(help, /Exit codes: 0 done, 1 failed, 2 wrong usage/);
  for (const args of [["-h"], ["help"], ["run", "--help"], ["--idle-timeout=wrong", "--help"], ["-help"]]) {
    assert.equal(helpOf(...args), help, args.join(" "));
  }
  assert.match(helpOf("demo", "--help"), /--stub/);
  const completions = helpOf("completions", "--help");
  assert.match(completions, /^Usage: buildkitd-autoscaler completions <shell>/);
  for (const shell of SHELLS) assert.ok(completions.includes(`"${shell}"`), shell);
});

Deno.test("--help says after each flag what kind of value it takes, and which there are", () => {
  const help = helpOf("--help").replace(/\s+/g, " ");
  const shown = settingRows().map(([key, { flag, variable, type, help: what }]) => {
    const [, placeholder] = new RegExp(` ${flag} [<[]([a-z-]+)[>\\]] `).exec(help) ?? [];
    assert.equal(placeholder, type.placeholder, flag);
    const choices = type.choices === undefined ? "" : `: ${type.choices.join(", ")}`;
    assert.ok(help.includes(` ${what}${choices} [${variable}`), flag);
    return [placeholder, key.endsWith("Ms") ? "duration" : /Addr$/.test(key) ? "address" : undefined];
  });
  for (const [placeholder, wanted] of shown) if (wanted !== undefined) assert.equal(placeholder, wanted);
});

Deno.test("--help keeps the order of topics, and says how to write values", () => {
  const help = helpOf("--help");
  const topics = Object.values(TOPICS).map((topic) => help.indexOf(`\n${topic}:\n`));
  assert.ok(topics.every((at, i) => at > (topics[i - 1] ?? 0)), topics.join());
  assert.ok(help.indexOf("\nOther:\n") > topics.at(-1)!);
  assert.match(help, /^Usage: buildkitd-autoscaler \[command\] \[flags\]\n\nProxies BuildKit clients/);
  assert.match(help, /-h, --help +show this\n +--version +show the version\n/);
  assert.match(
    help,
    /\n {2}run .*\n {2}check .*\n.*\n? {2}demo .*\n.*\n? {2}version .*\n {2}completions .*\n.*\n {2}help /,
  );
  assert.equal(help.match(/--help/g)!.length, 1);
});

Deno.test("parseCommandLine() prints nothing, whatever is wrong", () => {
  const { stdout, stderr } = process;
  const printed: unknown[] = [];
  const writes = [stdout, stderr].map((stream) => {
    const { write } = stream;
    stream.write = (chunk: unknown) => printed.push(chunk) > 0;
    return () => void (stream.write = write);
  });
  try {
    for (const args of [["--sts-name"], ["--help"], ["help"], ["run", "now"], ["--version", "x"], ["-x"]]) {
      problemsOf(...args);
    }
  } finally {
    for (const restore of writes) restore();
  }
  assert.deepEqual(printed, []);
});

/** Runs the program; it inherits no variable but what Deno needs. */
async function program(args: string[], env: Record<string, string> = {}) {
  const inherited = Object.fromEntries(
    ["PATH", "HOME", "DENO_DIR", "SystemRoot", "TMPDIR"].flatMap((name) => {
      const value = Deno.env.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
  const output = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      "--no-check",
      new URL("../../../main.ts", import.meta.url).pathname,
      ...args,
    ],
    clearEnv: true,
    env: { ...inherited, NO_COLOR: "1", ...env },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code: output.code, stdout: decoder.decode(output.stdout), stderr: decoder.decode(output.stderr) };
}

Deno.test("main.ts prints help and version to stdout and exits with 0", async () => {
  const help = await program(["--help"]);
  assert.deepEqual([help.code, help.stdout, help.stderr], [0, helpOf("--help"), ""]);
  const version = await program(["version"]);
  assert.deepEqual([version.code, version.stderr], [0, ""]);
  assert.match(version.stdout, /^buildkitd-autoscaler \d+\.\d+\.\d+ \(deno \S+, \S+\)\n$/);
});

Deno.test("main.ts prints all problems to stderr, without a stack, and exits with 2", async () => {
  const { code, stdout, stderr } = await program(["--idle-timeout=soon"], { LOG_LEVEL: "loud" });
  assert.deepEqual([code, stdout], [2, ""]);
  assert.equal(
    stderr,
    [
      "buildkitd-autoscaler: 2 problems, nothing was started",
      '  Cannot parse "--idle-timeout": found "soon", want a duration such as "2m0s"',
      '  Cannot parse "LOG_LEVEL": found "loud", want "debug", "info", "warn" or "error"',
      'See "buildkitd-autoscaler --help"',
      "",
    ].join("\n"),
  );
});

Deno.test('main.ts omits "nothing was started" for commands that start nothing', async () => {
  for (
    const [args, problem] of [
      [
        ["completions", "tcsh"],
        'Cannot make completions: found "tcsh", want one of bash, zsh, fish, powershell',
      ],
      [["version", "--json"], 'Unknown flag "--json"'],
      [["check", "--nonsense"], 'Unknown flag "--nonsense"'],
    ] as const
  ) {
    const { code, stdout, stderr } = await program([...args]);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.equal(
      stderr,
      `buildkitd-autoscaler: 1 problem\n  ${problem}\nSee "buildkitd-autoscaler ${args[0]} --help"\n`,
    );
  }
});

Deno.test("main.ts --help ends with the address of the documentation", async () => {
  const { stdout } = await program(["--help"]);
  assert.match(
    stdout,
    /\nDocumentation: https:\/\/github\.com\/EarthBuild\/buildkitd-autoscaler\/tree\/main\/docs\n$/,
  );
});

Deno.test("main.ts reads variables when there are no arguments", async () => {
  const { code, stderr } = await program([], { AUTOSCALER_MAX_HELD: "0", BUILDKITD_TARGET_PORT: "x" });
  assert.equal(code, 2);
  assert.match(stderr, /^buildkitd-autoscaler: 2 problems, nothing was started\n/);
});

Deno.test("main.ts reports a kubeconfig that is not there as wrong usage", async () => {
  const { code, stderr } = await program([
    "--kubeconfig",
    "/nowhere/config",
    "--listen-addr=:0",
    "--admin-addr=:0",
  ]);
  assert.equal(code, 2);
  assert.match(stderr, /\/nowhere\/config/);
  assert.doesNotMatch(stderr, /\n\s+at /);
});

Deno.test("main.ts prints completion scripts and completions", async () => {
  for (const shell of ["bash", "zsh", "fish", "powershell"]) {
    const { code, stdout, stderr } = await program(["completions", shell]);
    assert.deepEqual([code, stderr], [0, ""], shell);
    assert.match(stdout, /buildkitd-autoscaler/);
  }
  for (const before of [[], ["run"]]) {
    assert.match((await program(["complete", "--", ...before, "--ad"])).stdout, /^--admin-addr\t/);
  }
  assert.match((await program(["complete", "--", "--wake-on", ""])).stdout, /^connect\t[\s\S]*^data\t/m);
});

Deno.test("parseCommandLine() takes a boolean flag alone for true, wherever it stands", () => {
  for (
    const [args, observe] of [
      [["--observe"], true],
      [["--observe", "--sts-name", "b"], true],
      [["run", "--observe", "--sts-name=b"], true],
      [["--observe", "false"], false],
      [["--observe=false"], false],
      [["--observe=true", "--observe", "false"], false],
    ] as const
  ) {
    const request = parseCommandLine(args, {});
    assert.ok(request.command === "run");
    assert.equal(request.settings.observe, observe, args.join(" "));
  }
});
