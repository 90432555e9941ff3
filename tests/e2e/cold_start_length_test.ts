/**
 * Real clients, unmodified and with default flags on both sides, survive cold starts of any length.
 *
 * The lengths run beside each other, each in a namespace of its own, so that the suite waits for the longest only.
 * `E2E_LONG=1` adds one of 240 s, close to the default of `--ready-wait-timeout`.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Build } from "./build.ts";
import { CLIENT_NAMES, type ClientName, OLD_AND_NEW_CLIENTS } from "./build_clients.ts";
import { noted } from "./kubelet.ts";
import { assertServed, type Program } from "./program.ts";
import { type Cluster, scenario } from "./scenario.ts";
import { delay } from "./waiting.ts";

interface ColdStart {
  /** From the clients' arrival to the start of the daemon. */
  readonly seconds: number;
  readonly clients: readonly ClientName[];
}

const EIGHT_CLIENTS = [...CLIENT_NAMES, ...CLIENT_NAMES, ...CLIENT_NAMES, ...CLIENT_NAMES];

const COLD_STARTS: readonly ColdStart[] = [
  { seconds: 0.5, clients: OLD_AND_NEW_CLIENTS },
  { seconds: 15, clients: CLIENT_NAMES },
  { seconds: 30, clients: OLD_AND_NEW_CLIENTS },
  { seconds: 30, clients: EIGHT_CLIENTS },
  { seconds: 75, clients: OLD_AND_NEW_CLIENTS },
  ...(Deno.env.get("E2E_LONG") === undefined ? [] : [{ seconds: 240, clients: CLIENT_NAMES }]),
];

scenario(
  `clients are held and served: ${
    COLD_STARTS.map(({ seconds, clients }) => `${clients.length} for ${seconds} s`).join(", ")
  }`,
  {},
  async (cluster) => {
    await Promise.all(COLD_STARTS.map(async (coldStart, i) => {
      await survive(i === 0 ? cluster : await cluster.sibling(), coldStart);
    }));
  },
);

async function survive(cluster: Cluster, { seconds, clients }: ColdStart): Promise<void> {
  const program = await (await cluster.startProgram()).untilReady();
  cluster.kubelet.behaviour.start.shut();
  const builds = await startAll(cluster, program, clients);
  const startedMs = performance.now();
  await delay(seconds * 1_000);
  cluster.kubelet.behaviour.start.open();
  await Promise.all(builds.map((build) => build.finish()));
  const ms = performance.now() - startedMs;
  await program.untilNoneOpen();
  const sessions = program.ended;
  const left = sessions.filter(({ outcome }) => outcome === "client_left");
  const served = sessions.filter((session) => !left.includes(session));
  const heldMs = (some: typeof sessions) => some.map((session) => session["heldMs"]).join(", ");
  report(
    `${clients.length} clients, daemon started after ${seconds} s: all built after ${
      (ms / 1_000).toFixed(1)
    } s; ` +
      `sessions served after ${heldMs(served)} ms${
        left.length > 0 ? `, given up after ${heldMs(left)} ms` : ""
      }`,
  );
  served.forEach(assertServed);
  // buildctl stays on its one connection. docker-buildx gives up a look-up after 20 s and continues on another connection.
  const waited = served.filter(({ heldMs }) => Number(heldMs) >= seconds * 1_000);
  const patient = clients.filter((client) => client === "buildctl");
  assert.ok(waited.length >= patient.length, JSON.stringify(sessions));
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  assert.equal(await program.stop(), 0);
}

/** Starts a build with each of the clients, and waits until all of them are held. */
async function startAll(
  cluster: Cluster,
  program: Program,
  clients: readonly ClientName[],
): Promise<readonly Build[]> {
  const builds = await Promise.all(clients.map((client) => cluster.build(program, { client })));
  await program.untilAtLeastHeld(clients.length, { explain: () => cluster.report() });
  return builds;
}

scenario("both clients wait for a pod that crashes twice before it is ready", {}, async (cluster) => {
  const program = await (await cluster.startProgram()).untilReady();
  cluster.kubelet.behaviour.start.shut();
  cluster.kubelet.behaviour.crashes = 2;
  const builds = await startAll(cluster, program, CLIENT_NAMES);
  cluster.kubelet.behaviour.start.open();
  await Promise.all(builds.map((build) => build.finish()));
  assert.equal(cluster.kubelet.history.filter((entry) => entry.what === "started").length, 3);
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  assert.equal(await program.stop(), 0);
});

scenario(
  "both clients are served although their pod is deleted while they wait, by the next one at another address",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram()).untilReady();
    const { behaviour } = cluster.kubelet;
    // The daemon is killed as soon as it starts, so the pod has an address, and is never ready.
    behaviour.crashes = Infinity;
    const builds = await startAll(cluster, program, CLIENT_NAMES);
    const first = await noted(cluster.kubelet, "started");
    await program.waitForRecord(
      "the first pod's address",
      (record) => record.code === "pod_observed" && JSON.stringify(record).includes(String(first.detail)),
    );
    await cluster.api.delete(`/api/v1/namespaces/${cluster.namespace}/pods/buildkitd-0`);
    await noted(cluster.kubelet, "terminating");
    behaviour.crashes = 0;
    await Promise.all(builds.map((build) => build.finish()));
    const last = cluster.kubelet.history.findLast((entry) => entry.what === "started");
    assert.notEqual(last?.uid, first.uid);
    assert.notEqual(last?.detail, first.detail, "another address");
    assert.deepEqual(cluster.timeline.counts, [0, 1]);
    assert.equal(await program.stop(), 0);
  },
);

/** A figure for whoever reads the run's output. */
function report(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`\n${line}\n`));
}
