/** Tests of exec plugins with a machine that runs nothing; real programs are in the integration tests. @module */
import assert from "node:assert/strict";
import { ExecPlugin, type ExecSpec } from "../../../lib/kube/exec_plugin.ts";
import type { Command, CommandOutcome, Machine } from "../../../lib/kube/machine.ts";
import { makeCa } from "../../integration/kube/certificates.ts";
import { settle } from "../../support/virtual_clock.ts";
import { FakeClock, FakeMachine, never } from "./fakes.ts";

const V1 = "client.authentication.k8s.io/v1";
const ca = await makeCa();
const SPEC: ExecSpec = {
  command: "aws",
  args: ["get-token"],
  env: { A: "1" },
  apiVersion: V1,
  installHint: undefined,
  needsTerminal: false,
  cluster: undefined,
};

const prints = (status: unknown, rest: Record<string, unknown> = {}): CommandOutcome => ({
  code: 0,
  stdout: JSON.stringify({ apiVersion: V1, kind: "ExecCredential", status, ...rest }),
  stderrTail: "",
  tooLong: false,
});

/** A plugin whose program does what `run` says. */
function setUp(
  run: Machine["run"] = () => Promise.resolve(prints({ token: "t" })),
  spec: Partial<ExecSpec> = {},
) {
  const clock = new FakeClock();
  const runs: Command[] = [];
  const machine = Object.assign(new FakeMachine(), {
    run(command: Command, signal: AbortSignal) {
      runs.push(command);
      return run(command, signal);
    },
  });
  const plugin = new ExecPlugin({ ...SPEC, ...spec }, { machine, clock });
  const failure = async () => {
    try {
      await plugin.get(never);
    } catch (error) {
      assert.ok(error instanceof Error);
      const start = 'Cannot get a credential from the exec plugin "aws": ';
      assert.ok(error.message.startsWith(start), error.message);
      return error.message.slice(start.length);
    }
    assert.fail("the plugin gave a credential");
  };
  return { plugin, clock, machine, runs, failure };
}

Deno.test("ExecPlugin hands over what the kubeconfig says, without input unless a terminal is needed", async () => {
  const { plugin, runs, clock } = setUp();
  assert.deepEqual(await plugin.get(never), { headers: { authorization: "Bearer t" } });
  const { env: { KUBERNETES_EXEC_INFO: info, ...env }, ...rest } = runs[0]!;
  assert.deepEqual(rest, {
    program: "aws",
    args: ["get-token"],
    interactive: false,
    maxOutputBytes: 1_048_576,
  });
  assert.deepEqual(env, { A: "1" });
  assert.deepEqual(JSON.parse(info!), {
    apiVersion: V1,
    kind: "ExecCredential",
    spec: { interactive: false },
  });
  assert.equal(clock.pending, 0);
  const asking = setUp(undefined, { needsTerminal: true, cluster: { server: "s" } });
  asking.machine.hasTerminal = () => true;
  await asking.plugin.get(never);
  assert.equal(asking.runs[0]!.interactive, true);
  assert.deepEqual(JSON.parse(asking.runs[0]!.env["KUBERNETES_EXEC_INFO"]!).spec, {
    interactive: true,
    cluster: { server: "s" },
  });
});

const at = (ms: number) => new Date(new FakeClock().startWallMs + ms).toISOString();
/** How long a credential is said to live, and how long it is used, in ms. */
const LIVES: readonly (readonly [number, number])[] = [
  [3_600_000, 3_540_000],
  [600_000, 540_000],
  [60_000, 54_000],
  [1_000, 900],
  [-5_000, 0],
];
for (const [lifeMs, usedMs] of LIVES) {
  Deno.test(`ExecPlugin uses a credential that lives for ${lifeMs} ms for ${usedMs} ms`, async () => {
    const status = { token: "t", expirationTimestamp: at(lifeMs) };
    const { plugin, clock, runs } = setUp(() => Promise.resolve(prints(status)));
    await plugin.get(never);
    if (usedMs > 0) {
      clock.advance(usedMs - 1);
      await plugin.get(never);
      assert.equal(runs.length, 1);
      clock.advance(1);
    }
    await plugin.get(never);
    assert.equal(runs.length, 2);
  });
}

Deno.test("ExecPlugin uses a credential without an end until it is refused", async () => {
  for (const expirationTimestamp of [undefined, null, ""]) {
    const { plugin, clock, runs } = setUp(() => Promise.resolve(prints({ token: "t", expirationTimestamp })));
    await plugin.get(never);
    clock.advance(365 * 86_400_000);
    await plugin.get(never);
    assert.equal(runs.length, 1);
    plugin.refresh();
    await plugin.get(never);
    assert.equal(runs.length, 2);
  }
});

Deno.test("ExecPlugin gives token and client certificate together", async () => {
  const { cert, key } = await ca.issue({ commonName: "me", notAfter: new Date("2031-01-01T00:00:00Z") });
  const pair = { clientCertificateData: cert, clientKeyData: key };
  const get = (status: unknown) => setUp(() => Promise.resolve(prints(status))).plugin.get(never);
  assert.deepEqual(await get({ ...pair, token: "t" }), {
    headers: { authorization: "Bearer t" },
    clientCertificate: { cert, key },
  });
  assert.deepEqual(await get(pair), { headers: {}, clientCertificate: { cert, key } });
  assert.deepEqual(await get({ ...pair, token: "" }), { headers: {}, clientCertificate: { cert, key } });
  assert.deepEqual(await get({ token: "t", clientCertificateData: "", clientKeyData: "" }), {
    headers: { authorization: "Bearer t" },
  });
});

const { cert: CERT, key: KEY } = await ca.issue({ commonName: "a" });
const { cert: EXPIRED } = await ca.issue({ commonName: "b", notAfter: new Date("2029-01-01T00:00:00Z") });
const { key: OTHER_KEY } = await ca.issue({ commonName: "c" });
const ONLY_ONE = 'it printed only one of "clientCertificateData" and "clientKeyData", want both';
const NEITHER = "it printed neither a token nor a client certificate";
const long = "x".repeat(81);
const FAILURES: readonly (readonly [CommandOutcome, string])[] = [
  [
    { ...prints({}), stdout: "secret" },
    "it printed 6 characters that are not a JSON object, want an ExecCredential",
  ],
  [
    { ...prints({}), stdout: "[]" },
    "it printed 2 characters that are not a JSON object, want an ExecCredential",
  ],
  [prints({ token: "t" }, { kind: "Token" }), 'it printed kind "Token", want "ExecCredential"'],
  [
    prints({ token: "t" }, { kind: "x".repeat(80) }),
    `it printed kind "${"x".repeat(80)}", want "ExecCredential"`,
  ],
  [prints({ token: "t" }, { kind: long }), 'it printed kind of type string, want "ExecCredential"'],
  [prints({ token: "t" }, { kind: 7 }), 'it printed kind of type number, want "ExecCredential"'],
  [
    prints({ token: "t" }, { apiVersion: undefined }),
    `it printed apiVersion of type undefined, want "${V1}" as in the kubeconfig`,
  ],
  [prints(undefined), 'it printed no "status"'],
  [prints({}), NEITHER],
  [prints({ token: "" }), NEITHER],
  [prints({ token: 7 }), NEITHER],
  [prints({ token: "a b" }), "it printed a token with blanks or control characters"],
  [prints({ token: "t", clientCertificateData: CERT }), ONLY_ONE],
  [prints({ clientKeyData: KEY }), ONLY_ONE],
  [prints({ clientCertificateData: CERT, clientKeyData: 7 }), ONLY_ONE],
  [prints({ clientCertificateData: 7, clientKeyData: KEY }), ONLY_ONE],
  [
    prints({ clientCertificateData: EXPIRED, clientKeyData: KEY }),
    '"clientCertificateData": found a certificate that expired at 2029-01-01T00:00:00Z, want a PEM certificate',
  ],
  [
    prints({ clientCertificateData: CERT, clientKeyData: "k" }),
    '"clientKeyData": found 1 bytes that are not a PEM private key, want a PEM private key',
  ],
  [
    prints({ clientCertificateData: CERT, clientKeyData: OTHER_KEY }),
    "it printed a certificate and a key that do not match",
  ],
  [
    prints({ token: "t", expirationTimestamp: "soon" }),
    'it printed an "expirationTimestamp" that is not a time, want RFC 3339',
  ],
  [{ ...prints({ token: "t" }), tooLong: true }, "it printed over 1048576 bytes"],
  [{ ...prints({ token: "t" }), code: 1 }, "it ended with exit code 1"],
  [{ ...prints({}), code: 3, stderrTail: " log in\n" }, "it ended with exit code 3, saying: log in"],
  [
    { ...prints({}), code: 3, stderrTail: `${"a".repeat(50)}${"b".repeat(600)}` },
    `it ended with exit code 3, saying: ${"b".repeat(600)}`,
  ],
];
for (const [outcome, message] of FAILURES) {
  Deno.test(`ExecPlugin says that ${message.slice(0, 100)}`, async () => {
    const { failure, runs } = setUp(() => Promise.resolve(outcome));
    assert.equal(await failure(), message);
    assert.equal(await failure(), message, "a failure is not kept");
    assert.equal(runs.length, 2);
  });
}

Deno.test("ExecPlugin says why a program cannot be run", async () => {
  const fails = (code: string, spec: Partial<ExecSpec> = {}) =>
    setUp(() => Promise.reject(Object.assign(new Error("no luck"), { code })), spec).failure();
  const missing = `there is no such program, install it or set "command" of the user's "exec"`;
  assert.equal(await fails("ENOENT"), missing);
  assert.equal(await fails("ENOENT", { installHint: " get it\n" }), `${missing} (get it)`);
  assert.equal(await fails("EACCES", { installHint: "get it" }), "it cannot be run: no luck");
  const terminal = setUp(undefined, { needsTerminal: true });
  assert.equal(
    await terminal.failure(),
    'it wants to ask questions ("interactiveMode" is "Always") and there is no terminal',
  );
  assert.deepEqual(terminal.runs, []);
});

/** Runs until the signal ends it, and then takes until `ended` to die. */
function hanging() {
  const ended = Promise.withResolvers<void>();
  const signals: AbortSignal[] = [];
  const run = async (_: Command, signal: AbortSignal): Promise<CommandOutcome> => {
    signals.push(signal);
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    await ended.promise;
    throw signal.reason;
  };
  return { run, signals, ended };
}

Deno.test("ExecPlugin ends a run after 60 s, for all who wait, and runs again for the next", async () => {
  const { run, ended } = hanging();
  ended.resolve();
  const { plugin, clock, runs } = setUp(run);
  const both = [plugin.get(never), plugin.get(never)].map((get) =>
    get.catch((error: Error) => error.message)
  );
  await settle();
  clock.advance(60_000);
  const message = 'Cannot get a credential from the exec plugin "aws": it ran for over 60 s';
  assert.deepEqual(await Promise.all(both), [message, message]);
  assert.deepEqual([runs.length, clock.pending], [1, 0]);
  plugin.get(never).catch(() => {});
  assert.equal(runs.length, 2);
  clock.advance(59_999);
  await settle();
  assert.equal(clock.pending, 1);
  clock.advance(1);
  await settle();
});

Deno.test("ExecPlugin kills a run when the last who waits has gone, and waits for its end", async () => {
  const { run, signals, ended } = hanging();
  const { plugin, runs } = setUp(run);
  const [first, second] = [new AbortController(), new AbortController()];
  const reasons = [new Error("first"), new Error("second")];
  const outcomes: unknown[] = [];
  const gets = [first, second].map(({ signal }) => plugin.get(signal).catch((error) => outcomes.push(error)));
  await settle();
  first.abort(reasons[0]);
  await settle();
  assert.deepEqual([outcomes, signals[0]!.aborted], [[reasons[0]], false]);
  second.abort(reasons[1]);
  await settle();
  assert.deepEqual([outcomes.length, signals[0]!.aborted], [1, true], "no process is left behind");
  const next = plugin.get(never);
  next.catch(() => {});
  assert.equal(runs.length, 2, "whoever comes then gets a run of their own");
  ended.resolve();
  await Promise.all(gets);
  assert.deepEqual(outcomes, reasons);
  await settle();
  assert.equal(signals[1]!.aborted, false);
  plugin.get(never).catch(() => {});
  assert.equal(runs.length, 2, "the end of the first run does not detach the second");
});

Deno.test("ExecPlugin starts nothing for a caller that has gone", async () => {
  const { plugin, runs } = setUp();
  const reason = new Error("gone");
  await assert.rejects(plugin.get(AbortSignal.abort(reason)), (error) => error === reason);
  assert.deepEqual(runs, []);
});
