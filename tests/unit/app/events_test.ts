/**
 * Tests of the Events of the whole program: which story they tell, and that nothing else ever waits for them.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { EventCode } from "../../../lib/base/events.ts";
import { EVENTS, type KubeObject } from "../../../lib/miniature/objects.ts";
import type { RequestInfo } from "../../../lib/miniature/request_info.ts";
import { VirtualProgram } from "../../support/virtual_program.ts";

const isEvent = ({ resource }: RequestInfo) => resource === EVENTS;

/** The Events as they are kept, in the order of their creation. */
function eventsOf({ cluster }: VirtualProgram): readonly KubeObject[] {
  return cluster.api.registry.store.list(EVENTS, cluster.namespace)
    .sort((a, b) => `${a["eventTime"]}`.localeCompare(`${b["eventTime"]}`));
}

/** Type, reason and note of each, with its count if there are several. */
function story(program: VirtualProgram): readonly string[] {
  return eventsOf(program).map(({ type, reason, note, series }) => {
    const { count } = (series ?? { count: 1 }) as { count: number };
    return `${type} ${reason}: ${note}${count > 1 ? ` (x${count})` : ""}`;
  });
}

Deno.test("Events tell of a cold start and of the scale-down after it, about the StatefulSet", async () => {
  await using program = new VirtualProgram({
    settings: { idleTimeoutMs: "1m" },
    cluster: { startMs: () => 12_000 },
  });
  await program.start();
  const client = await program.connect();
  await program.pass(20_000);
  client.close();
  await program.pass(70_000);
  assert.deepEqual(story(program), [
    "Normal ScaledUp: Scaled from 0 to 1: 1 held session",
    "Normal ColdStartEnded: A pod was ready 12s after a client had called for it",
    "Normal ScaledDown: Scaled from 1 to 0: nothing has been in use for 1m0s",
  ]);
  const [event] = eventsOf(program);
  const { uid } = program.cluster.set("buildkitd").object!.metadata;
  assert.deepEqual(event?.["regarding"], {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    namespace: "default",
    name: "buildkitd",
    uid,
  });
  assert.equal(event?.["reportingController"], "buildkitd-autoscaler");
  assert.match(`${event?.["reportingInstance"]}`, /^buildkitd-autoscaler-\w{12}$/);
  assert.equal(event?.["action"], "Scale");
});

Deno.test("Events that repeat within minutes are one with a count", async () => {
  await using program = new VirtualProgram({ settings: { idleTimeoutMs: "1m" } });
  await program.start();
  for (let i = 0; i < 3; i++) {
    const client = await program.connect();
    await program.pass(1_000);
    client.close();
    await program.pass(70_000);
  }
  assert.deepEqual(story(program), [
    "Normal ScaledUp: Scaled from 0 to 1: 1 held session (x3)",
    "Normal ColdStartEnded: A pod was ready 1s after a client had called for it (x3)",
    "Normal ScaledDown: Scaled from 1 to 0: nothing has been in use for 1m0s (x3)",
  ]);
});

Deno.test("Events tell why a cold start is slow, that it is stuck, who gave up, and that it has recovered", async () => {
  await using program = new VirtualProgram();
  const message = "0/3 nodes are available";
  const go = program.cluster.kubelet.keepPending("buildkitd", { kind: "unschedulable", message });
  await program.start();
  await program.call();
  await program.pass(29_000);
  assert.equal(story(program).length, 1);
  await program.pass(2_000);
  assert.deepEqual(story(program).slice(1), [
    `Warning ColdStartSlow: pod buildkitd-0 is Pending: Unschedulable: ${message} (a client waits for it)`,
  ]);
  await program.pass(120_000);
  assert.deepEqual(story(program).slice(2), [
    `Warning BuilderStuck: Stuck: pod buildkitd-0 is Pending: Unschedulable: ${message} (a client waits for it)`,
  ]);
  await program.pass(160_000);
  await program.call();
  go();
  await program.pass(5_000);
  assert.deepEqual(story(program).slice(3), [
    `Warning ClientTimedOut: buildkitd did not become ready in 5m0s: pod buildkitd-0 is Pending: Unschedulable: ${message}`,
    "Normal BuilderRecovered: No pod is awaited for long any more",
  ]);
});

Deno.test("Events tell nothing false of a builder that was stuck and starts well", async () => {
  await using program = new VirtualProgram({ settings: { idleTimeoutMs: "1m" } });
  const go = program.cluster.kubelet.keepPending("buildkitd", { kind: "unschedulable", message: "no node" });
  await program.start();
  await program.call();
  // The client gives up, and the builder sleeps.
  await program.pass(400_000);
  assert.equal(program.cluster.set("buildkitd").replicas, 0);
  const before = story(program);
  assert.ok(before.some((text) => text.startsWith("Warning BuilderStuck")));
  go();
  await program.call();
  await program.pass(20_000);
  const after = story(program).slice(before.length).map((text) => text.split(":")[0]);
  assert.deepEqual(after, ["Normal ScaledUp", "Normal ColdStartEnded", "Normal BuilderRecovered"]);
});

Deno.test("Events tell of another writer: a count under running sessions, and a surplus that comes back", async () => {
  await using program = new VirtualProgram({ settings: { idleTimeoutMs: "1m", maxReplicas: "3" } });
  await program.start();
  const set = program.cluster.set("buildkitd");
  const client = await program.connect();
  await program.pass(1_000);
  set.scale(0);
  await program.pass(5_000);
  assert.ok(
    story(program).includes(
      "Warning ReplicasLowered: Another client changed the replicas from 1 to 0, though this proxy needs 1",
    ),
    story(program).join("\n"),
  );
  client.close();
  for (let i = 0; i < 2; i++) {
    set.scale(3);
    await program.pass(90_000);
  }
  assert.ok(
    story(program).some((each) => each.startsWith("Warning ReplicasContested: ")),
    story(program).join("\n"),
  );
});

Deno.test("Events of a missing right to scale name the rule, also if the StatefulSet is not seen yet", async () => {
  await using program = new VirtualProgram();
  program.cluster.api.access.deny(({ subresource, verb }) => subresource === "scale" && verb !== "get");
  await program.start();
  await program.pass(1_000);
  const [event] = story(program);
  assert.match(
    event!,
    /^Warning RightsNotConfirmed: Cannot patch statefulsets\/scale "buildkitd".*verbs: \["patch"\]/,
  );
});

Deno.test("Without the right to write Events, the log says so once; the right is tried again after ten minutes", async () => {
  await using program = new VirtualProgram({ settings: { idleTimeoutMs: "1m" } });
  const allow = program.cluster.api.access.deny(isEvent);
  await program.start();
  const told = (code: EventCode) => program.log.of(code).filter(({ level }) => level !== "debug");
  const tries = () =>
    program.cluster.api.requests.filter(({ subject }) => subject === "events.k8s.io/v1/events").length;
  const cycle = async () => {
    const client = await program.connect();
    await program.pass(1_000);
    client.close();
    await program.pass(70_000);
  };
  for (let i = 0; i < 5; i++) await cycle();
  assert.equal(tries(), 1);
  assert.deepEqual(told("event_write_failed").map(({ fields }) => fields.cause), [
    'Cannot write Events in namespace "default": no permission; the missing rule in a Role of that namespace is ' +
    'apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch"] (--events=false writes none)',
  ]);
  await program.pass(600_000);
  await cycle();
  assert.equal(tries(), 2);
  allow();
  await program.pass(600_000);
  await cycle();
  assert.equal(told("event_write_failed").length, 1);
  assert.equal(told("event_write_failed_recovered").length, 1);
  assert.ok(story(program).length > 0);
});

Deno.test("An Event that has expired is created anew, with what its series has counted", async () => {
  await using program = new VirtualProgram({ settings: { idleTimeoutMs: "1m" } });
  await program.start();
  for (let i = 0; i < 2; i++) {
    for (const { metadata: { name } } of eventsOf(program)) {
      program.cluster.api.registry.delete(EVENTS, "default", name, {});
    }
    const client = await program.connect();
    await program.pass(1_000);
    client.close();
    await program.pass(70_000);
  }
  assert.equal(story(program)[0], "Normal ScaledUp: Scaled from 0 to 1: 1 held session (x2)");
});

for (const kind of ["freeze", "reset_peer"] as const) {
  Deno.test(`A server that answers every Event with ${kind} delays no session, no decision and no check`, async () => {
    await using program = new VirtualProgram({ settings: { idleTimeoutMs: "1m" } });
    program.cluster.api.faults.add({ fault: { kind }, matches: isEvent });
    await program.start();
    const client = await program.connect("hello");
    await program.pass(1_000);
    assert.equal(client.text, "hello");
    client.close();
    await program.pass(70_000);
    assert.equal(program.cluster.replicas, 0);
    assert.deepEqual(program.log.of("api_access_failed"), [], "other requests tell that");
    assert.equal((await program.admin("/readyz")).status, 200);
    program.drain.abort(new Error("Asked to stop"));
    await program.pass(2_500);
    assert.deepEqual(program.outcome, {}, "what is left is given up soon");
    assert.deepEqual(eventsOf(program), []);
  });
}

Deno.test("What could not be written in an outage is written after it, with the time at which it occurred", async () => {
  await using program = new VirtualProgram({ settings: { idleTimeoutMs: "1m" } });
  await program.start();
  const lift = program.cluster.api.faults.add({ fault: { kind: "reset_peer" }, matches: isEvent });
  const client = await program.connect();
  await program.pass(1_000);
  const atMs = program.clock.wallMs();
  await program.pass(30_000);
  lift();
  await program.pass(15_000);
  const [event] = eventsOf(program);
  assert.equal(event?.["reason"], "ScaledUp");
  assert.ok(Math.abs(Date.parse(`${event?.["eventTime"]}`) - atMs) <= 1_000);
  client.close();
});

Deno.test("What is left at the end is written before the program ends", async () => {
  await using program = new VirtualProgram();
  await program.start();
  const client = await program.connect();
  client.close();
  await program.stop();
  await program.pass(0);
  assert.ok(program.outcome !== undefined);
  assert.equal(story(program)[0], "Normal ScaledUp: Scaled from 0 to 1: 1 held session");
});

Deno.test("--events=false writes none, and asks for nothing", async () => {
  await using program = new VirtualProgram({ settings: { events: "false" } });
  await program.start();
  await program.connect();
  await program.pass(1_000);
  assert.equal(program.cluster.replicas, 1);
  assert.ok(!program.cluster.api.requests.some(({ subject }) => subject.includes("events")));
});

Deno.test("Events tell of clients that are queued for long, and of the end of the queue", async () => {
  for (const builders of [undefined, ["b1"], ["b1", "b2"]] as const) {
    await using program = new VirtualProgram({ builders, settings: { maxSessionsPerReplica: "1" } });
    await program.start();
    const count = builders?.length ?? 1;
    const first = [];
    for (let i = 0; i < count; i++) first.push(await program.call());
    await program.pass(5_000);
    const second = await program.call();
    await program.pass(59_000);
    const ofQueue = () => story(program).filter((each) => each.includes("ueue"));
    assert.deepEqual(ofQueue(), []);
    await program.pass(2_000);
    const queued = "Warning ClientsQueued: A client has been queued for 1m0s (--max-sessions-per-replica)";
    assert.deepEqual(ofQueue(), [queued]);
    first[0]!.close();
    await program.pass(5_000);
    assert.deepEqual(ofQueue(), [queued, "Normal QueueCleared: No client has been queued for long any more"]);
    second.close();
  }
});

Deno.test("Of several builders, each Event is about the one that it names", async () => {
  await using program = new VirtualProgram({ builders: ["b1", "b2"] });
  program.cluster.kubelet.keepPending("b1", {
    kind: "waiting",
    reason: "ImagePullBackOff",
    message: "no image",
  });
  await program.start();
  await program.call();
  await program.pass(20_000);
  const about = eventsOf(program).map(({ regarding, reason }) =>
    `${(regarding as { name: string }).name} ${reason}`
  );
  assert.deepEqual(about, ["b1 ScaledUp", "b2 ScaledUp", "b2 ColdStartEnded", "b1 BuilderStuck"]);
});

Deno.test("What all proxies see, one of them tells: the one whose clients wait, or the leader", async () => {
  for (const clientsAt of ["leader", "other", "nobody"] as const) {
    await using program = new VirtualProgram();
    program.cluster.kubelet.keepPending("buildkitd", { kind: "unschedulable", message: "no node" });
    await program.start();
    await using other = new VirtualProgram({
      beside: program,
      at: { hostname: "127.0.0.1", port: 8373 },
    });
    await other.start();
    await program.pass(10_000);
    if (clientsAt === "leader") await program.call();
    else if (clientsAt === "other") await other.call();
    else program.cluster.set("buildkitd").scale(1);
    await program.pass(200_000);
    const told = story(program).map((each) => each.split(":")[0]);
    const first = clientsAt === "nobody" ? "Normal ReplicasChanged" : "Normal ScaledUp";
    assert.deepEqual(told, [first, "Warning ColdStartSlow", "Warning BuilderStuck"], clientsAt);
  }
});

Deno.test("A builder that is known to be stuck, and sleeps, is told of once", async () => {
  await using program = new VirtualProgram({ builders: ["b1", "b2"], settings: { idleTimeoutMs: "1m" } });
  program.cluster.kubelet.keepPending("b1", { kind: "waiting", reason: "ErrImagePull", message: "no image" });
  await program.start();
  const client = await program.call();
  await program.pass(10_000);
  client.close();
  await program.pass(1_200_000);
  assert.equal(program.log.of("pod_late").filter(({ level }) => level === "warn").length, 1);
  assert.deepEqual(program.log.of("pod_late_recovered").map(({ fields }) => fields.ready), [false]);
  assert.ok(!story(program).some((each) => each.includes("BuilderRecovered")));
});

Deno.test("An Event whose answer was lost is created once, and what occurred meanwhile is counted", async () => {
  await using program = new VirtualProgram({ settings: { idleTimeoutMs: "1m" } });
  await program.start();
  const { faults, requests } = program.cluster.api;
  const lift = faults.add({ fault: { kind: "freeze_answer" }, matches: isEvent });
  for (let i = 0; i < 2; i++) {
    const client = await program.connect();
    await program.pass(100);
    client.close();
    await program.pass(65_000);
    if (i === 0) lift();
  }
  await program.pass(30_000);
  assert.equal(story(program)[0], "Normal ScaledUp: Scaled from 0 to 1: 1 held session (x2)");
  assert.equal(story(program).filter((each) => each.includes("ScaledUp")).length, 1);
  assert.ok(requests.some(({ verb, subject }) => verb === "patch" && subject.endsWith("/events")));
});

Deno.test("An Event that the API server refuses is given up, said once, and delays no other", async () => {
  await using program = new VirtualProgram();
  program.cluster.api.faults.add({ fault: { kind: "status", code: 422 }, matches: isEvent, times: 1 });
  await program.start();
  await program.connect();
  await program.pass(5_000);
  assert.deepEqual(story(program), [
    "Normal ColdStartEnded: A pod was ready 1s after a client had called for it",
  ]);
  assert.match(`${program.log.of("event_write_failed")[0]?.fields.cause}`, /HTTP 422/);
});

Deno.test("What cannot be written for an hour is news no more", async () => {
  await using program = new VirtualProgram();
  const lift = program.cluster.api.faults.add({ fault: { kind: "status", code: 500 }, matches: isEvent });
  await program.start();
  await program.connect();
  await program.pass(3_700_000);
  lift();
  await program.pass(60_000);
  assert.deepEqual(story(program), []);
});
