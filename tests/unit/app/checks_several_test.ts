/**
 * Tests of the checks of a program in front of several builders: when it is ready for the first time, and what they say.
 *
 * @module
 */
import assert from "node:assert/strict";
import { addChecks, type CheckedTarget } from "../../../lib/app/checks.ts";
import { Health } from "../../../lib/ops/health.ts";

interface Given {
  /** Its pool; the default one. */
  readonly pool?: string;
  joined?: boolean;
  state?: CheckedTarget["state"];
  fault?: string;
  holding?: string;
}

function setUp(given: Record<string, Given>) {
  const now = { ms: 1_000 };
  const ending = { begun: false };
  const access: { cause: string | undefined } = { cause: undefined };
  const health = new Health();
  const targets = Object.entries(given).map(([name, each]) => ({
    name,
    pool: each.pool ?? "",
    target: targetOf(each),
  }));
  const pools = new Map(targets.map(({ pool }) => [pool, { description: `those of "${pool}"` }]));
  addChecks(health, {
    ending,
    access,
    proxy: { accepting: true, fault: undefined, open: 0, held: 0 },
    targets,
    router: { pools: pools as never },
    clock: { nowMs: () => now.ms },
  });
  return { health, now, access, ready: () => health.report("ready").brief };
}

function targetOf(given: Given): CheckedTarget {
  return {
    get state() {
      return given.state ?? "asleep";
    },
    joining: {
      get joined() {
        return given.joined ?? false;
      },
      waitsFor: "the pods are not seen yet",
      fault: undefined,
    },
    scaler: { because: "no sessions", fault: undefined },
    observer: {
      get fault() {
        return given.fault;
      },
      unlisted: undefined,
      portDoubt: undefined,
    },
    placement: { agreement: { seen: { version: "1", replicas: 0 } } },
    proxies: {
      identity: "me",
      leader: "me",
      others: [],
      membership: {
        state: "joined",
        fault: undefined,
        get holding() {
          return given.holding;
        },
      },
    },
  };
}

Deno.test("addChecks() is ready once all builders have joined", () => {
  const given = { b1: { joined: true } as Given, b2: {} as Given };
  const { ready } = setUp(given);
  assert.equal(ready(), "cluster: b2: the pods are not seen yet");
  given.b2.joined = true;
  assert.equal(ready(), "ok");
});

Deno.test("addChecks() does not wait for a builder that is missing, if its pool has another one", () => {
  const given = { b1: {} as Given, b2: { state: "missing", fault: "Cannot watch b2" } as Given };
  const { ready } = setUp(given);
  assert.equal(ready(), "cluster: b1: the pods are not seen yet; b2: Cannot watch b2");
  given.b1.joined = true;
  assert.equal(ready(), "ok");
});

Deno.test("addChecks() gives a builder beside one that has joined 15 s from the start", () => {
  const { ready, now } = setUp({ b1: { joined: true }, b2: {} });
  now.ms += 14_999;
  assert.notEqual(ready(), "ok");
  now.ms += 1;
  assert.equal(ready(), "ok");
});

Deno.test("addChecks() waits for a builder of each pool for as long as it takes", () => {
  const given = {
    b1: { joined: true } as Given,
    b2: { pool: "arm64", state: "missing" } as Given,
    b3: { pool: "arm64" } as Given,
  };
  const { ready, now } = setUp(given);
  now.ms += 3_600_000;
  assert.equal(ready(), "cluster: b2: the pods are not seen yet; b3: the pods are not seen yet");
  given.b3.joined = true;
  assert.equal(ready(), "ok");
});

Deno.test("addChecks() stays ready whatever becomes of builders after the first time", () => {
  const given = { b1: { joined: true } as Given, b2: { joined: true } as Given };
  const { ready, access } = setUp(given);
  assert.equal(ready(), "ok");
  for (const each of Object.values(given)) {
    Object.assign(each, { joined: false, state: "missing", fault: "gone" });
  }
  access.cause = "The API server cannot be reached";
  assert.equal(ready(), "ok");
});

Deno.test("addChecks() is unready when this proxy places nothing on any builder, not on some", () => {
  const given = { b1: { joined: true } as Given, b2: { joined: true } as Given };
  const { ready } = setUp(given);
  given.b1.holding = "cut off";
  assert.equal(ready(), "ok");
  given.b2.holding = "cut off";
  assert.equal(ready(), "cluster: cut off");
  delete given.b1.holding;
  assert.equal(ready(), "ok");
});

Deno.test("addChecks() names the API server alone while it cannot be reached", () => {
  const { ready, access } = setUp({ b1: {}, b2: {} });
  access.cause = "The API server cannot be reached";
  assert.equal(ready(), "cluster: The API server cannot be reached");
});

Deno.test("addChecks() names the builder in each check, and has one for the sessions of each pool", () => {
  const { health } = setUp({ b1: { joined: true }, b2: { pool: "arm64", state: "missing", joined: true } });
  assert.deepEqual(health.report("live").verbose.split("\n"), [
    "[+]accept ok: 0 sessions open, 0 held",
    "[+]scale:b1 ok: asleep; replicas 0: no sessions",
    "[+]scale:b2 ok: missing; replicas 0: no sessions",
    "[+]proxies:b1 ok: this is me, joined; leader is this one",
    "[+]proxies:b2 ok: this is me, joined; leader is this one",
    '[+]sessions ok: those of ""',
    '[+]sessions:arm64 ok: those of "arm64"',
    "livez check passed",
  ]);
});
