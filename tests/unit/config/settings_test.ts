/**
 * The table of settings, and what flags and variables make of it.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { UsageError } from "../../../lib/base/errors.ts";
import { nearest } from "../../../lib/config/nearest.ts";
import { overriddenFlags, parseSettings, type SettingsInput } from "../../../lib/config/parse_settings.ts";
import { type SettingKey, settingRows, SETTINGS, settingsAsText } from "../../../lib/config/settings.ts";

type Given = { flags?: Partial<Record<SettingKey, string>>; variables?: SettingsInput["variables"] };

function parse({ flags = {}, variables = {} }: Given) {
  return parseSettings({ flags: new Map(Object.entries(flags)) as Map<SettingKey, string>, variables });
}

function problemsOf(given: Given): readonly string[] {
  try {
    parse(given);
  } catch (error) {
    assert.ok(error instanceof UsageError);
    return error.problems;
  }
  return [];
}

/** A value of all pools. */
function forAll<T>(base: T) {
  return { base, pools: new Map<string, T>() };
}

Deno.test("parseSettings() gives the defaults when nothing is given", () => {
  assert.deepEqual(parse({}), {
    listenAddr: { hostname: "::", port: 8080 },
    tlsListenAddr: "off",
    tlsCert: undefined,
    tlsKey: undefined,
    tlsClientCa: undefined,
    tlsClientNames: undefined,
    proxyProtocol: "off",
    proxyProtocolFrom: undefined,
    stsName: "buildkitd",
    stsNamespace: "default",
    headlessServiceName: "buildkitd-headless",
    targetPort: 8372,
    idleTimeoutMs: forAll(120_000),
    readyWaitTimeoutMs: forAll(300_000),
    kubeconfig: undefined,
    context: undefined,
    logLevel: "info",
    logFormat: "auto",
    events: true,
    adminAddr: { hostname: "::", port: 8081 },
    pricePerHour: undefined,
    upstream: "auto",
    clusterDomain: "cluster.local",
    connectTimeoutMs: 5_000,
    drainTimeoutMs: 3_600_000,
    shutdownDelayMs: 5_000,
    maxConnections: 10_000,
    maxHeld: 1_000,
    upstreamTlsCa: undefined,
    upstreamTlsCert: undefined,
    upstreamTlsKey: undefined,
    upstreamTlsServerName: undefined,
    wakeOn: "connect",
    answerHttp: true,
    maxWakeForMs: 28_800_000,
    leaseDurationMs: 15_000,
    minReplicas: forAll(0),
    warm: undefined,
    builders: undefined,
    listeners: undefined,
    cordoned: undefined,
    maxReplicas: 1,
    sessionsPerReplica: forAll(4),
    maxSessionsPerReplica: forAll(0),
    queueTimeoutMs: forAll(3_600_000),
    observe: false,
    placement: "affinity",
    affinityPatienceMs: 0,
    overflow: "full",
    recordExpiryMs: 300_000,
    renewDeadlineMs: 10_000,
    retryPeriodMs: 2_000,
    whenCutOff: "serve",
    readiness: "auto",
    sessionIdleTimeoutMs: 0,
  });
});

Deno.test("SETTINGS keeps the names that its users know", () => {
  const known = {
    "--listen-addr": "PROXY_LISTEN_ADDR",
    "--sts-name": "BUILDKITD_STATEFULSET_NAME",
    "--sts-namespace": "BUILDKITD_STATEFULSET_NAMESPACE",
    "--headless-service-name": "BUILDKITD_HEADLESS_SERVICE_NAME",
    "--target-port": "BUILDKITD_TARGET_PORT",
    "--idle-timeout": "SCALE_DOWN_IDLE_TIMEOUT",
    "--ready-wait-timeout": "READY_WAIT_TIMEOUT",
    "--kubeconfig": "KUBECONFIG_PATH",
    "--log-level": "LOG_LEVEL",
  };
  const rows = settingRows().map(([, setting]) => setting);
  for (const [flag, variable] of Object.entries(known)) {
    assert.equal(rows.find((each) => each.flag === flag)?.variable, variable);
  }
  for (const { flag, variable } of rows.filter((each) => !(each.flag in known))) {
    assert.equal(variable, `AUTOSCALER_${flag.slice(2).toUpperCase().replaceAll("-", "_")}`);
  }
});

Deno.test("SETTINGS names its durations in ms, and each flag and variable once", () => {
  const rows = settingRows();
  for (const [key, { flag, type }] of rows) {
    assert.equal(key.endsWith("Ms"), type.placeholder === "duration", flag);
  }
  for (const names of [rows.map(([, { flag }]) => flag), rows.map(([, { variable }]) => variable)]) {
    assert.equal(new Set(names).size, rows.length);
  }
  for (const [, { default: preset, type }] of rows) {
    if (preset !== undefined) assert.equal(type.format(type.parse(preset)), preset);
  }
});

Deno.test("parseSettings() prefers a variable to its flag", () => {
  const { idleTimeoutMs } = parse({
    flags: { idleTimeoutMs: "1m" },
    variables: { SCALE_DOWN_IDLE_TIMEOUT: "3m" },
  });
  assert.equal(idleTimeoutMs.base, 180_000);
});

Deno.test("overriddenFlags() names each flag whose variable has another value", () => {
  const overridden = overriddenFlags({
    flags: new Map([["idleTimeoutMs", "2m"], ["targetPort", "1"], ["stsName", "a"], ["maxHeld", "5"]]),
    variables: { SCALE_DOWN_IDLE_TIMEOUT: "3m", BUILDKITD_TARGET_PORT: "1", BUILDKITD_STATEFULSET_NAME: "" },
  });
  assert.deepEqual(overridden, [
    { flag: "--idle-timeout", variable: "SCALE_DOWN_IDLE_TIMEOUT", used: "3m" },
  ]);
});

Deno.test("parseSettings() ignores an empty variable", () => {
  const given = {
    flags: { idleTimeoutMs: "1m" },
    variables: { SCALE_DOWN_IDLE_TIMEOUT: "", AUTOSCALER_X: "" },
  };
  assert.equal(parse(given).idleTimeoutMs.base, 60_000);
  assert.equal(parse({ flags: { kubeconfig: "" } }).kubeconfig, undefined);
});

Deno.test("parseSettings() names what was found and wanted, by the flag or the variable it came from", () => {
  assert.deepEqual(problemsOf({ flags: { idleTimeoutMs: "2 minutes" } }), [
    'Cannot parse "--idle-timeout": found "2 minutes", want a duration such as "2m0s"',
  ]);
  assert.deepEqual(problemsOf({ variables: { SCALE_DOWN_IDLE_TIMEOUT: "2 minutes" } }), [
    'Cannot parse "SCALE_DOWN_IDLE_TIMEOUT": found "2 minutes", want a duration such as "2m0s"',
  ]);
  assert.deepEqual(problemsOf({ flags: { connectTimeoutMs: "-1s" } }), [
    'Cannot parse "--connect-timeout": found "-1s", want a duration from 1ms to 8760h0m0s',
  ]);
});

Deno.test("parseSettings() quotes the first 80 characters of a value", () => {
  const digits = "0123456789".repeat(8);
  const quoted = (text: string) =>
    /found ("[^"]*")/.exec(problemsOf({ flags: { targetPort: text } })[0]!)?.[1];
  assert.equal(quoted(digits), `"${digits}"`);
  assert.equal(quoted(`${digits}x`), `"${digits}…"`);
});

Deno.test("parseSettings() reports a bad flag even where its variable is right", () => {
  const given = { flags: { targetPort: "x" }, variables: { BUILDKITD_TARGET_PORT: "1" } };
  assert.equal(problemsOf(given).length, 1);
});

Deno.test("parseSettings() reports all problems of one start together", () => {
  const problems = problemsOf({
    flags: {
      stsName: "Foo_",
      targetPort: "0",
      minReplicas: "x",
      wakeOn: "",
      listenAddr: ":1",
      adminAddr: ":1",
    },
    variables: { LOG_LEVEL: "loud", AUTOSCALER_DRAIN_TIMOUT: "1h", AUTOSCALER_IDLE_TIMEOUT: "1m" },
  });
  const expected = [
    /"--sts-name": found "Foo_"/,
    /"--target-port": found "0", want a whole number from 1 to 65535$/,
    /"--min-replicas": found "x", want a whole number from 0 to 32000$/,
    /"--wake-on": found "", want "connect" or "data"$/,
    /"LOG_LEVEL": found "loud", want "debug", "info", "warn" or "error"$/,
    /^Unknown variable "AUTOSCALER_DRAIN_TIMOUT": the nearest is "AUTOSCALER_DRAIN_TIMEOUT"$/,
    /^Unknown variable "AUTOSCALER_IDLE_TIMEOUT": the nearest is "SCALE_DOWN_IDLE_TIMEOUT"$/,
    /^Cannot listen on both "--listen-addr" and "--admin-addr": found ":1" and ":1", want different ports$/,
  ];
  assert.equal(problems.length, expected.length, problems.join("\n"));
  for (const pattern of expected) assert.ok(problems.some((each) => pattern.test(each)), String(pattern));
});

Deno.test("parseSettings() wants a leader to give up before another one may lead, and to try again before that", () => {
  const given = (leaseDurationMs: string, renewDeadlineMs: string, retryPeriodMs = "1s") =>
    problemsOf({ flags: { leaseDurationMs, renewDeadlineMs, retryPeriodMs } });
  assert.deepEqual(given("10s", "9.999s"), []);
  for (const renew of ["10s", "10.001s", "1m"]) {
    assert.equal(given("10s", renew).length, 1, renew);
  }
  assert.deepEqual(given("10s", "20s"), [
    'Cannot use "--renew-deadline" and "--lease-duration" together: found "20s" and "10s", ' +
    "want the second longer than the first",
  ]);
  assert.deepEqual(given("1h", "12s", "9.999s"), []);
  for (const retry of ["10s", "12s", "30s"]) {
    assert.equal(given("1h", "12s", retry).length, 1, retry);
  }
  assert.deepEqual(given("1h", "12s", "10s"), [
    'Cannot use "--retry-period" and "--renew-deadline" together: found "10s" and "12s", ' +
    "want the second longer than 1.2 times the first",
  ]);
  assert.equal(given("5s", "10s", "20s").length, 2, "each pair by itself");
});

Deno.test("parseSettings() wants the flags of TLS towards buildkitd that belong together", () => {
  const given = (...flags: SettingKey[]) =>
    problemsOf({ flags: Object.fromEntries(flags.map((flag) => [flag, "x"])) });
  assert.deepEqual(given("upstreamTlsCa"), []);
  assert.deepEqual(given("upstreamTlsCa", "upstreamTlsCert", "upstreamTlsKey", "upstreamTlsServerName"), []);
  assert.deepEqual(given("upstreamTlsCa", "upstreamTlsCert"), [
    'Cannot use "--upstream-tls-cert" alone: want "--upstream-tls-key", too',
  ]);
  assert.deepEqual(given("upstreamTlsKey", "upstreamTlsServerName"), [
    'Cannot use "--upstream-tls-key" alone: want "--upstream-tls-cert", too',
    'Cannot use "--upstream-tls-server-name" alone: want "--upstream-tls-ca", too',
  ]);
  assert.deepEqual(given("upstreamTlsCert", "upstreamTlsKey"), [
    'Cannot use "--upstream-tls-cert" alone: want "--upstream-tls-ca", too',
  ]);
});

Deno.test("parseSettings() passes over the variables that Kubernetes makes for Services", () => {
  const variables = {
    AUTOSCALER_SERVICE_HOST: "10.0.0.1",
    AUTOSCALER_SERVICE_PORT: "8080",
    AUTOSCALER_SERVICE_PORT_PROXY: "8080",
    AUTOSCALER_PORT: "tcp://10.0.0.1:8080",
    AUTOSCALER_PORT_8080_TCP: "tcp://10.0.0.1:8080",
    AUTOSCALER_CI_PORT_8080_TCP_ADDR: "10.0.0.1",
    AUTOSCALER_TARGET_PORT: "tcp://10.0.0.1:8080",
    PATH: "/bin",
  };
  assert.deepEqual(problemsOf({ variables }), []);
  for (const protocol of ["udp", "sctp"]) {
    assert.deepEqual(problemsOf({ variables: { AUTOSCALER_TARGET_PORT: `${protocol}://10.0.0.1:1` } }), []);
  }
  for (
    const name of [
      "AUTOSCALER_SERVICE_HOSTS",
      "AUTOSCALER_SERVICE_POR",
      "AUTOSCALER_PORTS",
      "AUTOSCALER_PORT_X",
    ]
  ) {
    assert.equal(problemsOf({ variables: { [name]: "1" } }).length, 1, name);
  }
  assert.deepEqual(problemsOf({ variables: { OTHER_WAKE_ON: "x", AUTOSCALER_FOO_BAR: undefined } }), []);
  assert.deepEqual(problemsOf({ variables: { AUTOSCALER_B: "1", AUTOSCALER_A: "1" } }), [
    'Unknown variable "AUTOSCALER_A"',
    'Unknown variable "AUTOSCALER_B"',
  ]);
  assert.deepEqual(problemsOf({ variables: { AUTOSCALER_TARGET_PORT: "8372" } }), [
    'Unknown variable "AUTOSCALER_TARGET_PORT": the nearest is "BUILDKITD_TARGET_PORT"',
  ]);
});

Deno.test("parseSettings() checks names as Kubernetes does", () => {
  const label63 = "a".repeat(63);
  for (const name of ["a", "a-b", "0a", label63]) {
    assert.deepEqual(problemsOf({ flags: { stsNamespace: name, headlessServiceName: name } }), [], name);
  }
  for (const name of ["-a", "a-", "A", "a_b", "a.b", "ä", "a".repeat(64), "a b"]) {
    assert.equal(problemsOf({ flags: { stsNamespace: name, headlessServiceName: name } }).length, 2, name);
  }
  assert.deepEqual(problemsOf({ flags: { stsName: "a.b-c.d", clusterDomain: "k8s.example.com" } }), []);
  for (const name of ["a..b", ".a", "a.", `${"a.".repeat(126)}aa`]) {
    assert.equal(problemsOf({ flags: { stsName: name } }).length, 1, name);
  }
});

Deno.test("parseSettings() reads what settingsAsText() wrote", () => {
  const settings = parse({
    flags: { listenAddr: "[::1]:5", idleTimeoutMs: "90m", kubeconfig: "a b", logLevel: "WARN" },
  });
  const text = settingsAsText(settings);
  assert.equal(text["idle-timeout"], "1h30m0s");
  assert.equal("context" in text, false, "it has no value");
  const flags = settingRows().flatMap(([key, { flag }]) => {
    const value = text[flag.slice(2)];
    return value === undefined ? [] : [[key, value] as const];
  });
  assert.deepEqual(parseSettings({ flags: new Map(flags), variables: {} }), settings);
});

Deno.test("parseSettings() throws nothing but a UsageError, whatever the text, and quotes it on one line", () => {
  const keys = fc.constantFrom(...settingRows().map(([key]) => key));
  fc.assert(fc.property(keys, fc.string({ unit: "binary", maxLength: 200 }), (key, text) => {
    for (const problem of problemsOf({ variables: { [SETTINGS[key].variable]: text } })) {
      assert.ok(!problem.includes("\n") && problem.length < 1000, problem);
    }
  }));
});

Deno.test("nearest() finds the name with the fewest edits", () => {
  assert.equal(nearest("--idel-timeout", ["--idle-timeout", "--drain-timeout"]), "--idle-timeout");
  assert.equal(nearest("dmeo", ["run", "demo"]), "demo");
  assert.equal(nearest("--namespace", ["--sts-name", "--sts-namespace"], "--"), "--sts-namespace");
});

Deno.test("nearest() suggests nothing if no name is close", () => {
  assert.equal(nearest("", ["a", "b"]), undefined);
  assert.equal(nearest("deploy", ["run", "demo", "version"]), undefined);
  assert.equal(nearest("-x", ["--help", "--version"], "--"), undefined);
  assert.equal(nearest("AUTOSCALER_FOO", ["AUTOSCALER_WAKE_ON"], "AUTOSCALER_"), undefined);
});
