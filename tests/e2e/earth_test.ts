/** `earth` gives up a connection again and again while it waits: each is forgotten at once, and a late one is served.
 *
 * @module
 */

import assert from "node:assert/strict";
import { runEarth } from "./earth_client.ts";
import { assertServed } from "./program.ts";
import { scenario } from "./scenario.ts";
import { delay } from "./waiting.ts";

const COLD_START_MS = 25_000;
const IDLE_MS = 3_000;

/** Far more than any step of a scale-down takes. */
const SOON_MS = 15_000;

scenario("earth's short attempts are forgotten at once, and a late one is served", {}, async (cluster) => {
  // The pauses between its attempts are shorter than the idle timeout, so they must not cost the pod.
  const program = await (await cluster.startProgram({ "idle-timeout": `${IDLE_MS}ms` })).untilReady();
  const { start } = cluster.kubelet.behaviour;
  start.shut();
  const opened = delay(COLD_START_MS).then(() => start.open());
  const { attempts, served } = await runEarth(
    () => program.connect(),
    async (attempt) => {
      await program.untilEnded(attempt);
      await program.untilHeld(0);
    },
  );
  const leftMs = performance.now();
  await opened;
  assert.equal(served, true, cluster.report());
  assert.ok(attempts > 3, `${attempts} attempts`);
  const sessions = await program.untilEnded(attempts);
  assert.deepEqual(
    sessions.slice(0, -1).map(({ outcome, reason }) => [outcome, reason]),
    sessions.slice(1).map(() => ["client_left", "The client sent GOAWAY while it waited for buildkitd"]),
  );
  assertServed(sessions.at(-1));
  await cluster.timeline.settle([0, 1, 0]);
  const downMs = (cluster.timeline.replicas[2]?.atMs ?? NaN) - leftMs;
  assert.ok(downMs >= IDLE_MS - 500 && downMs <= IDLE_MS + SOON_MS, `down ${downMs} ms after it left`);
  assert.equal(await program.stop(), 0);
});

scenario(
  "attempts that are all given up keep the pod for one idle timeout after the last",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": `${IDLE_MS}ms` })).untilReady();
    cluster.kubelet.behaviour.start.shut();
    let lastMs = NaN;
    const onGivenUp = async (attempt: number) => {
      await program.untilEnded(attempt);
      lastMs = performance.now();
    };
    assert.deepEqual(await runEarth(() => program.connect(), onGivenUp, 3), { attempts: 3, served: false });
    await cluster.timeline.settle([0, 1, 0]);
    const downMs = (cluster.timeline.replicas[2]?.atMs ?? NaN) - lastMs;
    assert.ok(downMs <= IDLE_MS + SOON_MS, `down ${downMs} ms after the last attempt`);
    await cluster.untilNoPods();
    assert.equal(await program.stop(), 0);
  },
);
