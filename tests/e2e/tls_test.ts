/**
 * Real clients over TLS that ends at the proxy, with certificates of their own: patience, reasons, strangers, and the
 * replacement of a certificate in mid-build.
 *
 * The cold starts run beside each other, so that the suite waits for the longest only.
 *
 * @module
 */

import assert from "node:assert/strict";
import { makeCa } from "../integration/kube/certificates.ts";
import { CLIENT_NAMES, type ClientName, OLD_AND_NEW_CLIENTS } from "./build_clients.ts";
import { runEarth } from "./earth_client.ts";
import { assertServed } from "./program.ts";
import { type Cluster, scenario } from "./scenario.ts";
import { CLIENT_NAME, tlsAddress, TlsFiles } from "./tls_files.ts";
import { delay, until } from "./waiting.ts";

interface ColdStart {
  /** From the clients' arrival to the start of the daemon. */
  readonly seconds: number;
  readonly mutual: boolean;
  readonly clients: readonly ClientName[];
}

const COLD_STARTS: readonly ColdStart[] = [
  { seconds: 0.5, mutual: false, clients: OLD_AND_NEW_CLIENTS },
  { seconds: 30, mutual: true, clients: OLD_AND_NEW_CLIENTS },
  { seconds: 75, mutual: true, clients: OLD_AND_NEW_CLIENTS },
];

scenario(
  `clients with TLS are held and served, as is earth: ${
    COLD_STARTS.map(({ seconds }) => `${seconds} s`).join(", ")
  }`,
  {},
  async (cluster) => {
    await Promise.all([
      ...COLD_STARTS.map(async (coldStart, i) => {
        await survive(i === 0 ? cluster : await cluster.sibling(), coldStart);
      }),
      cluster.sibling().then(surviveAsEarth),
    ]);
  },
);

async function survive(cluster: Cluster, { seconds, mutual, clients }: ColdStart): Promise<void> {
  const files = await TlsFiles.make(cluster);
  const program = await (await cluster.startProgram(files.flags({ mutual }))).untilReady();
  cluster.kubelet.behaviour.start.shut();
  const [address, tls] = await Promise.all([tlsAddress(program), files.client()]);
  const builds = await Promise.all(
    clients.map((client) => cluster.build(program, { client, address, tls, payloadBytes: 1 << 20 })),
  );
  await program.untilAtLeastHeld(clients.length, { explain: () => cluster.report() });
  await delay(seconds * 1_000);
  cluster.kubelet.behaviour.start.open();
  await Promise.all(builds.map((build) => build.finish()));
  await program.untilNoneOpen();
  for (const session of program.ended) {
    assert.equal(session["clientName"], mutual ? CLIENT_NAME : undefined);
    if (session["outcome"] !== "client_left") assertServed(session);
  }
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  assert.equal(await program.stop(), 0);
}

async function surviveAsEarth(cluster: Cluster): Promise<void> {
  const files = await TlsFiles.make(cluster);
  const program = await (await cluster.startProgram(files.flags({ mutual: true }))).untilReady();
  const { start } = cluster.kubelet.behaviour;
  start.shut();
  const opened = delay(20_000).then(() => start.open());
  const { attempts, served } = await runEarth(
    () => files.connect(program),
    async (attempt) => void await program.untilEnded(attempt),
  );
  await opened;
  assert.equal(served, true, cluster.report());
  assert.ok(attempts > 3, `${attempts} attempts`);
  assertServed((await program.untilEnded(attempts)).at(-1));
  assert.equal(await program.stop(), 0);
}

scenario(
  "strangers get no further than the handshake, and a client with TLS prints why a hold failed",
  {},
  async (cluster) => {
    const files = await TlsFiles.make(cluster);
    const program = await (await cluster.startProgram({
      ...files.flags({ mutual: true }),
      "ready-wait-timeout": "4s",
    })).untilReady();
    cluster.kubelet.behaviour.start.shut();
    const address = await tlsAddress(program);
    const strangers = {
      "a wrong authority": await files.client({}, await makeCa()),
      "an expired certificate": await files.client({ notAfter: new Date(Date.now() - 60_000) }),
      "a name that is not listed": await files.client({ dnsNames: ["stranger.example.org"] }),
    };
    for (const [what, tls] of Object.entries(strangers)) {
      const build = await cluster.build(program, { address, tls });
      const { code, output } = await build.result();
      assert.notEqual(code, 0, what);
      report(`buildctl with ${what}: ${output.trim().split("\n").at(-1)}`);
    }
    const rejected = () => program.events("connection_rejected");
    await until("a log record for each stranger", () => rejected().length >= Object.keys(strangers).length, {
      explain: () => program.tail(),
    });
    for (const { cause } of rejected()) report(`the log: ${cause}`);
    const causes = new Set(rejected().map(({ cause }) => cause));
    assert.equal(causes.size, 2, program.tail());
    assert.deepEqual(cluster.timeline.counts, [0]);
    assert.equal(await program.metric("buildkitd_autoscaler_sessions_opened_total"), 0);

    const tls = await files.client();
    await Promise.all(CLIENT_NAMES.map(async (client) => {
      const { code, output } = await (await cluster.build(program, { client, address, tls })).result();
      assert.notEqual(code, 0, output);
      assert.match(output, /buildkitd did not become ready in 4s/);
    }));
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "a build outlives the replacement of the certificate, and the next one uses the new one",
  {},
  async (cluster) => {
    const files = await TlsFiles.make(cluster);
    const program = await (await cluster.startProgram(files.flags({ mutual: true }))).untilReady();
    const [address, tls] = await Promise.all([tlsAddress(program), files.client()]);
    const build = await (await cluster.build(program, { address, tls, payloadBytes: 1 << 20 })).running();
    await files.replaceServer();
    await program.waitForRecord("the new files", ({ code }) => code === "tls_files_reloaded");
    await (await cluster.build(program, { address, tls })).finish();
    assert.equal(build.ended, false);
    await build.finish();
    assert.equal(await program.stop(), 0);
  },
);

/** What a reader of the run's output may want to quote. */
function report(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`\n${line}\n`));
}
