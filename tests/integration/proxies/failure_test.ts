/**
 * Several whole programs, and a part of one of them fails: who waits there is told, and what runs there is kept.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { MetricName } from "../../../lib/base/metrics.ts";
import { FRAME } from "../../../lib/miniature/stub_http2.ts";
import { within } from "../../support/deadline.ts";
import { call, Http2Client, literalFields, OPENING, SETTINGS_ACK } from "../../support/http2_client.ts";
import type { Program } from "../../support/program.ts";
import { EXPIRY_MS, IDLE_MS, Stage } from "./stage.ts";

/** The next turn of the scaler throws, as a bug would. */
function breakScaler({ metrics }: Program): void {
  const { record } = metrics;
  metrics.record = (name: MetricName, ...rest: never[]) => {
    if (name === "replicas_desired") throw new Error("a bug");
    Reflect.apply(record, metrics, [name, ...rest]);
  };
}

Deno.test("a component fails during a drain: the running session still runs to its end", async () => {
  await using stage = new Stage();
  const sound = await stage.start("a");
  const broken = await stage.start("b");
  await stage.acquainted(sound, broken);
  using running = await broken.connect();
  assert.equal(await running.echo("hello"), "hello");
  broken.drain();
  await broken.logged("shutdown_started");
  breakScaler(broken);
  const ended = assert.rejects(broken.exited, /Task "scaler" failed/);
  // Something for the scaler to look at.
  stage.world.cluster.kubelet.setReady("buildkitd-0", false);
  await broken.logged("component_failed");
  await stage.pass(EXPIRY_MS + IDLE_MS, "a");
  assert.equal(await running.echo("still"), "still");
  assert.equal(stage.records.length, 2);
  assert.equal(stage.world.cluster.replicas, 1);
  running.close();
  await within(ended, "the end of the broken one");
  stage.forget("b");
});

Deno.test("a component fails: held clients get the reason, running sessions end undisturbed, then the program exits", async () => {
  await using stage = new Stage();
  const sound = await stage.start("a");
  await stage.leads(sound);
  const broken = await stage.startOnly("b", { debug: true });
  await broken.settled();
  await stage.acquainted(sound, broken);
  using running = await broken.connect();
  assert.equal(await running.echo("hello"), "hello");
  stage.world.cluster.kubelet.setReady("buildkitd-0", false);
  await broken.until("no ready pod", () => broken.log.of("pod_observed").at(-1)?.fields["ready"] === false);
  using held = await Http2Client.connect(broken.address);
  await held.send(OPENING, SETTINGS_ACK, ...call(1));
  assert.equal((await held.next())?.type, FRAME.settings);
  await broken.held(1);

  breakScaler(broken);
  const ended = assert.rejects(broken.exited, /Task "scaler" failed/);
  const answer = await held.next();
  assert.equal(answer?.type, FRAME.headers);
  const fields = literalFields(answer.payload);
  assert.equal(fields["grpc-status"], "9");
  assert.match(decodeURIComponent(fields["grpc-message"]!), /failed.*start the build again/i);
  assert.match(String((await broken.logged("component_failed"))["cause"]), /a bug/);
  held.close();
  stage.world.cluster.kubelet.setReady("buildkitd-0", true);
  await stage.pass(2 * EXPIRY_MS + 2 * IDLE_MS, "a");
  assert.equal(await running.echo("still"), "still");
  assert.equal(stage.records.length, 2, "the others know of its session");
  assert.equal(stage.world.cluster.replicas, 1);
  running.close();
  await within(ended, "the end of the broken one");
  stage.forget("b");
  assert.equal(stage.records.length, 1);
  await stage.pass(IDLE_MS + 60_000, "a");
  await sound.until("no pod", () => stage.world.cluster.replicas === 0);
  assert.equal(stage.interrupted, false);
});
