/**
 * The whole program on a virtual clock: what it says to those who speak HTTP/1.1 to the address of the clients, what that
 * wakes, and what keeps a builder awake.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { VirtualClient } from "../../support/virtual_client.ts";
import { VirtualProgram } from "../../support/virtual_program.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const at = (port: number) => ({ hostname: "127.0.0.1", port });

/** Pods that take a minute to become ready. */
const SLOW = { probeMs: () => MINUTE_MS };

function request(line: string, headers: Readonly<Record<string, string>> = {}): string {
  const fields = Object.entries({ host: "buildkitd.ci.svc:8372", ...headers });
  return [`${line} HTTP/1.1`, ...fields.map(([name, value]) => `${name}: ${value}`), "", ""].join("\r\n");
}

/** The status, and the body of an answer without its chunks; it breaks off if there is no last chunk. */
function answerOf({ text }: VirtualClient) {
  const [head = "", ...rest] = text.split("\r\n\r\n");
  const body = rest.join("\r\n\r\n");
  const isChunked = /^transfer-encoding: chunked$/m.test(head);
  return {
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]),
    body: isChunked ? [...body.matchAll(/[\da-f]+\r\n(.+\n)\r\n/g)].map(([, line]) => line).join("") : body,
    breaksOff: isChunked && !body.endsWith("0\r\n\r\n"),
  };
}

function isIdle(program: VirtualProgram): void {
  assert.equal(program.cluster.replicas, 0);
  assert.deepEqual(program.log.of("scaled"), []);
  assert.deepEqual(program.log.of("session_ended"), []);
  assert.equal(program.metrics.value("sessions_opened_total"), 0);
}

Deno.test("http: looking is answered in every form, and wakes nothing", async () => {
  await using program = new VirtualProgram();
  await program.start();
  for (const line of ["GET /", "HEAD /", "OPTIONS /", "OPTIONS *", "GET /healthz", "GET http://proxy/?x=1"]) {
    const client = await program.connect(request(line));
    const { status, body } = answerOf(client);
    assert.deepEqual([status, client.ended], [200, "fin"], line);
    assert.equal(body.startsWith("BuildKit clients connect"), !line.startsWith("HEAD"), line);
    assert.equal(/^allow: GET, HEAD, OPTIONS\r$/m.test(client.text), line.startsWith("OPTIONS"), line);
    assert.match(client.text, /^content-type: text\/plain; charset=utf-8\r$/m);
  }
  const json = answerOf(await program.connect(request("GET /", { accept: "application/json" })));
  assert.equal(json.body, '{"builder":"buildkitd","state":"asleep"}\n');
  const old = await program.connect("GET / HTTP/1.0\r\n\r\n");
  assert.deepEqual([answerOf(old).status, old.ended], [200, "fin"]);
  await program.pass(10 * MINUTE_MS);
  isIdle(program);
  assert.equal(program.metrics.value("http_requests_total"), 8);
});

Deno.test("http: what cannot be answered is refused, and wakes nothing", async () => {
  await using program = new VirtualProgram();
  await program.start();
  for (
    const [text, status] of [
      [request("GET /wake"), 405],
      [request("DELETE /"), 405],
      [request("GET /metrics"), 404],
      [request("GET //wake"), 404],
      [request("CONNECT example.org:443"), 400],
      ["GET / HTTP/1.1\r\n\r\n", 400],
      [request("GET /", { Host: "elsewhere" }), 400],
      ["GET /\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\nbad\x01: x\r\n\r\n", 400],
      [`GET / HTTP/1.1\r\nx: ${"y".repeat(9_000)}`, 431],
      [`GET / HTTP/1.1\r\n${"a: b\r\n".repeat(101)}\r\n`, 400],
      [request("POST /wake", { origin: "https://evil.example" }), 403],
      [request("POST /wake?for=9h"), 400],
      [request("POST /wake?fro=1h"), 400],
      ["POST /wake HTTP/1.0\r\n\r\n", 505],
    ] as const
  ) {
    const client = await program.connect(text);
    await program.pass(3_000);
    assert.deepEqual([answerOf(client).status, client.ended], [status, "fin"], text.slice(0, 60));
  }
  assert.equal(program.metrics.value("http_requests_total", { what: "other" }), 11);
  const json = await program.connect(request("POST /wake?for=9h", { accept: "application/json" }));
  assert.match(answerOf(json).body, /^\{"error":"Cannot keep the builder awake: found \\"9h\\", want/);
  isIdle(program);
});

Deno.test("http: looking at a builder that starts says what a held client is told", async () => {
  await using program = new VirtualProgram({ cluster: SLOW });
  await program.start();
  const client = await program.call();
  await program.pass(5_000);
  const { body } = answerOf(await program.connect(request("GET /", { accept: "application/json" })));
  assert.deepEqual(JSON.parse(body), {
    builder: "buildkitd",
    state: "starting",
    reason: "pod buildkitd-0 is Running: container main runs but is not ready",
  });
  client.close();
});

Deno.test("http: POST /wake shows each step until the builder serves, and then lets it fall asleep", async () => {
  await using program = new VirtualProgram({ cluster: SLOW, settings: { idleTimeoutMs: "2m" } });
  await program.start();
  const client = await program.connect(request("POST /wake"));
  await program.pass(0);
  assert.equal(answerOf(client).body, "asleep (0s)\nstarting (0s)\n", "it is told at once");
  assert.equal(program.metrics.value("sessions_held"), 1);
  await program.pass(2 * MINUTE_MS);
  const { status, body, breaksOff } = answerOf(client);
  assert.deepEqual([status, breaksOff, client.ended], [200, false, "fin"]);
  const lines = body.trimEnd().split("\n");
  const why = "pod buildkitd-0 is Running: container main runs but is not ready";
  assert.equal(lines[2], `starting (1s): ${why}`);
  assert.equal(lines.at(-2), `starting (46s): ${why}`, "it is said again every 15 s");
  assert.match(lines.at(-1)!, /^ready after 1m[01]s$/);
  assert.equal(lines.length, 7);
  assert.equal(program.metrics.value("sessions_held"), 0);
  assert.equal(program.metrics.value("sessions_opened_total"), 0);
  assert.equal(program.cluster.replicas, 1);
  const { fields } = program.log.of("wake_ended")[0]!;
  assert.deepEqual([fields["outcome"], fields["builder"]], ["completed", "buildkitd"]);
  await program.pass(2 * MINUTE_MS);
  assert.equal(program.cluster.replicas, 0);
});

Deno.test("http: POST /wake shows lines of JSON to whoever wants them", async () => {
  await using program = new VirtualProgram();
  await program.start();
  const client = await program.connect(request("POST /wake?for=1h", { accept: "application/x-ndjson" }));
  await program.pass(3_000);
  assert.match(client.text, /^content-type: application\/x-ndjson\r$/m);
  const steps = answerOf(client).body.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(steps.map(({ state }) => state), ["asleep", "starting", "ready"]);
  assert.equal(steps.at(-1).keptAwakeSeconds, 3_600);
});

Deno.test("http: POST /wake breaks off with the reason when the time is up, and calls for no pod any more", async () => {
  const settings = { readyWaitTimeoutMs: "30s", idleTimeoutMs: "1m" };
  await using program = new VirtualProgram({ cluster: SLOW, settings });
  await program.start();
  const client = await program.connect(request("POST /wake?for=1h"));
  await program.pass(30_000);
  const { body, breaksOff } = answerOf(client);
  assert.equal(
    body.trimEnd().split("\n").at(-1),
    "failed after 30s: buildkitd did not become ready in 30s: pod buildkitd-0 is Running: container main runs but is not ready",
  );
  assert.deepEqual([breaksOff, client.ended], [true, "fin"]);
  assert.equal(program.metrics.value("sessions_held"), 0);
  assert.equal(program.log.of("wake_ended")[0]!.fields["outcome"], "timed_out");
  await program.pass(2 * MINUTE_MS);
  assert.equal(program.cluster.replicas, 0);
});

Deno.test("http: POST /wake calls for a pod only as long as its client waits", async () => {
  await using program = new VirtualProgram({ cluster: SLOW, settings: { idleTimeoutMs: "1m" } });
  await program.start();
  for (const leave of ["fin", "reset"] as const) {
    const client = await program.connect(request("POST /wake?for=1h"));
    await program.pass(5_000);
    assert.equal(program.metrics.value("sessions_held"), 1);
    if (leave === "fin") await client.end();
    else client.break();
    await program.pass(0);
    assert.equal(program.metrics.value("sessions_held"), 0);
    assert.equal(program.log.of("wake_ended").at(-1)!.fields["outcome"], "client_left");
    await program.pass(2 * MINUTE_MS);
    assert.equal(program.cluster.replicas, 0);
  }
});

Deno.test("http: POST /wake counts under --max-held beside sessions", async () => {
  await using program = new VirtualProgram({ cluster: SLOW, settings: { maxHeld: "2" } });
  await program.start();
  const session = await program.call();
  const wake = await program.connect(request("POST /wake"));
  await program.pass(0);
  const late = await program.connect(request("POST /wake"));
  const { status, body } = answerOf(late);
  assert.deepEqual([status, body], [503, "The limit of 2 waiting sessions is reached (--max-held)\n"]);
  assert.equal((await program.call()).refusal?.status, "8");
  assert.equal(program.metrics.value("sessions_held"), 2);
  assert.equal(answerOf(await program.connect(request("GET /"))).status, 200, "looking is not limited");
  for (const client of [session, wake]) client.close();
});

Deno.test("http: ?for= keeps the builder awake for so long after the last session, and one idle timeout more", async () => {
  await using program = new VirtualProgram({ settings: { idleTimeoutMs: "2m" } });
  await program.start();
  const client = await program.connect(request("POST /wake?for=1h"));
  await program.pass(3_000);
  assert.match(answerOf(client).body, /\nready after \d\S*s, kept awake for 1h0m0s\n$/);
  await program.pass(30 * MINUTE_MS);
  assert.match(
    answerOf(await program.connect(request("GET /"))).body,
    /: ready, kept awake for another (29m5|30m)/,
  );
  await program.pass(30 * MINUTE_MS);
  assert.equal(program.cluster.replicas, 1);
  await program.pass(2 * MINUTE_MS);
  assert.equal(program.cluster.replicas, 0);
});

Deno.test("http: what one proxy keeps awake stays although another one leads, and until the one drains", async () => {
  const settings = { idleTimeoutMs: "2m", shutdownDelayMs: "0s" };
  await using leader = new VirtualProgram({ settings });
  await leader.start();
  await leader.pass(5_000);
  await using other = new VirtualProgram({ beside: leader, at: at(8472), settings });
  await other.start();
  await other.pass(5_000);
  const client = await other.connect(request("POST /wake?for=2h"));
  await other.pass(3_000);
  assert.match(answerOf(client).body, /ready after .*, kept awake for 2h0m0s\n$/);
  assert.equal(leader.metrics.value("leader"), 1);
  await leader.pass(100 * MINUTE_MS);
  assert.equal(leader.cluster.replicas, 1);
  await other.stop();
  await leader.pass(5 * MINUTE_MS);
  assert.equal(leader.cluster.replicas, 0, "a proxy that ends keeps nothing awake");
});

Deno.test("http: with many builders it is the home of the project of the listener, else of the host", async () => {
  await using program = new VirtualProgram({
    builders: ["b1", "b2", "b3", "arm64/b4"],
    settings: { listeners: "project team-a=127.0.0.1:8401, pool arm64=127.0.0.1:8402" },
  });
  await program.start();
  const json = { accept: "application/json" };
  const builderAt = async (host: string, port?: number) => {
    const client = await program.connect(request("GET /", { ...json, host }), port && at(port) || undefined);
    return JSON.parse(answerOf(client).body);
  };
  const a = await builderAt("team-a.default.svc:8372");
  assert.equal(a.project, "team-a.default");
  assert.deepEqual(await builderAt("team-z", 8401), a);
  assert.equal((await builderAt("team-a", 8402)).builder, "b4");
  isIdle(program);
  await program.connect(request("POST /wake", { host: "team-z" }), at(8401));
  await program.pass(3_000);
  for (const name of ["b1", "b2", "b3", "b4"]) {
    assert.equal(program.cluster.set(name).replicas, name === a.builder ? 1 : 0, name);
  }
  const build = await program.call({ authority: "team-a" });
  await program.pass(0);
  assert.equal(build.servedBy, `${a.builder}-0`, "a build of the project goes there");
});

Deno.test("http: slow, silent and endless peers are bounded in time and number", async () => {
  await using program = new VirtualProgram();
  await program.start();
  const slow = await program.connect("GET / HTTP/1.1\r\nhost: a\r\n");
  for (let i = 0; i < 9; i++) {
    await program.pass(SECOND_MS);
    await slow.send("x: y\r\n");
  }
  assert.equal(slow.ended, undefined);
  await program.pass(2 * SECOND_MS);
  assert.notEqual(slow.ended, undefined);
  assert.equal(slow.text, "");

  const many = [];
  for (let i = 0; i < 70; i++) many.push(await program.connect("GET / HTTP/1.1\r\n"));
  assert.equal(many.filter(({ ended }) => ended !== undefined).length, 6, "the oldest");
  assert.ok(many.slice(0, 6).every(({ ended }) => ended !== undefined));
  assert.equal(answerOf(await program.connect(request("GET /"))).status, 200);
  for (const client of many) client.close();

  const pipelined = await program.connect(request("GET /") + request("POST /wake") + "x".repeat(10_000));
  await program.pass(0);
  assert.deepEqual([pipelined.text.match(/HTTP\/1\.1 200/g)?.length, pipelined.ended], [1, "fin"]);

  const body = await program.connect(`${request("GET /", { "content-length": "1000000000" })}x`);
  assert.equal(answerOf(body).status, 200);
  await program.pass(3_000);
  await assert.rejects(body.send("x"));
  isIdle(program);
});

Deno.test("http: whoever waits is told when the program fails, and is cut when all sessions are", async () => {
  await using program = new VirtualProgram({ cluster: SLOW, settings: { drainTimeoutMs: "10s" } });
  await program.start();
  const client = await program.connect(request("POST /wake?for=1h"));
  await program.pass(2_000);
  await program.stop();
  assert.equal(client.ended, undefined, "it goes on while the proxy drains");
  await program.pass(11_000);
  const { body, breaksOff } = answerOf(client);
  assert.match(
    body,
    /\nfailed after 12s: The drain timeout has passed: the proxy in front of buildkitd is shutting down/,
  );
  assert.ok(breaksOff);
  await program.pass(10_000);
  assert.deepEqual(program.outcome, {});
});

Deno.test("http: a wake that is served while its proxy drains says that nothing is kept awake", async () => {
  await using program = new VirtualProgram({ cluster: SLOW });
  await program.start();
  const client = await program.connect(request("POST /wake?for=1h"));
  await program.pass(2_000);
  await program.stop();
  await program.pass(2 * MINUTE_MS);
  assert.match(
    answerOf(client).body,
    /\nready after 1m[01]s, but not kept awake: this proxy is shutting down\n$/,
  );
  assert.deepEqual(program.outcome, {});
});

Deno.test("http: --answer-http=false leaves HTTP/1.1 to buildkitd, as any other bytes", async () => {
  await using program = new VirtualProgram({ settings: { answerHttp: "false" } });
  await program.start();
  const client = await program.connect(request("GET /"));
  await program.pass(3_000);
  assert.equal(program.cluster.replicas, 1);
  assert.equal(program.metrics.value("sessions_opened_total"), 1);
  client.close();
});

Deno.test("http: a silent client wakes the builder after 200 ms, and one of HTTP/2 when its call has come", async () => {
  for (const wakeOn of ["connect", "data"]) {
    await using program = new VirtualProgram({ settings: { wakeOn } });
    await program.start();
    const silent = await program.connect("");
    await program.pass(199);
    assert.deepEqual(program.log.of("scaled"), []);
    await program.pass(2);
    assert.equal(program.log.of("scaled").length, wakeOn === "connect" ? 1 : 0);
    silent.close();
  }
  await using program = new VirtualProgram();
  await program.start();
  const client = await program.call();
  await program.pass(1);
  assert.equal(program.log.of("scaled").length, 1);
  client.close();
});
