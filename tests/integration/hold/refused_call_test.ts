/**
 * The whole program: when a hold fails, each call of an HTTP/2 client is answered with the reason.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ACK, END_HEADERS, END_STREAM, FRAME, type Frame } from "../../../lib/miniature/stub_http2.ts";
import { PODS } from "../../../lib/miniature/objects.ts";
import { SILENT_MS } from "../../../lib/proxy/introduction.ts";
import {
  bytesOf,
  call,
  GOODBYE,
  Http2Client,
  literalFields,
  OPENING,
  ping,
  resetStream,
  SETTINGS_ACK,
} from "../../support/http2_client.ts";
import { NOT_READY, type Program, startProgram, type WorldOptions } from "../../support/program.ts";
import { settleWithSockets, VirtualClock } from "../../support/virtual_clock.ts";

const READY_WAIT_MS = 5 * 60_000;
const DEADLINE_EXCEEDED = "4";
const RESOURCE_EXHAUSTED = "8";

/** What an answer to one call says. Demands that it is an error in one frame. */
function errorOf(frame: Frame | null): { stream: number; status: string; message: string } {
  assert.ok(frame !== null, "the connection has ended");
  assert.equal(frame.type, FRAME.headers);
  assert.equal(frame.flags, END_HEADERS | END_STREAM);
  assert.ok(frame.payload.length < 16_384);
  const fields = literalFields(frame.payload);
  assert.equal(fields[":status"], "200");
  assert.equal(fields["content-type"], "application/grpc");
  assert.deepEqual(Object.keys(fields), [":status", "content-type", "grpc-status", "grpc-message"]);
  const raw = fields["grpc-message"]!;
  assert.match(raw, /^[ -~]*$/);
  return { stream: frame.stream, status: fields["grpc-status"]!, message: decodeURIComponent(raw) };
}

async function opened(program: Program, ...frames: readonly Frame[]): Promise<Http2Client> {
  const before = program.metrics.value("hold_bytes");
  const client = await Http2Client.connect(program.address);
  await client.send(OPENING, SETTINGS_ACK, ...frames);
  assert.equal((await client.next())?.type, FRAME.settings);
  const kept = bytesOf(OPENING, ...frames).length;
  await program.until("all is kept", () => program.metrics.value("hold_bytes") === before + kept);
  return client;
}

async function timesOut(cluster: WorldOptions["cluster"] = NOT_READY) {
  const clock = new VirtualClock(settleWithSockets);
  const program = await startProgram({ clock, cluster, settings: { readyWaitTimeoutMs: "5m" } });
  await program.settled();
  return { clock, program };
}

/** The kubelet does not touch the pod: its status is what the test makes it. */
const PENDING: WorldOptions["cluster"] = { startMs: () => 3_600_000 };

/** The scheduler's word on the only pod. */
async function unschedulable(program: Program, message: string): Promise<void> {
  await program.until("a pod", () => program.cluster.pods.length === 1);
  const conditions = [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message }];
  const patch = { status: { phase: "Pending", conditions } };
  program.cluster.api.registry.patch(PODS, "default", "buildkitd-0", "application/merge-patch+json", patch, {
    manager: "scheduler",
    subresource: "status",
  });
}

Deno.test("hold: when the time is up each open call is answered, those to come too, and then the client leaves", async () => {
  const { clock, program } = await timesOut();
  await using _ = program;
  using client = await opened(program, ...call(1), ...call(3), resetStream(3), ...call(5));
  await clock.advance(READY_WAIT_MS - 1);
  assert.equal(program.metrics.value("sessions_held"), 1);
  await clock.advance(1);
  const message =
    "buildkitd did not become ready in 5m0s: pod buildkitd-0 is Running: container main runs but is not ready";
  const status = DEADLINE_EXCEEDED;
  assert.deepEqual(errorOf(await client.next()), { stream: 1, status, message });
  assert.deepEqual(
    errorOf(await client.next()),
    { stream: 5, status, message },
    "a call that was given up gets none",
  );
  assert.equal(program.metrics.value("sessions_held"), 0, "it does not count any more");
  assert.equal(program.metrics.value("hold_bytes"), 0, "nothing is kept any more");
  await client.send(ping(4), ...call(7));
  assert.deepEqual(await client.next(), ping(4, ACK));
  assert.deepEqual(errorOf(await client.next()), { stream: 7, status, message });
  assert.equal(program.log.of("session_ended").length, 0, "the connection stays for the client to leave");
  await client.send(GOODBYE);
  await client.end();
  await client.closed();
  const { outcome, reason } = await program.logged("session_ended");
  assert.deepEqual([outcome, reason], ["timed_out", message]);
  assert.equal(program.log.of("session_ended")[0]!.level, "warn");
});

Deno.test("hold: a client that was refused and stays is closed after 5 s, not before", async () => {
  const { clock, program } = await timesOut();
  await using _ = program;
  using client = await opened(program, ...call(1));
  await clock.advance(READY_WAIT_MS);
  errorOf(await client.next());
  await clock.advance(4_999);
  await client.send(...call(3));
  assert.equal(errorOf(await client.next()).stream, 3);
  await clock.advance(1);
  await client.closed();
  assert.equal((await program.logged("session_ended"))["outcome"], "timed_out");
});

Deno.test("hold: a client that speaks only after the time is up is told as well", async () => {
  const { clock, program } = await timesOut();
  await using _ = program;
  using client = await Http2Client.connect(program.address);
  await clock.advance(SILENT_MS);
  await program.held(1);
  await clock.advance(READY_WAIT_MS);
  await program.held(0);
  await client.send(OPENING, SETTINGS_ACK, ...call(1));
  assert.equal((await client.next())?.type, FRAME.settings);
  assert.equal(errorOf(await client.next()).status, DEADLINE_EXCEEDED);
});

Deno.test("hold: the client receives the pod's explanation unchanged", async () => {
  const { clock, program } = await timesOut(PENDING);
  await using _ = program;
  using client = await opened(program, ...call(1));
  const message = "0/3 nodes are available: 100 % of „gpu“ is taken\n(retry)";
  await unschedulable(program, message);
  await clock.advance(READY_WAIT_MS);
  assert.equal(
    errorOf(await client.next()).message,
    `buildkitd did not become ready in 5m0s: pod buildkitd-0 is Pending: Unschedulable: ${message}`,
  );
});

Deno.test("hold: a message of any length fits into one frame", async () => {
  const { clock, program } = await timesOut(PENDING);
  await using _ = program;
  using client = await opened(program, ...call(1));
  await unschedulable(program, "€".repeat(20_000));
  await clock.advance(READY_WAIT_MS);
  assert.match(errorOf(await client.next()).message, /^buildkitd did not .*Unschedulable: €+$/);
});

Deno.test("hold: a client beyond --max-held is refused at once, on each of its calls", async () => {
  await using program = await startProgram({ cluster: NOT_READY, settings: { maxHeld: "2" } });
  await program.settled();
  using _first = await opened(program, ...call(1));
  using _second = await opened(program, ...call(1));
  using client = await Http2Client.connect(program.address);
  await client.send(OPENING, SETTINGS_ACK, ...call(1));
  assert.equal((await client.next())?.type, FRAME.settings);
  const message = "The limit of 2 waiting sessions is reached (--max-held)";
  assert.deepEqual(errorOf(await client.next()), { stream: 1, status: RESOURCE_EXHAUSTED, message });
  await client.send(...call(3));
  assert.deepEqual(errorOf(await client.next()), { stream: 3, status: RESOURCE_EXHAUSTED, message });
  client.close();
  await program.until(
    "its end",
    () => program.metrics.value("sessions_ended_total", { outcome: "limited" }) === 1,
  );
  await program.held(2);
});

Deno.test("hold: a connection beyond --max-connections is refused at once, on each of its calls", async () => {
  await using program = await startProgram({ cluster: { replicas: 1 }, settings: { maxConnections: "1" } });
  await program.settled();
  using first = await program.connect();
  assert.equal(await first.echo("first"), "first");
  using client = await Http2Client.connect(program.address);
  await client.send(OPENING, SETTINGS_ACK, ...call(1));
  assert.equal((await client.next())?.type, FRAME.settings);
  const message = "The limit of 1 connections is reached (--max-connections)";
  assert.deepEqual(errorOf(await client.next()), { stream: 1, status: RESOURCE_EXHAUSTED, message });
  await client.send(...call(3));
  assert.deepEqual(errorOf(await client.next()), { stream: 3, status: RESOURCE_EXHAUSTED, message });
  assert.equal(await first.echo("still there"), "still there");
});
