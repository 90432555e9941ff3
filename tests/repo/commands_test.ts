/**
 * The commands that documents show: those that need nothing but this checkout are run, and what they print is what the
 * document says; the others are at least commands, and what they name is there.
 *
 * @module
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import * as yaml from "js-yaml";
import { parseCommandLine } from "../../lib/config/command_line.ts";
import { startBuild } from "../../lib/demo/demo_builds.ts";
import { ByteReader } from "../../lib/miniature/bytes.ts";
import { STATEFULSETS } from "../../lib/miniature/objects.ts";
import { PREFACE, serveHttp2 } from "../../lib/miniature/stub_http2.ts";
import { denoNetwork } from "../../lib/proxy/deno_network.ts";
import { fastClock } from "../support/fast_clock.ts";
import { type Program, startBeside, startProgram } from "../support/program.ts";
import type { Serve } from "../support/server_pods.ts";
import { commandsOf, type Document, documents, fenced } from "./documents.ts";
import { ROOT } from "./generated.ts";
import { type Values, valueViolations } from "./values.ts";

const all = await documents(ROOT);
const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
const commands = all.flatMap(({ path, text }) => commandsOf(text).map((command) => ({ path, command })));

interface Outcome {
  readonly code: number;
  readonly output: string;
}

async function run(
  command: string,
  args: readonly string[],
  options: Deno.CommandOptions = {},
): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    cwd: ROOT,
    stdin: "null",
    ...options,
    env: { NO_COLOR: "1", ...options.env },
  }).output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** What of the environment the program may see: not the settings of whoever runs the tests. */
function plainEnvironment(): Record<string, string> {
  const names = ["PATH", "HOME", "DENO_DIR", "SystemRoot", "TMPDIR"];
  return Object.fromEntries(names.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  }));
}

Deno.test("documents: blocks for a shell are commands that bash can read", async () => {
  const blocks = all.flatMap(({ path, text }) => fenced(text, "sh").map((block) => ({ path, block })));
  assert.ok(blocks.length >= 10, "the blocks were found");
  for (const { path, block } of blocks) {
    const { code, output } = await run("bash", ["-n", "-c", block]);
    assert.deepEqual([code, output], [0, ""], `${path}:\n${block}`);
  }
  assert.notEqual((await run("bash", ["-n", "-c", "echo 'no end"])).code, 0);
});

Deno.test("documents: commands can be pasted, also into zsh, which knows no comments and expands brackets", () => {
  const lines = all.filter(({ path }) => path !== "CONTRIBUTING.md")
    .flatMap(({ path, text }) =>
      fenced(text, "sh").flatMap((block) => block.split("\n")).map((line) => ({ path, line }))
    );
  assert.ok(lines.length > 50, "the commands were found");
  assert.deepEqual(lines.filter(({ line }) => /(?:^|\s)#|^[^'"]*\[\d+\]/.test(line)), []);
});

Deno.test("documents: blocks of YAML can be read", () => {
  const blocks = all.flatMap(({ path, text }) => fenced(text, "yaml").map((block) => ({ path, block })));
  assert.ok(blocks.length >= 10, "the blocks were found");
  for (const { path, block } of blocks) {
    assert.doesNotThrow(() => yaml.loadAll(block), `${path}:\n${block}`);
  }
});

/** What a command names of this repository that is not there. */
function missingIn(command: string): string[] {
  const task = /\bdeno(?:@[\d.]+)? task (\S+)/.exec(command)?.[1];
  const file = /^(?:deno run -A (\S+)|(\.ci\/\S+)|(?:helm (?:install|upgrade) \S+ (helm\/\S+)))/.exec(command)
    ?.slice(1)
    .find((each) => each !== undefined);
  return [
    ...task === undefined || task in config.tasks ? [] : [`task ${task}`],
    ...file === undefined || existsSync(new URL(file, ROOT)) ? [] : [file],
  ];
}

Deno.test("documents: commands name tasks and files that are there", () => {
  assert.ok(
    commands.filter(({ command }) => command.includes("deno task")).length >= 5,
    "the commands were found",
  );
  assert.deepEqual(
    commands.flatMap(({ path, command }) => missingIn(command).map((name) => `${path}: ${name}`)),
    [],
  );
  assert.deepEqual(missingIn("npx -y deno@2.9.6 task nothing"), ["task nothing"]);
  assert.deepEqual(missingIn("deno run -A tests/nothing.ts"), ["tests/nothing.ts"]);
});

Deno.test("documents: where the program is started, it would start", () => {
  const starts = commands.filter(({ command }) => /^deno task start\b/.test(command));
  assert.ok(starts.length >= 2, "the commands were found");
  for (const { path, command } of starts) {
    const words = command.split(/\s+/).slice(3);
    assert.doesNotThrow(() => parseCommandLine(words, {}), `${path}: ${command}`);
  }
});

Deno.test("documents: values of the chart that are named exist", async () => {
  const text = await Deno.readTextFile(new URL("helm/buildkitd-stack/values.yaml", ROOT));
  const values = yaml.load(text) as Values;
  assert.deepEqual(all.flatMap((each) => valueViolations(each, values)), []);
  const tilt: Document = {
    path: "helm/tilt.yaml",
    text: `\`\`\`yaml\n${await Deno.readTextFile(new URL("helm/tilt.yaml", ROOT))}\`\`\``,
  };
  assert.deepEqual(valueViolations(tilt, values), []);
});

Deno.test("valueViolations() finds names in text, in commands and in files", () => {
  const values = { autoscaler: { image: { tag: "" }, labels: {} } };
  const found = (text: string) => valueViolations({ path: "a.md", text }, values).length;
  assert.equal(found("`autoscaler.image.tag`, `autoscaler.image.tag: x`, `autoscaler.labels.any.thing`"), 0);
  assert.equal(found("`autoscaler.image.tags`"), 1);
  assert.equal(found("```sh\nhelm install a b --set autoscaler.image.tag=1,autoscaler.nothing=2\n```"), 1);
  assert.equal(found("```yaml\nautoscaler:\n  image:\n    tag: a\n    tog: b\n  labels: { c: d }\n```"), 1);
  assert.equal(found("```yaml\nkind: Pod\nautoscaler: 1\n```"), 0, "no values file");
});

/** A command after `$`, and what it printed. */
interface Transcript {
  readonly path: string;
  readonly command: string;
  readonly output: string;
}

const transcripts: readonly Transcript[] = all.flatMap(({ path, text }) =>
  fenced(text, "text").filter((block) => block.startsWith("$ ")).map((block) => {
    const end = block.indexOf("\n");
    return { path, command: block.slice(2, end), output: block.slice(end + 1) };
  })
);

Deno.test("documents: the program prints what its transcripts say", async () => {
  const own = transcripts.filter(({ command }) => /^(?:[A-Z_]+=\S* )*buildkitd-autoscaler\b/.test(command));
  assert.ok(own.length >= 2, "the transcripts were found");
  for (const { path, command, output } of own) {
    const words = command.split(" ");
    const program = words.indexOf("buildkitd-autoscaler");
    const variables = Object.fromEntries(words.slice(0, program).map((word) => word.split("=", 2)));
    const outcome = await run(Deno.execPath(), [
      "run",
      "-A",
      "--no-check",
      "main.ts",
      ...words.slice(program + 1),
    ], {
      clearEnv: true,
      env: { ...plainEnvironment(), ...variables },
    });
    assert.equal(outcome.output, output, `${path}: ${command}`);
  }
});

Deno.test("documents: the admin port answers as its transcripts say", async () => {
  const asked = transcripts.filter(({ command }) => command.startsWith("curl "));
  assert.ok(asked.length >= 4, "the transcripts were found");
  const wanted = asked.map(({ path, command, output }) => {
    const target = command.replace(/^curl '?127\.0\.0\.1:8081([^']*)'?$/, "$1");
    return { path, target, said: `${target}\n${comparable(output)}` };
  });
  const answers = await answersInEveryState(wanted);
  for (const { path, said } of wanted) {
    assert.ok(
      answers.has(said),
      `${path}: no state has this answer:\n${said}\nbut:\n${[...answers].join("\n")}`,
    );
  }
});

/** Names, addresses, times and how a connection fails differ from run to run. */
function comparable(answer: string): string {
  return answer.trim()
    .replace(/this is [a-z0-9]{12}\b/g, "this is ID")
    .replace(/\b[a-z0-9]{12} is alive/g, "ID is alive")
    .replace(/the oldest for \d+s/, "the oldest for a while")
    .replace(/(Cannot reach the API server) "[^"]*": .*/, "$1");
}

/** The answers of a proxy alone, of one beside another that is busy, of one that is cut off, and of one without its StatefulSet. */
async function answersInEveryState(
  wanted: readonly { readonly target: string; readonly said: string }[],
): Promise<ReadonlySet<string>> {
  const answers = new Set<string>();
  const ask = async (
    program: Pick<Program, "admin">,
    targets: readonly string[],
  ) => {
    const open = wanted.filter(({ said }) => !answers.has(said));
    const isFound = (target: string) => open.some((it) => it.target === target && answers.has(it.said));
    // Again and again, since the state may be in the middle of a change.
    for (let times = 0; times < 200 && !targets.every(isFound); times++) {
      for (const target of targets) {
        answers.add(`${target}\n${comparable((await program.admin(target)).text)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  {
    await using program = await startProgram({ cluster: { replicas: 1 } });
    await program.settled();
    await program.logged("leader_changed");
    await ask(program, ["/healthz?verbose", "/readyz?verbose"]);
    await using other = await startBeside(program.world);
    await other.settled();
    using client = await other.connect();
    assert.equal(await client.echo("hello"), "hello");
    const busy = async () => (await program.admin("/healthz?verbose")).text.includes("is alive: busy on 0");
    while (!await busy()) await new Promise((resolve) => setTimeout(resolve, 20));
    await ask(program, ["/healthz?verbose"]);
  }
  {
    const settings = { whenCutOff: "hold", recordExpiryMs: "10s" };
    await using program = await startProgram({ clock: fastClock(40), settings });
    await program.settled();
    program.world.front.stop();
    await program.logged("proxy_cut_off");
    await ask(program, ["/readyz"]);
  }
  await using program = await startProgram({
    home: "ci",
    settings: { stsName: "builder" },
    before: ({ cluster }) => {
      cluster.api.registry.delete(STATEFULSETS, cluster.namespace, cluster.name, { gracePeriodSeconds: 0 });
    },
  });
  await program.logged("statefulset_not_found");
  await ask(program, ["/readyz"]);
  await withManyBuilders(ask);
  return answers;
}

/** Asks a proxy in front of three builders that take two sessions each: when one project has filled its own, and in the queue. */
async function withManyBuilders(
  ask: (program: Program, targets: readonly string[]) => Promise<void>,
): Promise<void> {
  const [name, ...more] = ["builder", "builder-b2", "builder-b3"] as const;
  const settings = {
    stsNamespace: "ci",
    stsName: name,
    headlessServiceName: `${name}-headless`,
    builders: [name, ...more].join(","),
    sessionsPerReplica: "2",
    maxSessionsPerReplica: "2",
  };
  const cluster = { namespace: "ci", name, more: more.map((name) => ({ name })) };
  const serve: Serve = async (conn, { name }) => {
    const reader = new ByteReader(conn);
    if (await reader.startsWith(PREFACE)) await serveHttp2(conn, reader, name);
  };
  await using program = await startProgram({ settings, cluster, serve });
  await program.logged("ready", 3);
  await program.logged("leader_changed");
  using sessions = new DisposableStack();
  const over = new AbortController();
  sessions.defer(() => over.abort());
  const start = async (host: string) =>
    void sessions.use(await startBuild(denoNetwork, program.address, host, over.signal));
  for (const host of ["web", "web", "web"]) await start(host);
  await ask(program, ["/route?project=web"]);
  for (const host of ["api", "localhost", "localhost"]) await start(host);
  const queued: Promise<void>[] = [];
  for (const host of ["web", "api"]) {
    queued.push(start(host).catch(() => {}));
    await program.logged("session_queued", queued.length);
  }
  await ask(program, ["/healthz?verbose"]);
  over.abort();
  await Promise.all(queued);
}

Deno.test("README: the program's help is printed by the command that is named", async () => {
  const { code, output } = await run(Deno.execPath(), ["task", "start", "--help"]);
  assert.equal(code, 0);
  assert.match(output, /Usage: buildkitd-autoscaler \[command\] \[flags\]/);
});

Deno.test("README: the demo shows a cold start, a warm builder and an idle scale-down", async () => {
  assert.ok(commands.some(({ command }) => command === "npx -y deno@2.9.6 task demo"), "the README names it");
  // Stand-ins even where real programs are installed: those need a network and minutes.
  const { code, output } = await run(Deno.execPath(), ["task", "demo", "--stub"]);
  assert.equal(code, 0, output);
  for (
    const line of [/^1 {2}Cold start: /m, /^2 {2}Warm: /m, /^3 {2}Idle: /m, /scales 0 -> 1/, /scales 1 -> 0/]
  ) {
    assert.match(output, line);
  }
  assert.match(output, /^OK {2}11 of 11 clients were served/m);
  assert.match(output, /^OK {2}9 of 9 builds were served/m);
});
