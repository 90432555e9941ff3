/**
 * The commands of `docker/setup-buildx-action` (driver `remote`) on cold starts: `buildx create`, then `buildx inspect
 * --bootstrap`, then a build with the builder that it has made.
 *
 * The commands are those that the action prints in a job's log. The action itself is JavaScript around them, and is not
 * run here. buildx 0.35 has one limit of 20 s for both of its looks at the builder, so after a longer start it may say
 * "inactive"; it ends with 0 all the same, and its builds succeed. Newer versions give each look 20 s of its own.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { bootstrapCommand, type ClientName } from "./build_clients.ts";
import { Child } from "./child_process.ts";
import { type Cluster, programPath, scenario } from "./scenario.ts";
import { delay, within } from "./waiting.ts";

/** From the arrival of the clients to the start of the daemon. */
const COLD_STARTS_S = [0.5, 30, 75];

const CLIENTS: readonly ClientName[] = ["docker-buildx", "docker-buildx-0.35"];

scenario(
  `what setup-buildx-action runs waits for a cold start of ${COLD_STARTS_S.join(", ")} s, and builds`,
  {},
  async (cluster) => {
    await Promise.all(COLD_STARTS_S.map(async (seconds, i) => {
      await bootstrap(i === 0 ? cluster : await cluster.sibling(), seconds);
    }));
  },
);

async function bootstrap(cluster: Cluster, seconds: number): Promise<void> {
  const program = await (await cluster.startProgram()).untilReady();
  cluster.kubelet.behaviour.start.shut();
  const children = new Map<ClientName, Child>();
  try {
    for (const client of CLIENTS) {
      const settings = join(cluster.folder, `bootstrap-${client}`);
      await Deno.mkdir(settings);
      const address = program.clientAddress;
      const command = bootstrapCommand({ program: programPath(client), address, settings });
      children.set(
        client,
        new Child({ name: `${client} inspect`, ...command, logFile: join(settings, "inspect.log") }),
      );
    }
    await program.untilAtLeastHeld(CLIENTS.length, {
      explain: () => [...children.values()].map((child) => child.tail()).join("\n"),
    });
    await delay(seconds * 1_000);
    cluster.kubelet.behaviour.start.open();
    for (const [client, child] of children) {
      const { code } = await within(`${child.name} to end`, child.exited);
      assert.equal(code, 0, child.tail(200));
      if (client === "docker-buildx") assert.match(child.tail(200), /^Status:\s+running$/m, child.tail(200));
    }
  } finally {
    for (const child of children.values()) await child.kill();
  }
  for (const client of CLIENTS) await (await cluster.build(program, { client })).finish();
  assert.deepEqual(cluster.timeline.counts, [0, 1]);
  assert.equal(await program.stop(), 0);
}
