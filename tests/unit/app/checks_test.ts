/**
 * Tests of the checks behind `/livez` and `/readyz`: which of them counts for which probe, and their words.
 *
 * @module
 */
import assert from "node:assert/strict";
import { addChecks, type Checked, type CheckedTarget } from "../../../lib/app/checks.ts";
import { Health } from "../../../lib/ops/health.ts";
import { BUSY, IDLE } from "../../support/ha.ts";

/** What is not well. */
interface Given {
  readonly ending?: boolean;
  readonly joining?: Partial<CheckedTarget["joining"]>;
  readonly access?: string;
  readonly proxy?: Partial<Checked["proxy"]>;
  readonly scaler?: Partial<CheckedTarget["scaler"]>;
  readonly observer?: Partial<CheckedTarget["observer"]>;
  readonly replicas?: number | undefined;
  readonly proxies?: Partial<Omit<CheckedTarget["proxies"], "membership">>;
  readonly membership?: Partial<CheckedTarget["proxies"]["membership"]>;
}

/** A program in which all is well, but for what is given. */
function healthOf(given: Given = {}): Health {
  const health = new Health();
  addChecks(health, {
    ending: { begun: given.ending ?? false },
    access: { cause: given.access },
    proxy: { accepting: true, fault: undefined, open: 3, held: 1, ...given.proxy },
    targets: [{ name: "buildkitd", pool: "", target: targetOf(given) }],
    router: { pools: new Map() },
    clock: { nowMs: () => 0 },
  });
  return health;
}

function targetOf(given: Given): CheckedTarget {
  const replicas = "replicas" in given ? given.replicas : 1;
  return {
    state: "ready",
    joining: { joined: true, waitsFor: "the pods are not seen yet", ...given.joining },
    scaler: { because: "2 sessions", fault: undefined, ...given.scaler },
    observer: { fault: undefined, unlisted: undefined, portDoubt: undefined, ...given.observer },
    placement: {
      agreement: { seen: replicas === undefined ? undefined : { version: "1", replicas } },
    },
    proxies: {
      identity: "me",
      leader: "me",
      others: [],
      ...given.proxies,
      membership: { state: "joined", fault: undefined, holding: undefined, ...given.membership },
    },
  };
}

const lines = (health: Health, probe: "live" | "ready") => health.report(probe).verbose.split("\n");

Deno.test("addChecks() shows sessions, count and proxies on the probe of liveness, and nothing of that on readiness", () => {
  const health = healthOf();
  assert.deepEqual(lines(health, "live"), [
    "[+]accept ok: 3 sessions open, 1 held",
    "[+]scale ok: replicas 1: 2 sessions",
    "[+]proxies ok: this is me, joined; leader is this one",
    "livez check passed",
  ]);
  assert.deepEqual(lines(health, "ready"), ["[+]cluster ok", "[+]shutdown ok", "readyz check passed"]);
});

Deno.test("addChecks() calls a program alive until it accepts no more without having been told to stop", () => {
  const brief = (given: Given) => healthOf(given).report("live").brief;
  const closed = { proxy: { accepting: false } };
  assert.equal(brief(closed), "accept: no longer accepting connections");
  assert.equal(brief({ ...closed, ending: true }), "ok");
  assert.equal(brief({ joining: { joined: false, fault: "no permission" }, access: "refused" }), "ok");
  const exhausted = healthOf({ proxy: { fault: "Too many open files" } });
  assert.equal(lines(exhausted, "live")[0], "[+]accept ok: Too many open files");
});

Deno.test("addChecks() says of the count what is seen, why it is wanted, and what is wrong", () => {
  const scale = (given: Given) => lines(healthOf(given), "live")[1];
  assert.equal(scale({ replicas: undefined }), "[+]scale ok: the replica count has not been read yet");
  assert.equal(scale({ replicas: 0 }), "[+]scale ok: replicas 0: 2 sessions");
  assert.equal(
    scale({
      scaler: { fault: "Cannot patch" },
      observer: { fault: "Cannot watch", unlisted: "no EndpointSlice" },
    }),
    "[+]scale ok: replicas 1: 2 sessions; Cannot patch; Cannot watch; no EndpointSlice",
  );
});

Deno.test("addChecks() says who leads, who else is alive, and what each of them has in use", () => {
  const proxies = (given: Given) =>
    lines(healthOf(given), "live")[2]!.replace("[+]proxies ok: this is me, ", "");
  assert.equal(proxies({ proxies: { leader: "" } }), "joined; no leader");
  assert.equal(proxies({ proxies: { leader: "you" } }), "joined; leader you");
  assert.equal(proxies({ proxies: { leader: "" }, membership: { state: "alone" } }), "alone");
  assert.equal(
    proxies({ membership: { state: "cut_off", fault: "Cannot reach the API server" } }),
    "cut_off; Cannot reach the API server; leader is this one",
  );
  const others = [
    { identity: "idle", body: IDLE },
    { identity: "held", body: { ...IDLE, needing: 2 } },
    { identity: "busy", body: BUSY },
    { identity: "both", body: { ...BUSY, needing: 1 } },
    {
      identity: "twice",
      body: { ...IDLE, inUse: [0, 1, 2].map((ordinal) => ({ ordinal, busy: ordinal !== 1, idleMs: 0 })) },
    },
    { identity: "odd", body: undefined },
  ];
  assert.deepEqual(proxies({ proxies: { others } }).split("; ").slice(2), [
    "idle is alive: idle",
    "held is alive: idle, 2 held",
    "busy is alive: busy on 0",
    "both is alive: busy on 0, 1 held",
    "twice is alive: busy on 0, 2",
    "odd is alive: its record cannot be read",
  ]);
});

Deno.test("addChecks() calls a program ready once it has joined, until it is told to stop or holds new sessions", () => {
  const report = (given: Given) => {
    const { ok, brief } = healthOf(given).report("ready");
    return `${ok ? "ready" : "unready"}: ${brief}`;
  };
  assert.equal(report({}), "ready: ok");
  assert.equal(report({ access: "refused" }), "ready: ok", "what it serves goes on without the API");
  assert.equal(report({ ending: true }), "unready: shutdown: shutting down");
  assert.equal(
    report({ membership: { holding: "New sessions are held" } }),
    "unready: cluster: New sessions are held",
  );
});

Deno.test("addChecks() says of a program that is ready what may keep it from finding a pod", () => {
  const line = (observer: Partial<CheckedTarget["observer"]>) => lines(healthOf({ observer }), "ready")[0];
  assert.equal(line({ unlisted: "no EndpointSlice" }), "[+]cluster ok: no EndpointSlice");
  assert.equal(line({ portDoubt: "port 1 is not declared" }), "[+]cluster ok: port 1 is not declared");
  assert.equal(
    line({ unlisted: "no EndpointSlice", portDoubt: "port 1 is not declared" }),
    "[+]cluster ok: no EndpointSlice; port 1 is not declared",
  );
});

Deno.test("addChecks() says why a program is not ready: each reason once, and only the API's if that is out of reach", () => {
  const reason = (given: Given = {}) => {
    const { ok, brief } = healthOf({ ...given, joining: { joined: false, ...given.joining } }).report(
      "ready",
    );
    assert.equal(ok, false);
    return brief.replace(/^cluster: /, "");
  };
  assert.equal(reason(), "the pods are not seen yet");
  const faults = {
    observer: { fault: "Cannot watch", unlisted: "no EndpointSlice" },
    joining: { fault: "Cannot patch" },
    membership: { fault: "Cannot create leases" },
  };
  assert.equal(reason(faults), "Cannot watch; Cannot patch; Cannot create leases; no EndpointSlice");
  assert.equal(
    reason({ ...faults, joining: { fault: "Cannot watch" } }),
    "Cannot watch; Cannot create leases; no EndpointSlice",
  );
  assert.equal(reason({ joining: { fault: "Cannot patch" } }), "Cannot patch");
  assert.equal(reason({ ...faults, access: "Cannot reach the API server" }), "Cannot reach the API server");
});
