/**
 * Real curl on the address of the clients: what it is told, what it wakes, how it learns that a wake is in vain, and how
 * long a builder stays awake for it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { asleep, NAMES, projectOn, startFor } from "./many_builders.ts";
import { tlsAddress, TlsFiles } from "./tls_files.ts";
import { scenario } from "./scenario.ts";
import { delay, until } from "./waiting.ts";

const JSON_LINES = ["-H", "Accept: application/x-ndjson"];

/** What curl prints, line by line as it comes, and how it exits. */
class Curl {
  readonly lines: string[] = [];
  stderr = "";
  readonly #child: Deno.ChildProcess;
  readonly #read: Promise<unknown>;

  constructor(args: readonly string[]) {
    this.#child = new Deno.Command("curl", {
      args: ["-fsSN", ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      env: { no_proxy: "*" },
    }).spawn();
    this.#read = Promise.all([this.#readLines(), this.#readErrors()]);
  }

  async #readLines(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      this.lines.push(...lines);
    }
    if (rest !== "") this.lines.push(rest);
  }

  async #readErrors(): Promise<void> {
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) this.stderr += text;
  }

  /** Its exit code, once it has printed all. */
  async exit(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#read;
    return code;
  }

  async until(what: string, matches: (line: string) => boolean): Promise<void> {
    await until(`curl to print ${what}`, () => this.lines.some(matches), {
      explain: () => `${this.lines.join("\n")}\n${this.stderr}`,
    });
  }
}

/** The lines of a curl that succeeds. */
async function curl(...args: readonly string[]): Promise<readonly string[]> {
  const run = new Curl(args);
  assert.equal(await run.exit(), 0, `${run.lines.join("\n")}\n${run.stderr}`);
  return run.lines;
}

scenario(
  "curl looks without waking, wakes step by step, and the builder falls asleep again",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "3s" })).untilReady();
    const url = program.clientAddress.replace("tcp:", "http:");
    cluster.kubelet.behaviour.start.shut();
    assert.match((await curl(url)).join("\n"), /^Builder buildkitd: asleep, the next build wakes it$/m);
    await curl("--head", url);
    await curl("-X", "OPTIONS", url);
    await delay(3_000);
    assert.deepEqual(cluster.timeline.counts, [0], "looking wakes nothing");

    const wake = new Curl(["-X", "POST", `${url}/wake`]);
    await wake.until(
      "why it waits",
      (line) => line.startsWith("starting (") && line.includes("pod buildkitd-0"),
    );
    assert.match(
      (await curl(...JSON_LINES, url))[0]!,
      /^\{"builder":"buildkitd","state":"starting","reason":"pod /,
    );
    await program.untilHeld(1);
    cluster.kubelet.behaviour.start.open();
    assert.equal(await wake.exit(), 0, wake.stderr);
    assert.match(wake.lines[0]!, /^asleep/);
    assert.match(wake.lines.at(-1)!, /^ready after /);
    await program.untilHeld(0);
    assert.match((await curl(url)).join("\n"), /^Builder buildkitd: ready$/m);

    await (await cluster.build(program)).finish();
    await cluster.timeline.settle([0, 1, 0]);
    assert.equal(program.ended.length > 0, true);
    assert.ok(program.ended.every(({ pod }) => pod === "buildkitd-0"), "no request of curl was a session");
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "curl fails when the builder does not serve in time, or is not asked for properly",
  {},
  async (cluster) => {
    const flags = { "ready-wait-timeout": "3s", "idle-timeout": "1s" };
    const program = await (await cluster.startProgram(flags)).untilReady();
    const url = program.clientAddress.replace("tcp:", "http:");
    cluster.kubelet.behaviour.start.shut();
    const wake = new Curl(["-X", "POST", `${url}/wake`]);
    assert.equal(await wake.exit(), 18, "a part of the answer is missing");
    assert.match(
      wake.lines.at(-1)!,
      /^failed after 3\S*s: buildkitd did not become ready in 3s: pod buildkitd-0 /,
    );
    for (
      const args of [[`${url}/wake`], ["-X", "POST", `${url}/wake?for=9h`], ["-X", "POST", url], [
        `${url}/metrics`,
      ]]
    ) {
      assert.equal(await new Curl(args).exit(), 22, args.join(" "));
    }
    cluster.kubelet.behaviour.start.open();
    await cluster.timeline.settle([0, 1, 0]);
    assert.equal(await program.stop(), 0);
  },
);

scenario("what curl keeps awake stays so long, also when another proxy leads", {}, async (cluster) => {
  const flags = { "idle-timeout": "1s" };
  const leader = await (await cluster.startProgram(flags)).untilReady();
  await leader.waitForRecord("that it leads", ({ code, self }) => code === "leader_changed" && self === true);
  const other = await (await cluster.startProgram(flags)).untilReady();
  const url = other.clientAddress.replace("tcp:", "http:");
  const lines = await curl(...JSON_LINES, "-X", "POST", `${url}/wake?for=12s`);
  const servedMs = performance.now();
  assert.deepEqual([JSON.parse(lines.at(-1)!).state, JSON.parse(lines.at(-1)!).keptAwakeSeconds], [
    "ready",
    12,
  ]);
  assert.match((await curl(url)).join("\n"), /^Builder buildkitd: ready, kept awake for another 1[012]/m);
  await cluster.timeline.settle([0, 1, 0]);
  const downMs = cluster.timeline.replicas[2]?.atMs ?? NaN;
  assert.ok(downMs - servedMs >= 12_000, `down ${downMs - servedMs} ms after it served`);
  assert.equal(await other.stop(), 0);
  assert.equal(await leader.stop(), 0);
});

scenario(
  "curl with TLS is answered in HTTP/1.1, and only with a certificate where one is required",
  {},
  async (cluster) => {
    const files = await TlsFiles.make(cluster);
    const program = await (await cluster.startProgram(files.flags({ mutual: true }))).untilReady();
    const url = (await tlsAddress(program)).replace("tcp:", "https:");
    const { ca, cert, key } = await files.client();
    const tls = ["--http1.1", "--cacert", ca, "--cert", cert, "--key", key];
    assert.match(
      (await curl(...tls, url)).join("\n"),
      /^ {2}curl -fsSN --http1\.1 --cacert ca\.pem .*-X POST https:/m,
    );
    assert.match((await curl(...tls, "-X", "POST", `${url}/wake`)).at(-1)!, /^ready after /);
    assert.deepEqual(cluster.timeline.counts, [0, 1]);
    assert.notEqual(await new Curl(["--http1.1", "--cacert", ca, url]).exit(), 0);
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "with many builders, behind a load balancer, curl wakes the home of the listener's project only",
  { builders: asleep(3) },
  async (cluster) => {
    const home = NAMES[1];
    const flags = { "proxy-protocol": "require", "proxy-protocol-from": "10.99.0.0/16" };
    const listeners = { [`project ${projectOn(home, 3)}`]: 8401 };
    const program = await startFor(cluster, 3, flags, { listeners });
    const url = program.addressAt(8401).replace("tcp:", "http:");
    const look = async (...args: readonly string[]) =>
      JSON.parse((await curl(...JSON_LINES, "--haproxy-protocol", ...args))[0]!);
    assert.deepEqual(await look(url), { builder: home, project: projectOn(home, 3), state: "asleep" });
    const other = program.clientAddress.replace("tcp:", "http:");
    assert.equal((await look("-H", `Host: ${projectOn(NAMES[2], 3)}`, other)).builder, NAMES[2]);
    const lines = await curl("--haproxy-protocol", "-X", "POST", `${url}/wake`);
    assert.match(lines.at(-1)!, /^ready after /);
    for (const name of NAMES) {
      assert.deepEqual(
        cluster.timelineOf(name).counts.slice(0, 2),
        name === home ? [0, 1] : [0],
        name,
      );
    }
    assert.equal(await program.stop(), 0);
  },
);
