/** Tests of how pods are reached: what `auto` chooses, when it chooses anew, and what is said of it. @module */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Conn } from "../../../lib/base/network.ts";
import { SERVICE_ACCOUNT } from "../../../lib/kube/cluster.ts";
import type { Http } from "../../../lib/kube/http.ts";
import { OPCODE } from "../../../lib/kube/websocket_frames.ts";
import type { Backend } from "../../../lib/scaler/backends.ts";
import { AT_ONCE } from "../../../lib/target/dial_pace.ts";
import { DialError } from "../../../lib/target/seats.ts";
import { PROBE_MS, Upstream, type UpstreamPorts } from "../../../lib/target/upstream.ts";
import { concat, MemoryConn, writeAll } from "../../support/memory_network.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { seededRandom } from "../../support/seeded_random.ts";
import { BACKEND, DIAL_SETTINGS } from "../../support/session.ts";
import { testClient } from "../../support/test_client.ts";
import { settle, VirtualClock } from "../../support/virtual_clock.ts";
import { serverFrame } from "../../support/websocket_peer.ts";

const SIGNAL = new AbortController().signal;

/** What becomes of a connect to the pod's address. */
type Direct = "connects" | "hangs" | "refused" | "EMFILE" | "EHOSTUNREACH";

/** What becomes of a port-forward. */
type Forward = "connects" | "refused" | "unreachable" | 403 | 404 | 503;

const FAULTS: Readonly<Record<string, Error>> = {
  refused: new Deno.errors.ConnectionRefused("Connection refused (os error 111)"),
  EMFILE: Object.assign(new Error("Too many open files"), { code: "EMFILE" }),
  EHOSTUNREACH: Object.assign(new Error("No route to host"), { code: "EHOSTUNREACH" }),
};

interface Options {
  readonly direct: Direct;
  readonly forward: Forward;
  readonly source?: string;
  readonly upstreamTls?: UpstreamPorts["upstreamTls"];
}

function setUp(
  upstream: "auto" | "slices" | "dns" | "port-forward",
  { direct, forward, source = "kubeconfig", upstreamTls }: Options,
) {
  const clock = new VirtualClock();
  const log = recordingLog();
  const world = { direct, forward };
  const tried: string[] = [];
  const conns: Conn[] = [];
  const http: Http = {
    send: () => Promise.reject(new Error("not expected")),
    async upgrade({ headers, url }) {
      tried.push(`${url.pathname}${url.search}`);
      const { forward } = world;
      if (forward === "unreachable") throw new Error("Cannot reach the API server");
      if (typeof forward === "number") {
        const message = forward === 403 ? 'User "me" cannot get resource "pods/portforward"' : "injected";
        const body = Response.json({ kind: "Status", message }).body!;
        return { status: forward, headers: new Headers(), body, stream: undefined };
      }
      const [stream, peer] = MemoryConn.pair();
      const accept = createHash("sha1")
        .update(`${headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
      const send = (channel: number, text: string) => {
        const bytes = concat([Uint8Array.of(channel), new TextEncoder().encode(text)]);
        return writeAll(peer, serverFrame(OPCODE.binary, bytes));
      };
      for (const channel of [0, 1]) await send(channel, "42");
      await send(forward === "connects" ? 0 : 1, forward === "connects" ? "hello" : "connection refused");
      return {
        status: 101,
        headers: new Headers({
          "sec-websocket-accept": accept,
          "sec-websocket-protocol": "v4.channel.k8s.io",
        }),
        body: new Blob().stream(),
        stream,
      };
    },
    reset: () => {},
    close: () => {},
  };
  const network = {
    listen: () => assert.fail("nobody listens here"),
    connect({ hostname }: { hostname: string }, signal: AbortSignal): Promise<Conn> {
      if (signal.aborted) return Promise.reject(signal.reason);
      tried.push(hostname);
      if (world.direct === "connects") return Promise.resolve(MemoryConn.pair()[0]);
      if (world.direct !== "hangs") return Promise.reject(FAULTS[world.direct]);
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
  };
  const client = testClient(http, { clock, log }, { source });
  const random = seededRandom(1).next;
  const dialler = new Upstream({ ...DIAL_SETTINGS, upstream }, {
    clock,
    log,
    random,
    network,
    client,
    upstreamTls,
  });
  /** One dial: what was tried for it, and how it ended. */
  const dial = async (change: Partial<Backend> = {}) => {
    tried.length = 0;
    const startMs = clock.nowMs();
    let outcome: string | undefined;
    const dialling = dialler.dial({ ...BACKEND, ...change }, SIGNAL).then((conn) => {
      conns.push(conn);
      outcome = "connected";
      conn.close();
    }, (error) => {
      assert.ok(error instanceof DialError, String(error));
      outcome = `${error.isLocal ? "local" : "pod"}: ${error.message}`;
    });
    await settle();
    while (outcome === undefined) await clock.advance(100);
    await dialling;
    return { outcome, tried: [...tried], tookMs: clock.nowMs() - startMs };
  };
  const chosen = () => log.of("upstream_selected").map(({ fields }) => fields);
  return { world, dialler, dial, tried, chosen, log, clock };
}

const FORWARD = "/api/v1/namespaces/n/pods/buildkitd-0/portforward?ports=1234";

Deno.test("Upstream begins the dials of very many clients in several turns, each with a time limit of its own", async () => {
  const { dialler, tried, clock } = setUp("slices", { direct: "hangs", forward: "connects" });
  const cut = new AbortController();
  const failures: unknown[] = [];
  for (let client = 0; client < 2 * AT_ONCE; client++) {
    const signal = client === AT_ONCE ? cut.signal : SIGNAL;
    dialler.dial(BACKEND, signal).catch((error) => failures.push(error));
  }
  await settle();
  assert.equal(tried.length, AT_ONCE);
  cut.abort("the client has left");
  await clock.advance(0);
  assert.deepEqual(failures, ["the client has left"]);
  assert.equal(tried.length, 2 * AT_ONCE - 1, "those behind dials that hang are begun, too");
  await clock.advance(DIAL_SETTINGS.connectTimeoutMs);
  assert.equal(failures.length, 2 * AT_ONCE);
  assert.equal(clock.pending, 0);
});

Deno.test("Upstream auto, in a cluster, dials addresses only, and says nothing", async () => {
  const { dial, chosen, world } = setUp("auto", {
    direct: "connects",
    forward: "connects",
    source: SERVICE_ACCOUNT,
  });
  assert.deepEqual((await dial()).tried, ["192.0.2.1"]);
  world.direct = "EHOSTUNREACH";
  const { outcome, tried } = await dial();
  assert.deepEqual(tried, ["192.0.2.1"]);
  assert.match(outcome, /^pod: .*No route to host/);
  assert.deepEqual(chosen(), []);
});

Deno.test("Upstream auto, elsewhere, dials addresses where they answer, and says so once", async () => {
  const { dial, chosen, dialler } = setUp("auto", { direct: "connects", forward: "connects" });
  for (let n = 0; n < 3; n++) assert.deepEqual((await dial()).tried, ["192.0.2.1"]);
  assert.deepEqual(chosen(), [{ upstream: "slices", cause: "192.0.2.1 answers" }]);
  assert.equal(dialler.isForwarding, false);
});

Deno.test("Upstream auto, elsewhere, forwards ports once an address has not answered for 1 s, and does not ask it again", async () => {
  const { dial, chosen, dialler } = setUp("auto", { direct: "hangs", forward: "connects" });
  const first = await dial();
  assert.deepEqual(first, { outcome: "connected", tried: ["192.0.2.1", FORWARD], tookMs: PROBE_MS });
  assert.deepEqual((await dial()).tried, [FORWARD]);
  assert.deepEqual(chosen(), [{ upstream: "port-forward", cause: "192.0.2.1:1234: no answer within 1s" }]);
  assert.equal(dialler.isForwarding, true);
});

Deno.test("Upstream auto decides nothing while a pod that is not ready refuses connections", async () => {
  const { dial, chosen, world } = setUp("auto", { direct: "refused", forward: "connects" });
  const { outcome, tried } = await dial({ ready: false });
  assert.match(outcome, /^pod: .*refused/);
  assert.deepEqual(tried, ["192.0.2.1"]);
  assert.deepEqual(chosen(), []);
  world.direct = "connects";
  await dial();
  assert.deepEqual(chosen().map(({ upstream }) => upstream), ["slices"]);
});

Deno.test("Upstream auto forwards ports where the address of a ready pod refuses: another machine may have it here", async () => {
  const { dial, chosen } = setUp("auto", { direct: "refused", forward: "connects" });
  assert.equal((await dial()).outcome, "connected");
  assert.deepEqual(chosen().map(({ upstream }) => upstream), ["port-forward"]);
});

Deno.test("Upstream auto tries no other way while this machine is out of descriptors", async () => {
  const { dial } = setUp("auto", { direct: "EMFILE", forward: "connects" });
  const { outcome, tried } = await dial();
  assert.match(outcome, /^local: /);
  assert.deepEqual(tried, ["192.0.2.1"]);
});

Deno.test("Upstream auto changes over when the network does, in the dial that finds out, and back", async () => {
  const { dial, chosen, world } = setUp("auto", { direct: "connects", forward: "connects" });
  await dial();
  world.direct = "EHOSTUNREACH";
  assert.deepEqual(await dial(), { outcome: "connected", tried: ["192.0.2.1", FORWARD], tookMs: 0 });
  world.direct = "connects";
  assert.deepEqual((await dial()).tried, [FORWARD], "what works stays");
  world.forward = "unreachable";
  assert.match((await dial()).outcome, /^local: .*Cannot reach the API server/);
  assert.deepEqual((await dial()).tried, ["192.0.2.1"]);
  assert.deepEqual(chosen().map(({ upstream }) => upstream), ["slices", "port-forward", "slices"]);
});

Deno.test("Upstream auto stays with port-forwarding while the pod is what fails", async () => {
  const { dial, chosen, world } = setUp("auto", { direct: "hangs", forward: "refused" });
  assert.match(
    (await dial({ ready: false })).outcome,
    /^pod: Cannot connect to ready pod "buildkitd-0": 192.0.2.1:1234: no answer within 1s; nor by port-forward: .*connection refused$/,
  );
  for (const forward of ["refused", 404, 403] as const) {
    world.forward = forward;
    assert.deepEqual((await dial()).tried, [FORWARD], String(forward));
  }
  assert.equal(chosen().length, 1);
});

Deno.test("Upstream auto says both causes where neither way is open, and tries both again", async () => {
  const { dial, chosen, world } = setUp("auto", { direct: "hangs", forward: 403 });
  const { outcome } = await dial();
  assert.match(
    outcome,
    /^local: Cannot connect to ready pod "buildkitd-0": 192.0.2.1:1234: no answer within 1s; nor by port-forward: no permission /,
  );
  assert.match(outcome, /resources: \["pods\/portforward"\], verbs: \["get", "create"\]$/);
  world.direct = "connects";
  assert.deepEqual((await dial()).tried, ["192.0.2.1"]);
  assert.deepEqual(chosen().map(({ upstream }) => upstream), ["slices"]);
});

for (
  const [forward, whose] of [["refused", "pod"], [404, "pod"], [403, "local"], [503, "local"], [
    "unreachable",
    "local",
  ]] as const
) {
  Deno.test(`Upstream port-forward: ${forward} is a fault of ${whose === "pod" ? "the pod" : "the way to it"}`, async () => {
    const { dial } = setUp("port-forward", { direct: "connects", forward });
    const { outcome, tried } = await dial();
    assert.ok(
      outcome.startsWith(`${whose}: Cannot connect to ready pod "buildkitd-0" by port-forward: `),
      outcome,
    );
    assert.deepEqual(tried, [FORWARD]);
  });
}

Deno.test("Upstream says once that port-forwards fail, for clients too, and once that they work again", async () => {
  const { dial, dialler, log, world } = setUp("port-forward", { direct: "hangs", forward: 403 });
  for (let n = 0; n < 3; n++) await dial();
  assert.match(dialler.fault ?? "", /verbs: \["get", "create"\]$/);
  world.forward = "refused";
  await dial();
  assert.equal(dialler.fault, undefined, "a pod that refuses was reached");
  const [failed, ...more] = log.records.filter(({ level }) => level !== "debug");
  assert.equal(failed?.code, "port_forward_failed");
  assert.deepEqual(more.map(({ code }) => code), ["port_forward_failed_recovered"]);
});

Deno.test("Upstream speaks TLS in a forwarded port where it is asked to, and what fails in it is the pod's fault", async () => {
  let fails = false;
  const upstreamTls: UpstreamPorts["upstreamTls"] = {
    async connect(open) {
      const conn = await open();
      if (!fails) return conn;
      conn.close();
      throw new Error("the certificate has expired");
    },
  };
  const { dial, dialler, world } = setUp("port-forward", {
    direct: "hangs",
    forward: "connects",
    upstreamTls,
  });
  assert.equal((await dial()).outcome, "connected");
  fails = true;
  assert.match((await dial()).outcome, /^pod: .*by port-forward: the certificate has expired$/);
  assert.equal(dialler.fault, undefined);
  world.forward = 403;
  assert.match((await dial()).outcome, /^local: /);
});

Deno.test("Upstream slices and dns never forward ports", async () => {
  for (const [upstream, hostname] of [["slices", "192.0.2.1"], ["dns", "buildkitd-0.h.n.svc.c"]] as const) {
    const { dial, chosen, dialler } = setUp(upstream, { direct: "EHOSTUNREACH", forward: "connects" });
    assert.deepEqual((await dial()).tried, [hostname]);
    assert.equal(dialler.isForwarding, false);
    assert.deepEqual(chosen(), []);
  }
});
