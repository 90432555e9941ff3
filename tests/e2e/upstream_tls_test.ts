/**
 * A buildkitd that wants TLS and client certificates, behind clients that speak plain: real builds, and what a client is
 * told when the certificates are wrong.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { makeCa } from "../integration/kube/certificates.ts";
import { buildkitdRuntime, type PodRuntime, TARGET_PORT } from "./pod_process.ts";
import { assertServed } from "./program.ts";
import { programPath, scenario } from "./scenario.ts";
import { cgroupParent, surroundings } from "./surroundings.ts";

const folder = await Deno.makeTempDir({ dir: surroundings().folder, prefix: "certificates-" });
const at = (name: string) => join(folder, name);
const ca = await makeCa();
const daemon = await ca.issue({
  commonName: "buildkitd",
  // The names that the program expects by default, in the namespaces of this file's tests.
  dnsNames: ["buildkitd-headless.e2e-1.svc", "buildkitd-headless.e2e-2.svc"],
});
const client = await ca.issue({ commonName: "buildkitd-autoscaler" });
const stranger = await (await makeCa({ commonName: "Other CA" })).issue({ commonName: "stranger" });
for (
  const [name, text] of [
    ["ca.crt", ca.cert],
    ["daemon.crt", daemon.cert],
    ["daemon.key", daemon.key],
    ["client.crt", client.cert],
    ["client.key", client.key],
    ["stranger.crt", stranger.cert],
    ["stranger.key", stranger.key],
  ] as const
) await Deno.writeTextFile(at(name), text);

/** buildkitd lets only clients with a certificate in. Its readiness is a TCP connect, as in the chart. */
const runtime: PodRuntime = async (pod) => ({
  ...await buildkitdRuntime(programPath("buildkitd"), cgroupParent(), [
    `--tlscacert=${at("ca.crt")}`,
    `--tlscert=${at("daemon.crt")}`,
    `--tlskey=${at("daemon.key")}`,
  ])(pod),
  isReady: () =>
    Deno.connect({ hostname: pod.ip, port: TARGET_PORT }).then((conn) => {
      conn.close();
      return true;
    }, () => false),
});

const flags = (name: string) => ({
  "upstream-tls-ca": at("ca.crt"),
  "upstream-tls-cert": at(`${name}.crt`),
  "upstream-tls-key": at(`${name}.key`),
});

scenario(
  "plain builds go to a buildkitd that wants client certificates, from zero and with a large context",
  { runtime },
  async (cluster) => {
    // Only a health check over TLS makes a pod ready.
    const program =
      await (await cluster.startProgram({ ...flags("client"), readiness: "grpc", "idle-timeout": "2s" }))
        .untilReady();
    const payloadBytes = 16 * 1024 * 1024;
    const builds = [await cluster.build(program), await cluster.build(program, { payloadBytes })];
    for (const build of builds) await build.finish();
    for (const session of await program.untilEnded(2)) assertServed(session);
    await cluster.timeline.settle([0, 1, 0]);
    assert.equal(await program.stop(), 0);
  },
);

scenario("a build is told which certificate buildkitd refuses", { runtime }, async (cluster) => {
  const cases: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
    [
      { "upstream-tls-ca": at("ca.crt") },
      /buildkitd wants a client certificate: set --upstream-tls-cert and --upstream-tls-key/,
    ],
    [flags("stranger"), /buildkitd does not accept the client certificate of --upstream-tls-cert/],
    [
      { ...flags("client"), "upstream-tls-server-name": "elsewhere" },
      /buildkitd's certificate is not for "elsewhere"/,
    ],
  ];
  for (const [given, expected] of cases) {
    const program = await (await cluster.startProgram({ ...given, "ready-wait-timeout": "5s" })).untilReady();
    const { code, output } = await (await cluster.build(program)).result();
    assert.notEqual(code, 0);
    assert.match(output, expected);
    assert.equal(await program.stop(), 0);
  }
});
