/**
 * The admin port over a real socket.
 *
 * @module
 */
import assert from "node:assert/strict";
import { sleep, systemClock } from "../../../lib/base/clock.ts";
import { adminHandler, adminPorts, type AdminServer } from "../../../lib/ops/admin_server.ts";
import { Health } from "../../../lib/ops/health.ts";
import { denoNetwork } from "../../../lib/proxy/deno_network.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const serveAdmin = adminPorts(denoNetwork, { clock: systemClock, log: recordingLog() });

const route = (project = "none") => `Project: ${project}\n`;

/** Pages have tests of their own. */
const status = {
  answer: (_request: unknown, { pathname }: URL) =>
    Promise.resolve(
      pathname === "/" ? { type: "text/html; charset=utf-8", body: "<h1>here</h1>" } : undefined,
    ),
};

function open(content: { ready?: boolean; metrics?: () => Promise<string> } = {}): AdminServer {
  const health = new Health();
  health.add({ name: "accept", probes: ["live"], check: () => ({ ok: true }) });
  health.add({
    name: "joined",
    probes: ["ready"],
    check: () => content.ready ? { ok: true } : { ok: false, reason: "no rights yet" },
  });
  const metrics = content.metrics ?? (() => Promise.resolve("a 1\n"));
  return serveAdmin(
    { hostname: "127.0.0.1", port: 0 },
    adminHandler({ version: "1.2.3", health, metrics, route, status }, systemClock),
  );
}

async function ask(server: AdminServer, path: string, init: RequestInit = {}) {
  // A client of its own, so that no connection outlives the test.
  using client = Deno.createHttpClient({});
  const response = await fetch(`http://127.0.0.1:${server.addr.port}${path}`, { ...init, client });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

Deno.test("the admin port answers probes with ok, or with 503 and the reasons", async () => {
  const server = open();
  for (const path of ["/livez", "/healthz"]) {
    const { status, text } = await ask(server, path);
    assert.deepEqual([status, text], [200, "ok\n"]);
  }
  const ready = await ask(server, "/readyz");
  assert.deepEqual([ready.status, ready.text], [503, "joined: no rights yet\n"]);
  assert.equal(ready.headers.get("cache-control"), "no-store");
  const verbose = await ask(server, "/readyz?verbose");
  assert.deepEqual([verbose.status, verbose.text], [
    503,
    "[-]joined failed: no rights yet\nreadyz check failed\n",
  ]);
  const excluding = await ask(server, "/readyz?exclude=other&exclude=joined");
  assert.deepEqual([excluding.status, excluding.text], [200, "ok\n"]);
  assert.equal((await ask(server, "/livez?verbose")).text, "[+]accept ok\nlivez check passed\n");
  await server.close();
});

Deno.test("the admin port serves metrics and the status page", async () => {
  const server = open();
  const metrics = await ask(server, "/metrics");
  assert.deepEqual([metrics.status, metrics.text], [200, "a 1\n"]);
  assert.equal(metrics.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const page = await ask(server, "/");
  assert.deepEqual([page.status, page.text], [200, "<h1>here</h1>\n"]);
  assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
  await server.close();
});

Deno.test("the admin port refuses other paths and methods", async () => {
  const server = open();
  assert.equal((await ask(server, "/nothing")).status, 404);
  assert.equal((await ask(server, "/livez/")).status, 404);
  const post = await ask(server, "/livez", { method: "POST", body: "x".repeat(100_000) });
  assert.deepEqual([post.status, post.headers.get("allow")], [405, "GET, HEAD"]);
  await server.close();
});

/** What the handler answers, without a socket. */
async function answerOf(method: string, path: string) {
  const health = new Health();
  health.add({ name: "joined", probes: ["ready"], check: () => ({ ok: false, reason: "größer" }) });
  const metrics = () => Promise.resolve("a 1\n\n");
  const handler = adminHandler({ version: "1.2.3", health, metrics, route, status }, systemClock);
  const response = await handler(new Request(`http://localhost${path}`, { method }));
  return {
    status: response.status,
    headers: Object.fromEntries(response.headers),
    text: await response.text(),
  };
}

const HEADERS = {
  "cache-control": "no-store",
  "content-type": "text/plain; charset=utf-8",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

Deno.test("adminHandler() states type and length in bytes, and lets nobody keep or reinterpret an answer", async () => {
  const text = "joined: größer\n";
  const headers = { ...HEADERS, "content-length": "17" };
  assert.deepEqual(await answerOf("GET", "/readyz"), { status: 503, headers, text });
  assert.deepEqual(await answerOf("HEAD", "/readyz"), { status: 503, headers, text: "" });
  assert.deepEqual(await answerOf("GET", "/metrics"), {
    status: 200,
    headers: {
      ...HEADERS,
      "content-length": "4",
      "content-type": "text/plain; version=0.0.4; charset=utf-8",
    },
    text: "a 1\n",
  });
});

Deno.test("adminHandler() shows its paths to whoever asks for another one", async () => {
  const paths = [
    "Not found. buildkitd-autoscaler 1.2.3 has:",
    "",
    "/             the status page, for people; also at /status",
    "/status.json  the facts of the status page, for programs",
    "/livez        alive: 200, or 503 and the reasons (?verbose lists every check)",
    "/readyz       takes connections: 200, or 503 and the reasons (?verbose, ?exclude=CHECK, ?wait=SECONDS)",
    "/healthz      the same as /livez",
    "/metrics      Prometheus metrics",
    "/route        where a project's sessions go, and why (?project=NAME)",
    "",
  ];
  for (const method of ["GET", "POST"]) {
    const { status, text } = await answerOf(method, "/nothing");
    assert.deepEqual([status, text], [404, paths.join("\n")]);
  }
  for (const path of ["/", "/livez", "/readyz", "/healthz", "/metrics"]) {
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      const { status, text, headers } = await answerOf(method, path);
      assert.deepEqual([status, text], [405, "Method not allowed, want GET or HEAD\n"]);
      assert.equal(headers["allow"], "GET, HEAD");
    }
    assert.equal((await answerOf("HEAD", path)).text, "");
  }
});

Deno.test("the admin port answers HEAD without a body", async () => {
  const server = open();
  const { status, text } = await ask(server, "/readyz", { method: "HEAD" });
  assert.deepEqual([status, text], [503, ""]);
  await server.close();
});

Deno.test("the admin port survives metrics that fail", async () => {
  const server = open({ metrics: () => Promise.reject(new Error("secret detail")) });
  const { status, text } = await ask(server, "/metrics");
  assert.deepEqual([status, text], [500, "Internal error\n"]);
  assert.equal((await ask(server, "/livez")).status, 200);
  await server.close();
});

Deno.test("the admin port closes although a client keeps its connection", async () => {
  const server = open();
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.addr.port });
  await conn.write(new TextEncoder().encode("GET /livez HTTP/1.1\r\nhost: a\r\n\r\n"));
  const buffer = new Uint8Array(1024);
  assert.ok((await conn.read(buffer))! > 0);
  await server.close();
  conn.close();
});

Deno.test("the admin port on all interfaces serves IPv4, and says when the port is taken", async () => {
  const handler = () => Promise.resolve(new Response("x"));
  const server = serveAdmin({ hostname: "::", port: 0 }, handler);
  assert.equal((await ask(server, "/")).text, "x");
  assert.throws(() => serveAdmin({ hostname: "::", port: server.addr.port }, handler), Deno.errors.AddrInUse);
  await server.close();
});

Deno.test("adminHandler() makes one answer at a time over all connections, with pauses, and lets no probe wait", async () => {
  const clock = new VirtualClock();
  const made: string[] = [];
  let open = 0;
  const health = new Health();
  const metrics = async () => {
    assert.equal(open++, 0, "no other answer is being made");
    await sleep(clock, 5, new AbortController().signal);
    open--;
    made.push(`metrics at ${clock.nowMs()}`);
    return "";
  };
  const handler = adminHandler({ version: "1.2.3", health, metrics, route, status }, clock);
  const ask = (path: string, signal = new AbortController().signal) =>
    handler(new Request(`http://localhost${path}`, { signal }));
  const startMs = clock.nowMs();
  const away = new AbortController();
  const asked = [ask("/metrics"), ask("/metrics"), ask("/metrics", away.signal), ask("/metrics")];
  const settled = Promise.allSettled(asked);
  away.abort(new Error("has given way"));
  assert.equal((await ask("/livez")).status, 200);
  assert.deepEqual(made, []);
  for (let i = 0; i < 40; i++) await clock.advance(1);
  assert.deepEqual(made, [5, 15, 25].map((ms) => `metrics at ${startMs + ms}`));
  const outcomes = await settled;
  assert.deepEqual(outcomes.map(({ status }) => status), ["fulfilled", "fulfilled", "rejected", "fulfilled"]);
  assert.equal(clock.pending, 0);
});

Deno.test("adminHandler() goes on after an answer that fails, and pauses 20 ms after a long one", async () => {
  const clock = new VirtualClock();
  let fails = true;
  const metrics = async () => {
    if (!fails) return "";
    fails = false;
    await sleep(clock, 500, new AbortController().signal);
    throw new Error("no metrics");
  };
  const handler = adminHandler({ version: "1.2.3", health: new Health(), metrics, route, status }, clock);
  const [first, second] = [1, 2].map(() => handler(new Request("http://localhost/metrics")));
  let isAnswered = false;
  void second!.then(() => isAnswered = true);
  const failed = assert.rejects(first!, /no metrics/);
  await clock.advance(500);
  await failed;
  await clock.advance(19);
  assert.equal(isAnswered, false);
  await clock.advance(1);
  assert.equal((await second!).status, 200);
});

Deno.test("adminHandler() waits with ?wait=SECONDS until a probe passes, for ten seconds at most", async () => {
  const clock = new VirtualClock();
  let ready = false;
  const health = new Health();
  health.add({
    name: "joined",
    probes: ["ready"],
    check: () => ready ? { ok: true } : { ok: false, reason: "no" },
  });
  const metrics = () => Promise.resolve("");
  const handler = adminHandler({ version: "1.2.3", health, metrics, route, status }, clock);
  const ask = (path: string) => handler(new Request(`http://localhost${path}`));
  assert.equal((await ask("/readyz?wait=0")).status, 503);
  assert.equal((await ask("/readyz?wait=x")).status, 503);
  const late = ask("/readyz?wait=4");
  await clock.advance(3_900);
  ready = true;
  await clock.advance(100);
  assert.equal((await late).status, 200);
  ready = false;
  const inVain = ask("/readyz?wait=1000000");
  await clock.advance(10_000);
  assert.equal((await inVain).status, 503);
  const left = new AbortController();
  const gone = Promise.resolve(
    handler(new Request("http://localhost/readyz?wait=4", { signal: left.signal })),
  );
  left.abort(new Error("left"));
  await assert.rejects(gone, /left/);
  assert.equal(clock.pending, 0);
});
