/** Tests of how the list of the count's owners is kept short. @module */
import assert from "node:assert/strict";
import { claimersOf, CountOwners, isSetByProxy, KEPT_OWNERS } from "../../../lib/scaler/count_owners.ts";
import { Placement } from "../../../lib/scaler/placement.ts";
import { ONE_POD } from "../../support/capacity.ts";
import { FakeScale } from "../../support/fake_scale.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const SIGNAL = new AbortController().signal;

function claimed(manager: string) {
  return {
    manager,
    operation: "Apply",
    apiVersion: "apps/v1",
    fieldsType: "FieldsV1",
    fieldsV1: { "f:spec": { "f:replicas": {} } },
    subresource: "scale",
  };
}

const name = (index: number) => `buildkitd-autoscaler-abc-${index}`;

/** A count that so many claims have been made of. */
async function setUp(claims: number, { leads = true, busy = false } = {}) {
  const clock = new VirtualClock();
  const scale = new FakeScale(1);
  const log = recordingLog();
  const placement = new Placement(clock, ONE_POD, "pod");
  const state = { leads, busy };
  let onPeers = () => {};
  const owners = new CountOwners({
    clock,
    random: () => 0.5,
    log,
    scale,
    placement,
    peers: {
      get leads() {
        return state.leads;
      },
      subscribe: (listener) => void (onPeers = listener),
    },
    scaler: state,
  });
  // The watch comes after the reply.
  const watch = { works: true };
  scale.onChange = (count) =>
    void Promise.resolve().then(() => {
      if (!watch.works) return;
      owners.see(count.version, [...scale.owners].map(claimed));
      placement.see(count, "watch");
    });
  for (let index = 1; index <= claims; index++) {
    await scale.apply({ replicas: 1, version: String(scale.version) }, name(index), SIGNAL);
  }
  await clock.advance(0);
  scale.requests.length = 0;
  const controller = new AbortController();
  const running = owners.run(controller.signal).catch(() => {});
  const stop = async () => {
    controller.abort(new Error("over"));
    await clock.advance(0);
    await running;
    assert.equal(clock.pending, 0, "no timer is left");
  };
  return { clock, scale, log, placement, owners, state, watch, changed: () => onPeers(), stop };
}

Deno.test("CountOwners has the surplus give up its share, and the count stays", async () => {
  const { clock, scale, stop } = await setUp(KEPT_OWNERS + 3);
  await clock.advance(199);
  assert.equal(scale.owners.size, KEPT_OWNERS + 2, "it is never urgent: one at a time, with a pause");
  await clock.advance(1);
  assert.equal(scale.owners.size, KEPT_OWNERS + 1);
  await clock.advance(10_000);
  assert.equal(scale.owners.size, KEPT_OWNERS);
  assert.ok(scale.owners.has(name(KEPT_OWNERS + 3)));
  assert.equal(scale.replicas, 1);
  assert.deepEqual(
    scale.requests,
    [1, 2, 3].flatMap((index) => [`ask to give up ${name(index)}`, `give up ${name(index)}`]),
  );
  await stop();
});

Deno.test("CountOwners asks nothing while there are few", async () => {
  const { clock, scale, stop } = await setUp(KEPT_OWNERS);
  await clock.advance(10_000);
  assert.deepEqual(scale.requests, []);
  await stop();
});

for (const state of [{ leads: false }, { busy: true }]) {
  Deno.test(`CountOwners waits while ${state.leads === false ? "another leads" : "the count is to be written"}`, async () => {
    const { clock, scale, state: now, changed, stop } = await setUp(KEPT_OWNERS + 1, state);
    await clock.advance(10_000);
    assert.deepEqual(scale.requests, []);
    Object.assign(now, { leads: true, busy: false });
    // Who leads is told; that the count is written is not.
    if (state.leads === false) changed();
    await clock.advance(1_000);
    assert.equal(scale.owners.size, KEPT_OWNERS);
    await stop();
  });
}

Deno.test("CountOwners does nothing on a version of which it has not seen the owners", async () => {
  const { clock, scale, placement, watch, stop } = await setUp(KEPT_OWNERS + 1, { busy: true });
  watch.works = false;
  scale.set(1);
  placement.see({ replicas: 1, version: String(scale.version) });
  await clock.advance(10_000);
  assert.deepEqual(scale.requests, []);
  await stop();
});

Deno.test("CountOwners gives nothing up that would change the count, whatever the list said", async () => {
  const { clock, scale, log, state, changed, stop } = await setUp(KEPT_OWNERS + 1, { busy: true });
  // An API server that counts otherwise.
  scale.owners.clear();
  scale.owners.add(name(1));
  state.busy = false;
  changed();
  await clock.advance(60_000);
  assert.equal(scale.replicas, 1);
  assert.equal(scale.requests.some((request) => request.startsWith("give up")), false);
  assert.ok(log.of("field_manager_removal_failed").length > 0);
  await stop();
});

Deno.test("CountOwners backs off where a share stays although the API server took the request", async () => {
  const { clock, scale, log, state, changed, stop } = await setUp(KEPT_OWNERS + 1, { busy: true });
  scale.giveUp = (count, manager) => {
    scale.requests.push(`give up ${manager}`);
    return Promise.resolve(count);
  };
  state.busy = false;
  changed();
  await clock.advance(60_000);
  assert.ok(scale.requests.length < 40, `found ${scale.requests.length} requests in a minute`);
  assert.ok(log.of("field_manager_removal_failed").length > 0);
  await stop();
});

Deno.test("CountOwners tries again after a conflict and after an unknown outcome", async () => {
  const { clock, scale, stop } = await setUp(KEPT_OWNERS + 2);
  scale.fates("unanswered", "lost");
  await clock.advance(60_000);
  assert.equal(scale.owners.size, KEPT_OWNERS);
  assert.equal(scale.replicas, 1);
  await stop();
});

Deno.test("claimersOf() knows claims from what others wrote", () => {
  const other = { ...claimed(name(1)), fieldsV1: { "f:metadata": {} } };
  assert.deepEqual(
    claimersOf([
      claimed(name(1)),
      claimed("helm"),
      { ...claimed(name(2)), operation: "Update" },
      { ...claimed(name(3)), subresource: "" },
      other,
      claimed("buildkitd-autoscaler"),
      claimed(name(4)),
    ]),
    [name(1), name(4)],
  );
  assert.deepEqual(claimersOf(undefined), []);
});

Deno.test("isSetByProxy() is true while proxies alone own the count", () => {
  const by = (...managers: string[]) => isSetByProxy(managers.map(claimed));
  assert.equal(by(name(1), name(2)), true);
  assert.equal(by("buildkitd-autoscaler"), true, "the field manager of updates");
  assert.equal(by("helm"), false);
  assert.equal(by(name(1), "helm"), false);
  assert.equal(by("buildkitd-autoscaler", "buildkitd"), false);
  assert.equal(by(), false, "at 0 the count has no owner");
  assert.equal(isSetByProxy(undefined), false);
  const { manager: _, ...nameless } = claimed("");
  assert.equal(isSetByProxy([nameless]), false);
  const elsewhere = { ...claimed("helm"), fieldsV1: { "f:spec": { "f:template": {} } } };
  assert.equal(isSetByProxy([claimed(name(1)), elsewhere]), true, "who owns other fields does not count");
});
