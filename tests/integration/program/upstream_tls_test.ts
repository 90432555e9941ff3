/**
 * The whole program in front of daemons that speak TLS: sessions and health checks, and what the client is told when TLS
 * fails.
 *
 * @module
 */
import assert from "node:assert/strict";
import { writeAll } from "../../../lib/miniature/bytes.ts";
import { HealthDaemon } from "../../support/health_daemons.ts";
import { NOT_READY, type Program, startProgram, type WorldOptions } from "../../support/program.ts";
import { echo, type Serve } from "../../support/server_pods.ts";
import { GREETING, overTls } from "../../support/tls_server.ts";
import { makeCa } from "../kube/certificates.ts";

const ca = await makeCa();
const otherCa = await makeCa({ commonName: "Other CA" });
const daemon = await ca.issue({ commonName: "buildkitd", dnsNames: ["buildkitd-headless.default.svc"] });
const proxy = await ca.issue({ commonName: "proxy" });

/** Lets only clients with a certificate in. */
const STRICT = { ...daemon, clientCa: ca.cert };

/** Runs `use` with a program that has its certificates in files. */
async function withProgram(
  options: WorldOptions,
  use: (program: Program) => Promise<void>,
  trusted: string = ca.cert,
) {
  const folder = await Deno.makeTempDir();
  try {
    for (
      const [name, text] of [["ca.crt", trusted], ["tls.crt", proxy.cert], ["tls.key", proxy.key]] as const
    ) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    await using program = await startProgram({
      ...options,
      settings: {
        upstreamTlsCa: `${folder}/ca.crt`,
        upstreamTlsCert: `${folder}/tls.crt`,
        upstreamTlsKey: `${folder}/tls.key`,
        ...options.settings,
      },
    });
    await use(program);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("program: a client that speaks plain is carried to a daemon that wants a client certificate, from zero", async () => {
  await withProgram({ serve: overTls(echo, STRICT) }, async (program) => {
    await program.settled();
    using client = await program.connect();
    await client.send("hello");
    const bytes = await client.receive(GREETING.length + 5);
    assert.equal(new TextDecoder().decode(bytes.subarray(GREETING.length)), "hello");
    await client.end();
    assert.equal(await client.ending(), "fin");
    const { outcome, pod } = await program.logged("session_ended");
    assert.deepEqual([outcome, pod], ["completed", "buildkitd-0"]);
  });
});

Deno.test("program: TLS goes through a port-forward, too, for sessions and health checks", async () => {
  const health = new HealthDaemon("serving");
  await withProgram(
    {
      cluster: { ...NOT_READY, replicas: 1 },
      settings: { upstream: "port-forward", readiness: "grpc" },
      serve: overTls(health.serve, STRICT),
    },
    async (program) => {
      using client = await program.connect();
      await client.send("hello");
      const bytes = await client.receive(GREETING.length + 5);
      assert.equal(new TextDecoder().decode(bytes.subarray(GREETING.length)), "hello");
      const forwards = program.cluster.api.requests.filter(({ subject }) =>
        subject === "v1/pods/portforward"
      );
      assert.ok(forwards.length >= 2, "a health check and the session");
    },
  );
});

Deno.test("program: a daemon's health is asked for in TLS, too", async () => {
  const health = new HealthDaemon("serving");
  const cluster = { ...NOT_READY, replicas: 1 };
  await withProgram(
    { cluster, settings: { readiness: "grpc" }, serve: overTls(health.serve, STRICT) },
    async (program) => {
      using client = await program.connect();
      await client.send("hello");
      await client.receive(GREETING.length + 5);
      assert.ok(health.begun > 0);
    },
  );
});

Deno.test("program: what will not mend itself in TLS is the reason that the client is told", async () => {
  const cases: readonly (readonly [Serve, string, WorldOptions["settings"], RegExp])[] = [
    [
      overTls(echo, STRICT),
      otherCa.cert,
      {},
      /buildkitd's certificate is not signed by a CA of --upstream-tls-ca/,
    ],
    [
      overTls(echo, STRICT),
      ca.cert,
      { upstreamTlsServerName: "elsewhere" },
      /buildkitd's certificate is not for "elsewhere" but for "buildkitd-headless\.default\.svc"/,
    ],
    [
      async (conn) => {
        await writeAll(conn, GREETING);
        await echo(conn, undefined as never, undefined as never);
      },
      ca.cert,
      {},
      /buildkitd does not speak TLS on this port/,
    ],
  ];
  for (const [serve, trusted, settings, expected] of cases) {
    await withProgram(
      { serve, cluster: { replicas: 1 }, settings: { readyWaitTimeoutMs: "2s", ...settings } },
      async (program) => {
        await program.settled();
        using client = await program.connect();
        await client.send("hello");
        await client.ending();
        assert.match(String((await program.logged("pod_connection_failed"))["cause"]), expected);
        const { outcome, reason } = await program.logged("session_ended");
        assert.equal(outcome, "timed_out");
        assert.match(
          String(reason),
          /^buildkitd did not become ready in 2s: pod buildkitd-0 runs, but buildkitd/,
        );
        assert.match(String(reason), expected);
      },
      trusted,
    );
  }
});

Deno.test("process: it does not start with files that cannot be used, and says what is wrong with each", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--allow-all",
      "--no-check",
      new URL("../../../main.ts", import.meta.url).pathname,
      "--kubeconfig=/nowhere/config",
      "--upstream-tls-ca=/nowhere/ca.crt",
      "--upstream-tls-cert=/nowhere/tls.crt",
      "--upstream-tls-key=/nowhere/tls.key",
      "--tls-listen-addr=127.0.0.1:0",
      "--tls-cert=/nowhere/server.crt",
      "--tls-key=/nowhere/server.key",
    ],
    stdin: "null",
  }).output();
  assert.equal(code, 2);
  const problems = new TextDecoder().decode(stderr).split("\n").filter((line) => line.startsWith("  "));
  assert.match(problems[0]!, /"\/nowhere\/config"/);
  assert.deepEqual(problems.slice(1, 4), [
    '  Cannot use the "--upstream-tls-ca" file "/nowhere/ca.crt": found no such file',
    '  Cannot use the "--upstream-tls-cert" file "/nowhere/tls.crt": found no such file',
    '  Cannot use the "--upstream-tls-key" file "/nowhere/tls.key": found no such file',
  ]);
  assert.deepEqual(problems.slice(4).map((line) => /"(\/nowhere\/[^"]+)"/.exec(line)?.[1]), [
    "/nowhere/server.crt",
    "/nowhere/server.key",
  ]);
});
