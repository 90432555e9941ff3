/**
 * What the program adds to the path of a session: time at a cold start, and requests to the API server.
 *
 * @module
 */

import assert from "node:assert/strict";
import { echoRuntime } from "./pod_process.ts";
import type { Program } from "./program.ts";
import { scenario } from "./scenario.ts";
import { HANG_MS, until, within } from "./waiting.ts";

const COLD_STARTS = 20;
const CONNECTIONS = 300;

/** Above the aim of 50 ms by so much that only a poll or a pause in the path exceeds it, not a busy machine. */
const OVERHEAD_LIMIT_MS = 500;

/** Sends one byte through the program and waits for its echo. Gives the connection and when the byte came back. */
async function echo(program: Program): Promise<{ conn: Deno.Conn; atMs: number }> {
  const conn = await program.connect();
  const answer = new Uint8Array(1);
  const exchange = async () => {
    await conn.write(new Uint8Array([42]));
    assert.equal(await conn.read(answer), 1);
    assert.equal(answer[0], 42);
  };
  await within("an echo through the program", exchange(), HANG_MS);
  return { conn, atMs: performance.now() };
}

scenario(
  `a cold start costs little more than the pod itself (median of ${COLD_STARTS})`,
  { runtime: echoRuntime },
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "100ms" })).untilReady();
    const overPod: number[] = [];
    const overSlice: number[] = [];
    for (let i = 1; i <= COLD_STARTS; i++) {
      const { conn, atMs } = await echo(program);
      const ready = await until("the pod's readiness to be seen", () => cluster.timeline.ready[i - 1]);
      const serving = await until("the slice's readiness to be seen", () => cluster.timeline.serving[i - 1]);
      overPod.push(atMs - ready.atMs);
      overSlice.push(atMs - serving.atMs);
      conn.close();
      await cluster.timeline.settle(Array.from({ length: 2 * i + 1 }, (_, at) => at % 2));
      await cluster.untilNoPods();
    }
    assert.equal(cluster.timeline.ready.length, COLD_STARTS);
    const median = reportSpread("a cold start over the ready pod", overPod, "aim: median under 50 ms");
    reportSpread(
      "a cold start over the ready EndpointSlice",
      overSlice,
      "the rest is the slice controller's",
    );
    assert.ok(median < OVERHEAD_LIMIT_MS, `median ${median} ms`);
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  `${CONNECTIONS} connections to a ready pod cause no request to the API server`,
  { runtime: echoRuntime },
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "10m" })).untilReady();
    const warm = await echo(program);
    await program.waitForRecord("the scale-up", (record) => record.code === "scaled");
    // Its Leases are renewed every few seconds, whoever connects, and no session waits for them.
    const requests = async () =>
      (await cluster.plane.requestsBy(cluster.programUser))
        .filter(({ verb, objectRef }) => verb !== "watch" && objectRef?.resource !== "leases");
    const before = await requests();
    for (let i = 0; i < CONNECTIONS; i++) (await echo(program)).conn.close();
    await program.untilEnded(CONNECTIONS);
    const after = await requests();
    report(
      `${CONNECTIONS} connections to a ready pod: ${after.length - before.length} requests to the API server`,
    );
    assert.deepEqual(after.slice(before.length), []);
    assert.ok(before.length > 0, "the audit log shows the program's requests");
    warm.conn.close();
    assert.equal(await program.stop(), 0);
  },
);

/** Reports how `figures` are spread and gives their median. */
function reportSpread(what: string, figures: readonly number[], remark: string): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[Math.max(0, Math.min(sorted.length - 1, index))] ?? NaN;
  const half = sorted.length / 2;
  const median = (at(Math.ceil(half) - 1) + at(Math.floor(half))) / 2;
  const [min, p90, max] = [at(0), at(Math.ceil(sorted.length * 0.9) - 1), at(sorted.length - 1)];
  const ms = (figure: number) => `${figure.toFixed(1)} ms`;
  report(
    `${what}, ${sorted.length} runs: min ${ms(min)}, median ${ms(median)}, p90 ${ms(p90)}, max ${
      ms(max)
    } (${remark})`,
  );
  return median;
}

/** A figure for whoever reads the run's output. */
function report(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`\n${line}\n`));
}
