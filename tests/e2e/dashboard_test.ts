/**
 * The dashboard in a real Prometheus: every query of every panel has data after real builds, filled in as Grafana does it,
 * and no alert has fired meanwhile.
 *
 * Grafana itself is missing here. Its variables are filled in by what its documentation says of them.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DEFAULT_SITE } from "../../lib/ops/alert_files.ts";
import { OBSERVE_ROW } from "../../lib/ops/dashboard_table.ts";
import type { Program } from "./program.ts";
import { Prometheus, SCRAPE_MS, type Series, shorterRules } from "./prometheus.ts";
import { type Cluster, scenario } from "./scenario.ts";
import { SHORT_TIMES } from "./several_proxies.ts";
import { TlsFiles } from "./tls_files.ts";
import { delay, until } from "./waiting.ts";

/** So many times shorter than in the rules are all durations. */
const FACTOR = 30;

const PRICE = 0.34;

/** `$__rate_interval`: so long that scrapes which a loaded machine misses do not matter. */
const RATE_MS = 10_000;

const FIRING = 'ALERTS{alertstate="firing"}';

interface Panel {
  readonly title: string;
  readonly type: string;
  readonly targets?: readonly { readonly expr: string; readonly instant: boolean }[];
  /** Of a row that is folded. */
  readonly panels?: readonly Panel[];
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly definition?: string }[];
  };
}

const dashboard: Dashboard = JSON.parse(
  await Deno.readTextFile(
    new URL("../../helm/buildkitd-stack/dashboards/buildkitd-autoscaler.json", import.meta.url),
  ),
);

scenario(
  "every panel of the dashboard has data after real builds, and no alert fires",
  {},
  async (cluster) => {
    await using prometheus = await Prometheus.start(cluster.folder, [{
      name: "all",
      rules: shorterRules(DEFAULT_SITE, FACTOR),
    }]);
    const programs = await twoProxies(cluster);
    for (const [i, { ip }] of programs.entries()) {
      const labels = { namespace: cluster.namespace, pod: `proxy-${i}` };
      await prometheus.scrape(`${i}`, { address: `${ip}:8081`, labels });
    }
    await until("no alert to fire", async () => (await prometheus.query(FIRING)).length === 0);
    const startedMs = Date.now();
    // A counter that rises before its second scrape would be missed.
    await until("several scrapes", async () => {
      const seconds = Math.ceil((Date.now() - startedMs) / 1000);
      const counts = await prometheus.query(`count_over_time(up[${seconds}s])`);
      return counts.length === programs.length && counts.every(([, count]) => count >= 8);
    });
    await realBuilds(cluster, programs);
    await untilScraped(prometheus, programs);
    // What has grown is counted in full when rates look back on no more of it.
    await delay(RATE_MS);
    const range = [startedMs / 1000, Date.now() / 1000] as const;
    const chosen = await choices(prometheus);
    assert.deepEqual(chosen["builder"], "buildkitd");
    assert.deepEqual(chosen["namespace"], cluster.namespace);
    const all = Object.fromEntries(Object.keys(chosen).map((name) => [name, ".*"]));
    for (const variables of [all, chosen]) await assertData(prometheus, panelsOf(false), variables, range);
    await assertTotals(prometheus, programs, all, range[0]);
    const fired = await prometheus.queryRange(FIRING, ...range);
    assert.deepEqual(fired.map(({ metric }) => metric), []);
    assert.deepEqual(await prometheus.ruleFaults(), []);
    for (const program of programs) assert.equal(await program.stop(), 0);
    await observes(cluster, prometheus, all);
  },
);

/** The row of observe mode has data, too: an observer in front of a pod that runs would have stopped it. */
async function observes(
  cluster: Cluster,
  prometheus: Prometheus,
  variables: Readonly<Record<string, string>>,
): Promise<void> {
  const startedMs = Date.now();
  await cluster.scale(1);
  const observer = await (await cluster.startProgram({ ...SHORT_TIMES, observe: "true" })).untilReady();
  const labels = { namespace: cluster.namespace, pod: "observer" };
  await prometheus.scrape("observer", { address: `${observer.ip}:8081`, labels });
  await (await cluster.build(observer)).finish();
  await until("what it would have done to be scraped several times", async () => {
    const counts = await prometheus.query("count_over_time(buildkitd_autoscaler_observe_scalings_total[1m])");
    return counts.length > 0 && counts.every(([, count]) => count >= 8);
  }, { pollMs: SCRAPE_MS, explain: () => cluster.report() });
  await assertData(prometheus, panelsOf(true), variables, [startedMs / 1000, Date.now() / 1000]);
  assert.equal(await observer.stop(), 0);
}

async function twoProxies(cluster: Cluster): Promise<readonly [Program, Program]> {
  const { "listen-addr": _, ...tls } = (await TlsFiles.make(cluster)).flags({ mutual: false });
  const start = async () =>
    await (await cluster.startProgram({
      ...SHORT_TIMES,
      ...tls,
      "max-sessions-per-replica": "4",
      "price-per-hour": `${PRICE} EUR`,
    })).untilReady();
  return [await start(), await start()];
}

/** A cold start, warm builds, builds that queue, and a scale-down. */
async function realBuilds(cluster: Cluster, [one, other]: readonly [Program, Program]): Promise<void> {
  const cold = await (await cluster.build(one)).running();
  await (await cluster.build(other)).finish();
  const more = [];
  for (let i = 0; i < 3; i++) more.push(await cluster.build(one));
  await until("a build to be queued", async () => {
    if (await one.metric("buildkitd_autoscaler_sessions_queued") > 0) return true;
    more.push(await cluster.build(one));
    return false;
  }, { pollMs: 1_000, explain: () => cluster.report() });
  await cold.finish();
  for (const build of more) await build.finish();
  await cluster.timeline.settle([0, 1, 0]);
  await cluster.untilNoPods();
}

/** Waits until Prometheus knows of all sessions that have ended. */
async function untilScraped(prometheus: Prometheus, programs: readonly Program[]): Promise<void> {
  const name = "buildkitd_autoscaler_sessions_ended_total";
  await until("all sessions to be scraped", async () => {
    const ended = await Promise.all(programs.map((program) => program.metric(name)));
    const [[, scraped] = [{}, 0]] = await prometheus.query(`sum(${name})`);
    return scraped === ended.reduce((a, b) => a + b);
  }, { pollMs: SCRAPE_MS, explain: () => prometheus.tail() });
}

/** What somebody chooses who takes the first value of each variable; each lists what is left by those before. */
async function choices(prometheus: Prometheus): Promise<Readonly<Record<string, string>>> {
  const chosen: Record<string, string> = {};
  for (const { name, type, definition = "" } of dashboard.templating.list) {
    if (type !== "query") continue;
    const [, series, label] = /^label_values\((.*), (\w+)\)$/.exec(definition) ?? [];
    assert.equal(label, name);
    const [first] = await prometheus.labelValues(name, filled(series!, chosen, [0, 0]));
    assert.ok(first !== undefined, `the variable ${name} has values`);
    chosen[name] = first;
  }
  return chosen;
}

/** A query with its variables filled in; the time between two points is a second. */
function filled(
  expr: string,
  variables: Readonly<Record<string, string>>,
  [start, end]: readonly [number, number],
): string {
  const values: Readonly<Record<string, string>> = {
    ...variables,
    __interval: "1s",
    __interval_ms: "1000",
    __rate_interval: `${RATE_MS}ms`,
    __range: `${Math.round(end - start)}s`,
  };
  return expr.replace(/\$(\w+)/g, (_, name) => {
    assert.ok(name in values, `${name} is a variable`);
    return values[name]!;
  });
}

function hasValue({ values }: Pick<Series, "values">): boolean {
  return values.some(([, value]) => Number.isFinite(Number(value)));
}

/** The panels of observe mode, or all others. */
function panelsOf(observing: boolean): readonly Panel[] {
  if (!observing) return dashboard.panels.filter(({ type }) => type !== "row");
  return dashboard.panels.find(({ title }) => title === OBSERVE_ROW)!.panels!;
}

/** Every query of these panels gives at least one number. */
async function assertData(
  prometheus: Prometheus,
  panels: readonly Panel[],
  variables: Readonly<Record<string, string>>,
  range: readonly [number, number],
): Promise<void> {
  const empty: string[] = [];
  let asked = 0;
  for (const { title, targets = [] } of panels) {
    for (const { expr, instant } of targets) {
      asked++;
      const query = filled(expr, variables, range);
      const isAnswered = instant
        ? (await prometheus.query(query)).some(([, value]) => Number.isFinite(value))
        : (await prometheus.queryRange(query, ...range)).some(hasValue);
      if (!isAnswered) empty.push(`${title}: ${query}`);
    }
  }
  assert.ok(asked >= panels.length && asked > 5, "the queries were found");
  assert.deepEqual(empty, []);
}

/** The numbers about the whole time range are those of the program, as far as scrapes can tell. */
async function assertTotals(
  prometheus: Prometheus,
  programs: readonly Program[],
  variables: Readonly<Record<string, string>>,
  startedSeconds: number,
): Promise<void> {
  const shown = async (title: string) => {
    const panel = dashboard.panels.find((each) => each.title === title);
    const range = [startedSeconds, Date.now() / 1000] as const;
    const [[, value] = [{}, NaN]] = await prometheus.query(
      filled(panel!.targets![0]!.expr, variables, range),
    );
    return value;
  };
  const hours = await shown("Pod hours asleep");
  assert.ok(hours > 0, `${hours}`);
  const money = await shown("Money saved");
  assert.ok(Math.abs(money / hours - PRICE) < 0.05, `${money} for ${hours} hours`);
  assert.equal(Math.round(await shown("Cold starts in all")), 1);
  const waited = await Promise.all(
    programs.map((program) => program.metric("buildkitd_autoscaler_waited_seconds_total")),
  );
  const minutes = (waited[0]! + waited[1]!) / 60;
  const shownMinutes = await shown("Minutes waited");
  assert.ok(shownMinutes > minutes / 2 && shownMinutes < minutes * 2, `${shownMinutes}, not ${minutes}`);
}
