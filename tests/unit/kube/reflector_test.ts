/** Tests of list and watch, against the miniature API server on a virtual clock. @module */
import assert from "node:assert/strict";
import type { ApiServer } from "../../../lib/miniature/api_server.ts";
import { LEASES } from "../../../lib/miniature/objects.ts";
import type { VirtualClock } from "../../support/virtual_clock.ts";
import { setUp } from "./reflector_stage.ts";

Deno.test("Reflector lists, then reports each change once", async () => {
  const { clock, reflector, changes, set, stop } = setUp();
  assert.equal(reflector.synced, false);
  await clock.advance(0);
  assert.equal(reflector.synced, true);
  set(0);
  await clock.advance(0);
  set(1);
  await clock.advance(0);
  assert.deepEqual(changes, ["list", "set 0", "set 1"]);
  await stop();
});

Deno.test("Reflector goes on where it was when the server ends the watch", async () => {
  const { clock, changes, set, requests, stop } = setUp();
  await clock.advance(0);
  await clock.advance(60_000);
  set(3);
  await clock.advance(1_000);
  assert.deepEqual(changes, ["list", "set 3"]);
  assert.equal(requests("list"), 1);
  await stop();
});

Deno.test("Reflector lists again when its version has expired", async () => {
  const { clock, api, changes, http, set, requests, stop } = setUp();
  await clock.advance(0);
  http.set("refused");
  await clock.advance(100);
  set(1);
  set(2);
  api.compact();
  http.set("open");
  await clock.advance(20_000);
  assert.deepEqual(changes, ["list", "list 2"]);
  assert.equal(requests("list"), 2);
  await stop();
});

Deno.test("Reflector goes on from the version of a bookmark, although nothing that it watches has changed", async () => {
  const { clock, api, changes, set, versions, requests, stop } = setUp();
  await clock.advance(0);
  set(1);
  await clock.advance(0);
  const lease = {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name: "l", namespace: "n" },
  };
  api.registry.create(LEASES, "n", lease, { manager: "test" });
  const newest = String(api.registry.store.version);
  api.watches.bookmark();
  await clock.advance(2_000); // a watch that ends sooner is a fault
  api.watches.end();
  await clock.advance(0);
  assert.equal(versions.at(-1), newest);
  // What the bookmark covers may be forgotten by the server: nothing has to be listed again.
  api.compact();
  api.watches.end();
  await clock.advance(20_000);
  assert.equal(requests("list"), 1);
  assert.deepEqual(changes, ["list", "set 1"]);
  await stop();
});

Deno.test("Reflector.relist() lists anew at once, whatever it waits for", async () => {
  const { clock, changes, http, set, reflector, requests, stop } = setUp();
  set(1);
  await clock.advance(0);
  reflector.relist();
  await clock.advance(0);
  assert.deepEqual(changes, ["list 1", "list 1"]);
  set(2);
  await clock.advance(0);
  assert.deepEqual(changes, ["list 1", "list 1", "set 2"]);
  http.set("silent");
  await clock.advance(1_000);
  reflector.relist();
  await clock.advance(0);
  http.set("open");
  await clock.advance(0);
  assert.equal(changes.at(-1), "list 2");
  assert.equal(requests("list"), 3);
  await stop();
});

Deno.test("Reflector.relist() lists anew at once in the middle of a back-off, too", async () => {
  const { clock, changes, http, set, reflector, stop } = setUp();
  set(1);
  await clock.advance(0);
  http.set("refused");
  await clock.advance(600_000);
  http.set("open");
  set(2);
  reflector.relist();
  await clock.advance(0);
  assert.equal(changes.at(-1), "list 2");
  await stop();
});

Deno.test("Reflector backs off while the server is away, says so once, and catches up", async () => {
  const { clock, http, log, changes, set, reflector, requests, stop } = setUp();
  await clock.advance(0);
  http.set("refused");
  await clock.advance(600_000);
  assert.ok(reflector.fault !== undefined);
  const causes = log.records.filter(({ level }) => level === "warn").map(({ fields }) => fields["cause"]);
  assert.deepEqual(causes.length, new Set(causes).size, "each cause is said once");
  set(1);
  const before = requests("watch");
  http.set("open");
  await clock.advance(20_000);
  assert.deepEqual(changes, ["list", "set 1"]);
  assert.equal(reflector.fault, undefined);
  assert.ok(requests("watch") - before <= 3, "no burst of requests");
  await stop();
});

Deno.test("Reflector never loops quickly on a server that ends every watch at once", async () => {
  const { clock, api, requests, stop } = setUp();
  await clock.advance(0);
  const cancel = endless(clock, api);
  await clock.advance(60_000);
  cancel();
  assert.ok(requests("watch") < 40, `found ${requests("watch")} watches in a minute`);
  await stop();
});

Deno.test("Reflector gives up a silent watch: soon while somebody waits, else after the server's own limit", async () => {
  for (const [urgent, silentMs] of [[true, 10_000], [false, 75_000]] as const) {
    const { clock, http, reflector, changes, set, resets, stop } = setUp();
    await clock.advance(0);
    reflector.urgent = urgent;
    http.set("silent");
    await clock.advance(1);
    set(1);
    await clock.advance(silentMs - 1_000);
    assert.equal(reflector.fault, undefined);
    assert.equal(resets(), 0);
    await clock.advance(1_000);
    assert.equal(resets(), 1, "a connection that may be dead is not used again");
    await clock.advance(29_000);
    assert.match(reflector.fault ?? "", /no headers of an answer/);
    http.set("open");
    await clock.advance(20_000);
    assert.deepEqual(changes, ["list", "set 1"]);
    await stop();
  }
});

Deno.test("Reflector follows a Retry-After for a few seconds while somebody waits, and longer while nobody does", async () => {
  for (const [urgent, withinMs] of [[true, 5_000], [false, 50_000]] as const) {
    const { clock, api, reflector, changes, set, stop } = setUp();
    await clock.advance(0);
    reflector.urgent = urgent;
    api.faults.add({ fault: { kind: "status", code: 429, retryAfterSeconds: 50 }, times: 1 });
    api.watches.end();
    // One that ends at once is begun again after a pause.
    await clock.advance(1_000);
    set(1);
    await clock.advance(withinMs - 1_500);
    assert.deepEqual(changes, ["list"]);
    await clock.advance(1_000);
    assert.deepEqual(changes, ["list", "set 1"]);
    await stop();
  }
});

/** Ends every watch a moment after it began. */
function endless(clock: VirtualClock, api: ApiServer): () => void {
  let cancel = () => {};
  const again = () => {
    api.watches.end();
    cancel = clock.setTimer(100, again);
  };
  again();
  return () => cancel();
}

Deno.test("Reflector shortens a long Retry-After as soon as somebody waits", async () => {
  const { clock, api, reflector, changes, set, stop } = setUp();
  await clock.advance(0);
  api.faults.add({ fault: { kind: "status", code: 429, retryAfterSeconds: 50 }, times: 1 });
  api.watches.end();
  await clock.advance(2_000);
  reflector.urgent = true;
  set(1);
  await clock.advance(8_000);
  assert.deepEqual(changes, ["list", "set 1"]);
  await stop();
});
