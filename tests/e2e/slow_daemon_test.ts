/** A daemon that listens long before it answers: a connection to it proves nothing, and no client notices.
 *
 * @module
 */

import assert from "node:assert/strict";
import { CLIENT_NAMES } from "./build_clients.ts";
import { type Cluster, daemonRuntime, scenario } from "./scenario.ts";
import { type Probe, slowDaemon } from "./slow_daemon.ts";

const SILENT_MS = 10_000;

/** `probe` is what makes the pod ready for Kubernetes. */
const CASES: readonly { readonly readiness: string; readonly probe: Probe; readonly title: string }[] = [
  { readiness: "auto", probe: "port", title: "its pod is ready as soon as its port listens" },
  { readiness: "auto", probe: "daemon", title: "its pod is ready when it answers" },
  { readiness: "grpc", probe: "port", title: "its own word alone counts" },
];

scenario(
  `both clients build on a daemon that listens ${SILENT_MS / 1_000} s before it answers: ${
    CASES.map(({ title }) => title).join(", ")
  }`,
  {},
  async (cluster) => {
    await Promise.all(CASES.map(async ({ readiness, probe }) => {
      const sibling = await cluster.sibling({ runtime: slowDaemon(daemonRuntime(), SILENT_MS, probe) });
      await buildOn(sibling, readiness);
    }));
  },
);

async function buildOn(cluster: Cluster, readiness: string): Promise<void> {
  const program = await (await cluster.startProgram({ readiness })).untilReady();
  const builds = await Promise.all(CLIENT_NAMES.map((client) => cluster.build(program, { client })));
  await Promise.all(builds.map((build) => build.finish()));
  const sessions = await program.untilEnded(CLIENT_NAMES.length);
  if (readiness === "grpc") {
    assert.ok(
      sessions.some(({ heldMs }) => Number(heldMs) > SILENT_MS / 2),
      "nobody was sent to a daemon that did not answer",
    );
  }
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  assert.equal(await program.stop(), 0);
}
