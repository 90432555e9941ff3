/**
 * The alerts in a real Prometheus: each fires for a real fault, and no other does. All durations of the rules are shorter,
 * and so are the settings of the program; conditions and thresholds are those of the documents.
 *
 * Two alerts have no real fault here, BuildkitdAutoscalerFailed and BuildkitdAutoscalerAcceptErrors: the first would be a
 * bug, and the second a kernel without memory. `tests/chart/alerts_test.ts` has them in Prometheus' test of rules.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { DEFAULT_SITE } from "../../lib/ops/alert_files.ts";
import { ALERTS, type AlertSite } from "../../lib/ops/alert_table.ts";
import { echoRuntime, type PodRuntime, TARGET_PORT } from "./pod_process.ts";
import type { Program } from "./program.ts";
import { Prometheus, SCRAPE_MS, shorterRules } from "./prometheus.ts";
import { type Cluster, DOCUMENTED_RULES, GET_PODS, scenario, type ScenarioOptions } from "./scenario.ts";
import { SHORT_TIMES } from "./several_proxies.ts";
import { TlsFiles } from "./tls_files.ts";
import { delay, until } from "./waiting.ts";

/** So many times shorter than in the rules are all durations: 30 minutes are one. */
const FACTOR = 30;

/** A day, in ms. */
const DAY_MS = 86_400_000;

/** Long enough for the alert that waits longest, on a loaded machine. */
const FIRING_MS = 300_000;

const NOT_MADE = ["BuildkitdAutoscalerFailed", "BuildkitdAutoscalerAcceptErrors"];

/** What a fault works with: a namespace, programs that are scraped, and whether the alerts have fired. */
interface Stage {
  readonly cluster: Cluster;
  /** Starts a program that is scraped from now on, instead of the one before, as one proxy that starts again. */
  start(flags?: Readonly<Record<string, string>>): Promise<Program>;
  /** Waits until these alerts fire, and calls `again` meanwhile. */
  fires(again?: () => Promise<unknown>): Promise<void>;
}

interface Fault {
  /** Those that fire, and no others. */
  readonly alerts: readonly string[];
  /** Those that may fire with them. */
  readonly also?: readonly string[];
  readonly site?: Partial<AlertSite>;
  readonly options?: ScenarioOptions;
  run(stage: Stage): Promise<void>;
}

/** Takes connections. When it is killed, they are closed, as the kernel does with those of a process that has read all. */
const closingRuntime: PodRuntime = (pod) => {
  const open = new Set<Socket>();
  const ended = Promise.withResolvers<string>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.resume();
    socket.on("error", () => {}); // The peer is gone.
  });
  server.listen(TARGET_PORT, pod.ip);
  const stop = () => {
    for (const socket of open) socket.destroy();
    server.close();
    ended.resolve("SIGKILL");
  };
  return Promise.resolve({
    exited: ended.promise,
    isReady: () => Promise.resolve(server.listening),
    terminate: stop,
    kill: () => Promise.resolve(stop()),
  });
};

/** A client that is no BuildKit: it sends some bytes. */
async function client(program: Program): Promise<Deno.TcpConn> {
  const conn = await program.connect();
  await conn.write(new TextEncoder().encode("hello\n"));
  return conn;
}

/** A client that is served; `work` runs while it waits. */
async function servedClient(
  program: Program,
  work: () => Promise<void> = async () => {},
): Promise<Deno.TcpConn> {
  const served = () => program.metric("buildkitd_autoscaler_hold_seconds_count");
  const before = await served();
  const conn = await client(program);
  await work();
  await until("the client to be served", async () => await served() > before);
  return conn;
}

const FAULTS: Readonly<Record<string, Fault>> = {
  "all proxies are gone": {
    alerts: ["BuildkitdAutoscalerDown"],
    async run({ start, fires }) {
      await (await start()).kill();
      await fires();
    },
  },
  "a proxy is killed again and again": {
    alerts: ["BuildkitdAutoscalerRestarts"],
    // While it is away for long.
    also: ["BuildkitdAutoscalerDown", "BuildkitdAutoscalerNoLeader", "BuildkitdAutoscalerCutOff"],
    async run({ start, fires }) {
      let program = await start();
      await fires(async () => {
        await program.kill();
        program = await start();
      });
    },
  },
  "a pod never becomes ready": {
    alerts: ["BuildkitdClientsTimedOut", "BuildkitdBuilderUnusable"],
    async run({ cluster, start, fires }) {
      cluster.kubelet.behaviour.start.shut();
      const program = await start({ "ready-wait-timeout": "3s" });
      using _ = await client(program);
      await program.untilEnded(1);
      await fires(async () => {
        using _ = await client(program);
        const count = program.ended.length;
        await program.untilEnded(count + 1);
      });
    },
  },
  "more clients wait than may": {
    alerts: ["BuildkitdClientsRefused", "BuildkitdAutoscalerNearLimit"],
    site: { maxHeld: "1" },
    async run({ cluster, start, fires }) {
      cluster.kubelet.behaviour.start.shut();
      const program = await start({ "max-held": "1", "ready-wait-timeout": "1h" });
      using _ = await client(program);
      await program.untilHeld(1);
      await fires(async () => {
        using _ = await client(program);
        await delay(SCRAPE_MS);
      });
    },
  },
  "a builder is full": {
    alerts: ["BuildkitdClientsQueue"],
    async run({ start, fires }) {
      const program = await start({ "max-sessions-per-replica": "1", "sessions-per-replica": "1" });
      using _ = await servedClient(program);
      using _queued = await client(program);
      await fires();
    },
  },
  "buildkitd is killed with a build": {
    alerts: ["BuildkitdBroke"],
    options: { runtime: closingRuntime },
    async run({ cluster, start, fires }) {
      await cluster.setRules([...DOCUMENTED_RULES, GET_PODS], { allowed: true });
      const program = await start();
      await fires(async () => {
        const before = program.ended.length;
        using conn = await servedClient(program);
        await cluster.kubelet.killProcess("buildkitd-0");
        assert.equal(await conn.read(new Uint8Array(1)), null, "buildkitd has closed the connection");
        await conn.closeWrite();
        await program.untilEnded(before + 1);
        assert.equal(program.ended.at(-1)?.["outcome"], "completed");
      });
    },
  },
  "a builder stays without clients": {
    alerts: ["BuildkitdIdle"],
    options: { replicas: 1, runtime: echoRuntime },
    async run({ start, fires }) {
      await start({ "idle-timeout": "1h" });
      await fires();
    },
  },
  "somebody else writes the count": {
    alerts: ["BuildkitdReplicasContested"],
    async run({ cluster, start, fires }) {
      const program = await start({ "idle-timeout": "1h" });
      let replicas = 0;
      await fires(async () => {
        const name = "buildkitd_autoscaler_replicas_changed_externally_total";
        const before = await program.metric(name);
        await cluster.scale(replicas = 1 - replicas);
        await until("the change to be seen", async () => await program.metric(name) > before);
      });
    },
  },
  "pods start slowly": {
    alerts: ["BuildkitdColdStartSlow"],
    site: { slowSeconds: "1" },
    async run({ cluster, start, fires }) {
      const program = await start();
      await fires(async () => {
        await cluster.untilNoPods();
        cluster.kubelet.behaviour.start.shut();
        using _ = await servedClient(program, async () => {
          await delay(1_500);
          cluster.kubelet.behaviour.start.open();
        });
      });
    },
  },
  "the certificate expires in three days": {
    alerts: ["BuildkitdCertificateExpires"],
    async run({ cluster, start, fires }) {
      const files = await TlsFiles.make(cluster);
      await files.replaceServer({ notAfter: new Date(Date.now() + 3 * DAY_MS) });
      const { "listen-addr": _, ...tls } = files.flags({ mutual: false });
      await start(tls);
      await fires();
    },
  },
  "the right to scale is missing": {
    alerts: ["BuildkitdScalingStuck", "BuildkitdBuilderUnusable"],
    // The write that is refused is tried again.
    also: ["BuildkitdAutoscalerApiErrors"],
    async run({ cluster, start, fires }) {
      const program = await start({ "ready-wait-timeout": "1h" });
      const rules = DOCUMENTED_RULES.filter(({ resources }) => resources[0] !== "statefulsets/scale");
      await cluster.setRules(rules, { allowed: false });
      using _ = await client(program);
      await fires();
    },
  },
};

/** The last one, because it is a fault for everybody. */
const API_DOWN: Fault = {
  alerts: ["BuildkitdAutoscalerApiErrors", "BuildkitdAutoscalerNoLeader", "BuildkitdAutoscalerCutOff"],
  async run({ cluster, start, fires }) {
    await start();
    await cluster.plane.killApiServer();
    await fires();
    await cluster.plane.restartApiServer();
  },
};

const API_DOWN_NAME = "the API server is killed";

const ALL = Object.entries({ ...FAULTS, [API_DOWN_NAME]: API_DOWN });

/** The rules about one fault: its program is a job of its own. */
function groupOf([name, { site }]: typeof ALL[number]): unknown {
  const rules = shorterRules(
    { ...DEFAULT_SITE, targets: `job="${name}"`, labels: { job: name }, ...site },
    FACTOR,
  );
  return { name, rules: rules.map((rule) => ({ ...rule, labels: { ...rule.labels, fault: name } })) };
}

Deno.test("each alert has a real fault, but those that cannot have one", () => {
  const made = ALL.flatMap(([, { alerts }]) => alerts);
  assert.deepEqual(Object.keys(ALERTS).filter((name) => !made.includes(name)).sort(), [...NOT_MADE].sort());
});

scenario("each alert fires for its fault, and no other does", {}, async (cluster) => {
  await using prometheus = await Prometheus.start(cluster.folder, ALL.map(groupOf));
  await Promise.all(Object.entries(FAULTS).map((fault) => makeFault(cluster, prometheus, fault)));
  await makeFault(cluster, prometheus, [API_DOWN_NAME, API_DOWN]);
  assert.deepEqual(await prometheus.ruleFaults(), []);
});

async function makeFault(
  cluster: Cluster,
  prometheus: Prometheus,
  [name, { alerts, also = [], options = { runtime: echoRuntime }, run }]: typeof ALL[number],
): Promise<void> {
  const own = await cluster.sibling(options);
  const fired = async () => {
    const firing = await prometheus.query(`ALERTS{alertstate="firing",fault="${name}"}`);
    return [...new Set(firing.map(([{ alertname }]) => alertname!))];
  };
  const seen = new Set<string>();
  let isHealthy = false;
  await run({
    cluster: own,
    async start(flags = {}) {
      const program = await (await own.startProgram({ ...SHORT_TIMES, ...flags })).untilReady();
      const labels = { job: name, instance: "proxy" };
      await prometheus.scrape(name, { address: `${program.ip}:8081`, labels });
      if (!isHealthy) {
        // Before it was scraped for the first time, it was down.
        await until(`no alert to fire before ${name}`, async () => (await fired()).length === 0);
        isHealthy = true;
      }
      return program;
    },
    fires: async (again) => {
      await until(`these alerts to fire when ${name}: ${alerts.join(", ")}`, async () => {
        for (const each of await fired()) seen.add(each);
        if (alerts.every((each) => seen.has(each))) return true;
        await again?.();
        return false;
      }, { deadlineMs: FIRING_MS, pollMs: SCRAPE_MS, explain: () => [...seen].join(", ") });
    },
  });
  const others = [...seen].filter((each) => !alerts.includes(each) && !also.includes(each));
  assert.deepEqual(others, [], `no other alert fires when ${name}`);
}
