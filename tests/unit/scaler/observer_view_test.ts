/** Tests of what the observer concludes from single states of the StatefulSet and of the EndpointSlices. @module */
import assert from "node:assert/strict";
import type { EventCode } from "../../../lib/base/events.ts";
import { noMetrics } from "../../../lib/base/metrics.ts";
import type { EndpointSlice } from "../../../lib/kube/types.ts";
import { watchSlices } from "../../../lib/scaler/observer.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { Collection, scriptedHttp } from "../../support/scripted_api.ts";
import { arrive } from "../../support/seating.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";
import { setUp, slice, statefulSet } from "./observer_world.ts";

const SIGNAL = new AbortController().signal;

const MISSING_IN_POD = 'StatefulSet "b" not found in namespace "n" (--sts-name, --sts-namespace)';
const MISSING = `${MISSING_IN_POD}; "kubectl get statefulsets --all-namespaces" shows where there is one`;
const UNLISTED =
  'No EndpointSlice of a Service "b-headless" in namespace "n" (--headless-service-name), so no pod will be found';
const UNKNOWN = "the first list and watch have not been answered yet";

/** How long the EndpointSlices of a new Service may take. */
const SLICES_MS = 5_000;

Deno.test("Observer asks only for its own StatefulSet, and for the EndpointSlices of its Service", async () => {
  const { statefulsets, endpointslices, start, stop } = setUp();
  await start();
  assert.equal(statefulsets.queries[0], "fieldSelector=metadata.name=b");
  assert.match(statefulsets.queries[1]!, /fieldSelector=metadata\.name=b&/);
  assert.equal(endpointslices.queries[0], "labelSelector=kubernetes.io/service-name=b-headless");
  await stop();
});

Deno.test("Observer.fault says why there is no view, until the StatefulSet and the pods are seen and watched", async () => {
  const { clock, observer, statefulsets, endpointslices, start, stop } = setUp();
  let synced = false;
  void observer.whenSynced(SIGNAL).then(() => synced = true);
  assert.equal(observer.fault, UNKNOWN);
  statefulsets.items = [statefulSet()];
  statefulsets.watchStatus = 500;
  endpointslices.status = 403;
  await start();
  assert.match(observer.fault ?? "", /watch statefulsets/, "that of the StatefulSet comes first");
  statefulsets.watchStatus = 200;
  await clock.advance(10_000);
  assert.match(observer.fault ?? "", /list endpointslices/);
  assert.equal(synced, false);
  endpointslices.status = 200;
  await clock.advance(10_000);
  assert.equal(observer.fault, undefined);
  assert.equal(synced, true);
  await stop();
});

for (const slow of ["statefulsets", "endpointslices"] as const) {
  Deno.test(`Observer.fault says that there is no view while ${slow} have not been answered`, async () => {
    const world = setUp();
    const { clock, observer, statefulsets, start, stop } = world;
    const { promise, resolve } = Promise.withResolvers<void>();
    statefulsets.items = [statefulSet()];
    world[slow].until = promise;
    await start();
    assert.equal(observer.fault, UNKNOWN);
    resolve();
    await clock.advance(0);
    assert.equal(observer.fault, undefined);
    await stop();
  });
}

Deno.test("Observer.whenSynced() rejects with the signal's reason", async () => {
  const { observer } = setUp();
  const reason = new Error("over");
  const controller = new AbortController();
  const waits = observer.whenSynced(controller.signal);
  controller.abort(reason);
  await assert.rejects(waits, reason);
});

Deno.test("Observer is not synced before the StatefulSet exists, and says what is missing while it does not", async () => {
  const { clock, log, observer, statefulsets, endpointslices, start, stop } = setUp();
  let synced = false;
  void observer.whenSynced(SIGNAL).then(() => synced = true);
  endpointslices.items = [slice("s")];
  await start();
  assert.equal(observer.fault, MISSING);
  assert.equal(synced, false);
  statefulsets.send("ADDED", statefulSet());
  await clock.advance(0);
  assert.equal(observer.fault, undefined);
  assert.equal(synced, true);
  statefulsets.send("DELETED", statefulSet({ version: 11 }));
  await clock.advance(0);
  assert.equal(observer.fault, MISSING);
  assert.equal(log.of("statefulset_not_found").length, 2);
  await stop();
});

Deno.test("Observer says where a missing StatefulSet may have been looked for in vain", async () => {
  const { observer, start, stop } = setUp({ namespace: "home", source: "service account" });
  await start();
  assert.equal(observer.fault, `${MISSING_IN_POD}; the namespace of the service account is "home"`);
  await stop();
});

Deno.test("Observer takes no note of a StatefulSet without a version", async () => {
  const { clock, observer, owners, statefulsets, start, stop } = setUp();
  await start();
  const { resourceVersion: _, ...metadata } = statefulSet().metadata!;
  statefulsets.send("ADDED", { ...statefulSet(), metadata });
  await clock.advance(0);
  assert.deepEqual(owners, []);
  assert.equal(observer.fault, MISSING);
  await stop();
});

Deno.test("Observer.nextUid() tells of each StatefulSet that takes the place of another", async () => {
  const { clock, observer, statefulsets, start, stop, change } = setUp();
  const { signal } = new AbortController();
  const uids: string[] = [];
  void observer.nextUid(undefined, signal).then((uid) => uids.push(uid));
  await start();
  assert.equal(uids.length, 0);
  statefulsets.send("ADDED", statefulSet());
  await clock.advance(0);
  assert.deepEqual(uids, ["uid-1"]);
  await observer.nextUid(undefined, signal).then((uid) => assert.equal(uid, "uid-1"));
  void observer.nextUid("uid-1", signal).then((uid) => uids.push(uid));
  await change({ version: 11 });
  assert.deepEqual(uids, ["uid-1"]);
  await change({ version: 12, uid: "uid-2" });
  assert.deepEqual(uids, ["uid-1", "uid-2"]);
  await stop();
});

Deno.test("Observer hands on each version with its owners and its count, which is 1 where none is set", async () => {
  const { owners, placement, statefulsets, start, stop, change } = setUp();
  statefulsets.items = [statefulSet({ replicas: undefined, managers: ["helm"] })];
  await start();
  assert.deepEqual(placement.agreement.seen, { version: "10", replicas: 1 });
  await change({ version: 11, replicas: 0 });
  assert.deepEqual(placement.agreement.seen, { version: "11", replicas: 0 });
  assert.deepEqual(owners, [["10", ["helm"]], ["11", []]]);
  await stop();
});

const PROXY = "buildkitd-autoscaler-abc-1";
const SOMEBODY = "replicas_changed_externally";
const OTHER_PROXY = "replicas_changed_by_proxy";

interface Written {
  readonly from: number;
  readonly to: number;
  readonly managers?: readonly string[];
  /** A promise of this proxy. */
  readonly below?: number;
  /** A write of this proxy that is under way. */
  readonly writing?: number;
}

const WRITTEN: readonly (readonly [what: string, Written, code: EventCode | undefined])[] = [
  ["raised by hand", { from: 0, to: 1, managers: ["kubectl"] }, SOMEBODY],
  ["raised by a proxy and by hand", { from: 0, to: 1, managers: [PROXY, "kubectl"] }, SOMEBODY],
  ["raised by nobody that is known", { from: 0, to: 1 }, SOMEBODY],
  ["raised by another proxy", { from: 0, to: 1, managers: [PROXY] }, OTHER_PROXY],
  ["raised by two proxies", { from: 0, to: 1, managers: ["buildkitd-autoscaler", PROXY] }, OTHER_PROXY],
  ["raised by a write of its own", { from: 0, to: 1, managers: [PROXY], writing: 1 }, undefined],
  ["lowered by hand", { from: 2, to: 0 }, SOMEBODY],
  ["lowered by hand, beside a promise", { from: 2, to: 1, below: 0 }, SOMEBODY],
  ["lowered by another proxy, as promised", { from: 2, to: 0, below: 0 }, OTHER_PROXY],
  ["left as it is", { from: 1, to: 1, managers: ["kubectl"] }, undefined],
];

for (const [what, { from, to, managers, below, writing }, code] of WRITTEN) {
  Deno.test(`Observer, the count is ${what}: it logs ${code ?? "nothing"}`, async () => {
    const { log, metrics, placement, writing: underWay, statefulsets, start, stop, change } = setUp();
    statefulsets.items = [statefulSet({ replicas: from })];
    await start();
    if (below !== undefined) assert.ok(placement.promise({ below, version: "10" }));
    if (writing !== undefined) underWay.add(writing);
    await change({ version: 11, replicas: to, ...(managers === undefined ? {} : { managers }) });
    const logged = ([SOMEBODY, OTHER_PROXY] as const).flatMap((each) => log.of(each));
    const level = code === SOMEBODY ? "info" : "debug";
    assert.deepEqual(logged, code === undefined ? [] : [{ code, level, fields: { from, to } }]);
    assert.equal(metrics.value("replicas_changed_externally_total"), code === SOMEBODY ? 1 : 0);
    assert.equal(placement.changes.raised?.to, code === SOMEBODY && to > from ? to : undefined);
    await stop();
  });
}

Deno.test("Observer does not log a late event of a count that it has seen", async () => {
  const { log, placement, statefulsets, start, stop, change } = setUp();
  statefulsets.items = [statefulSet({ replicas: 0 })];
  await start();
  placement.see({ version: "12", replicas: 0 });
  await change({ version: 11, replicas: 1 });
  assert.deepEqual(placement.agreement.seen, { version: "12", replicas: 0 });
  assert.deepEqual(log.of(SOMEBODY), []);
  await stop();
});

Deno.test("Observer shows pods once the StatefulSet is known, and each change of them", async () => {
  const { clock, observer, statefulsets, endpointslices, start, stop, change, slices, pods } = setUp();
  endpointslices.items = [slice("s1", 5), slice("s2", 6)];
  assert.equal(observer.podName(0), "b-0", "as far as nothing else is known");
  await start();
  assert.deepEqual(pods(), []);
  statefulsets.send("ADDED", statefulSet({ start: 5 }));
  await clock.advance(0);
  assert.deepEqual(pods(), ["b-5", "b-6"]);
  await slices("MODIFIED", slice("s2", 7));
  assert.deepEqual(pods(), ["b-5", "b-7"]);
  await slices("DELETED", slice("s2", 7));
  assert.deepEqual(pods(), ["b-5"]);
  await slices("ADDED", slice("s3", 6));
  assert.deepEqual(pods(), ["b-5", "b-6"]);
  await change({ version: 11, start: 6 });
  assert.deepEqual(pods(), ["b-6"], "ordinals are counted from another start");
  await stop();
});

Deno.test("Observer shows the pods that were listed before the StatefulSet as soon as that is known", async () => {
  const { clock, statefulsets, endpointslices, start, stop, pods } = setUp();
  endpointslices.items = [slice("s1", 0)];
  await start();
  assert.deepEqual(pods(), []);
  statefulsets.send("ADDED", statefulSet());
  await clock.advance(0);
  assert.deepEqual(pods(), ["b-0"]);
  await stop();
});

Deno.test("Observer, when the resourceVersions regress, has both collections listed anew, and forgets pods that are not there", async () => {
  const { regress, statefulsets, endpointslices, start, stop, pods } = setUp();
  statefulsets.items = [statefulSet()];
  endpointslices.items = [slice("s1", 0)];
  await start();
  assert.deepEqual(pods(), ["b-0"]);
  endpointslices.items = [slice("s2", 1)];
  await regress();
  assert.deepEqual([statefulsets.lists, endpointslices.lists], [2, 2]);
  assert.deepEqual(pods(), ["b-1"]);
  await stop();
});

Deno.test("Observer is quick to doubt silent watches while somebody waits", async () => {
  const { clock, placement, statefulsets, endpointslices, start, stop } = setUp();
  statefulsets.items = [statefulSet()];
  endpointslices.items = [slice("s1")];
  await start();
  await clock.advance(20_000);
  assert.deepEqual([statefulsets.watches, endpointslices.watches], [1, 1]);
  assert.equal(arrive(placement, 1), undefined);
  await clock.advance(0);
  assert.deepEqual([statefulsets.watches, endpointslices.watches], [2, 2]);
  placement.end(1);
  await clock.advance(20_000);
  assert.deepEqual([statefulsets.watches, endpointslices.watches], [2, 2]);
  await stop();
});

for (
  const [serviceName, hint] of [
    ["b-headless", ""],
    ["", ""],
    ["other", '; the Service of the StatefulSet "b" is "other"'],
  ] as const
) {
  Deno.test(`Observer says that the Service "b-headless" is missing, of the StatefulSet's "${serviceName}"`, async () => {
    const { clock, observer, log, statefulsets, start, stop, slices } = setUp();
    statefulsets.items = [statefulSet({ serviceName })];
    await start();
    await clock.advance(SLICES_MS - 1);
    assert.equal(observer.unlisted, undefined);
    await clock.advance(1);
    assert.equal(observer.unlisted, `${UNLISTED}${hint}`);
    assert.equal(observer.fault, undefined);
    await slices("ADDED", slice("s1"));
    assert.equal(observer.unlisted, undefined);
    assert.equal(log.of("endpointslice_not_found_recovered").length, 1);
    await slices("DELETED", slice("s1"));
    await clock.advance(SLICES_MS);
    assert.equal(observer.unlisted, `${UNLISTED}${hint}`);
    await stop();
  });
}

Deno.test("Observer does not doubt a Service whose EndpointSlice comes soon, nor one before the StatefulSet is there", async () => {
  const { clock, observer, statefulsets, start, stop, slices } = setUp();
  await start();
  await clock.advance(2 * SLICES_MS);
  assert.equal(observer.unlisted, undefined, "the StatefulSet is not there yet");
  statefulsets.send("ADDED", statefulSet());
  await clock.advance(SLICES_MS - 1);
  await slices("ADDED", slice("s1"));
  await clock.advance(2 * SLICES_MS);
  assert.equal(observer.unlisted, undefined);
  await slices("DELETED", slice("s1"));
  await clock.advance(SLICES_MS - 1);
  assert.equal(observer.unlisted, undefined, "the time begins anew");
  await stop();
});

Deno.test("Observer doubts the Service five seconds after the StatefulSet has come", async () => {
  const { clock, observer, statefulsets, start, stop } = setUp();
  await start();
  statefulsets.send("ADDED", statefulSet());
  await clock.advance(SLICES_MS - 1);
  assert.equal(observer.unlisted, undefined);
  await clock.advance(1);
  assert.equal(observer.unlisted, UNLISTED);
  await stop();
});

Deno.test("Observer does not doubt the Service while the EndpointSlices cannot be read", async () => {
  const { clock, observer, statefulsets, endpointslices, start, stop } = setUp();
  statefulsets.items = [statefulSet()];
  endpointslices.status = 403;
  await start();
  await clock.advance(10 * SLICES_MS);
  assert.equal(observer.unlisted, undefined);
  await stop();
});

Deno.test("Observer.whenListed() resolves once there has been an EndpointSlice, or rejects with the signal's reason", async () => {
  const { clock, observer, statefulsets, start, stop, slices } = setUp();
  const controller = new AbortController();
  const reason = new Error("over");
  let listed = false;
  void observer.whenListed(SIGNAL).then(() => listed = true);
  const given = observer.whenListed(controller.signal);
  statefulsets.items = [statefulSet()];
  await start();
  await clock.advance(2 * SLICES_MS);
  assert.equal(listed, false);
  controller.abort(reason);
  await assert.rejects(given, reason);
  await slices("ADDED", slice("s1"));
  assert.equal(listed, true);
  await stop();
});

for (
  const [ports, says] of [
    [[[8372]], undefined],
    [[[9000, 8372]], undefined],
    [[[9000], [8372]], undefined],
    [[undefined, []], undefined],
    [[[9000], undefined], "port 9000, not"],
    [[[9000], [9001]], "ports 9000, 9001, not"],
  ] as const
) {
  Deno.test(`Observer.portDoubt of containers with the ports ${Deno.inspect(ports)}`, async () => {
    const { observer, log, statefulsets, start, stop, change } = setUp();
    statefulsets.items = [statefulSet({ ports })];
    await start();
    const doubt = says && `The containers of StatefulSet "b" declare the ${says} 8372 (--target-port)`;
    assert.equal(observer.portDoubt, doubt);
    assert.equal(log.of("target_port_undeclared").length, says === undefined ? 0 : 1);
    await change({ version: 11, ports: [[8372]] });
    assert.equal(observer.portDoubt, undefined);
    await stop();
  });
}

Deno.test("Observer.uid is that of the StatefulSet while it is there, and each change is told once", async () => {
  const { clock, observer, statefulsets, start, stop, change } = setUp();
  const uids: (string | undefined)[] = [];
  observer.onPresence(() => uids.push(observer.uid));
  await start();
  assert.equal(observer.uid, undefined);
  await change({ version: 10 });
  await change({ version: 11 });
  statefulsets.send("DELETED", statefulSet({ version: 12 }));
  await clock.advance(0);
  await change({ version: 13, uid: "uid-2" });
  await change({ version: 14, uid: "uid-3" });
  assert.deepEqual(uids, [undefined, "uid-1", undefined, "uid-2", "uid-3"], "first it was not found");
  await stop();
});

Deno.test("Observer tells when the right to see the StatefulSet is lost and when it has come back, each once", async () => {
  const { clock, observer, statefulsets, start, stop } = setUp();
  statefulsets.items = [statefulSet()];
  const told: boolean[] = [];
  observer.onPresence(() => told.push(observer.isForbidden));
  statefulsets.status = 403;
  await start();
  await clock.advance(60_000);
  assert.deepEqual(told, [true]);
  assert.equal(observer.isMissing, false, "nobody knows");
  statefulsets.status = 200;
  statefulsets.watchStatus = 403;
  await clock.advance(60_000);
  assert.deepEqual(told, [true, true], "the StatefulSet is found, and may not be watched");
  statefulsets.watchStatus = 200;
  await clock.advance(60_000);
  assert.deepEqual(told, [true, true, false]);
  await stop();
});

Deno.test("watchSlices() gives the observer of each Service its own, and asks for one Service as it always did", async () => {
  for (const services of [["b-headless"], ["a-headless", "b-headless"]]) {
    const clock = new VirtualClock();
    const endpointslices = new Collection<EndpointSlice>();
    const ports = {
      client: testClient(scriptedHttp({ endpointslices }), { clock, log: recordingLog() }),
      clock,
      random: () => 0.5,
      log: recordingLog(),
      metrics: noMetrics,
    };
    const labelled = (name: string, service: string) => {
      return { ...slice(name), metadata: { name, labels: { "kubernetes.io/service-name": service } } };
    };
    endpointslices.items = services.map((service) => labelled(`of-${service}`, service));
    const watch = watchSlices("n", services, ports);
    const seen: unknown[] = [];
    watch.subscribe("b-headless", (change) => {
      seen.push(...change.type === "list" ? change.items.map(({ metadata }) => metadata?.name) : []);
    });
    const controller = new AbortController();
    const running = watch.run(controller.signal).catch(() => {});
    await clock.advance(0);
    assert.deepEqual(seen, ["of-b-headless"]);
    const wanted = services.length === 1 ? "=b-headless" : " in (a-headless,b-headless)";
    const query = `labelSelector=kubernetes.io/service-name${wanted}`;
    assert.equal(endpointslices.queries[0]!.replaceAll("+", " "), query);
    controller.abort(new Error("over"));
    await running;
  }
});
