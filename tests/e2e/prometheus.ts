/**
 * A real Prometheus that scrapes programs of the suite, and durations for it that are shorter than those of the documents.
 * Listens on an address of the suite's network namespace. Ended with everything that it has stored.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { type AlertRule, alertRules, type AlertSite } from "../../lib/ops/alert_table.ts";
import { Child } from "./child_process.ts";
import { API_ADDRESS } from "./control_plane.ts";
import { programPath } from "./surroundings.ts";
import { until } from "./waiting.ts";

const ADDRESS = `${API_ADDRESS}:9090`;

/** How often it scrapes and looks at its rules, in ms. */
export const SCRAPE_MS = 500;

/** What is scraped. */
export interface Target {
  /** `HOST:PORT` of the admin port. */
  readonly address: string;
  /** Labels of all its series. */
  readonly labels: Readonly<Record<string, string>>;
}

/** One series of an answer, with its values over time. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [seconds: number, value: string])[];
}

export class Prometheus implements AsyncDisposable {
  readonly #child: Child;
  readonly #folder: string;
  readonly #targets = new Map<string, Target>();

  private constructor(folder: string) {
    this.#folder = folder;
    this.#child = new Child({
      name: "prometheus",
      command: programPath("prometheus"),
      args: [
        `--config.file=${join(folder, "prometheus.json")}`,
        `--storage.tsdb.path=${join(folder, "prometheus")}`,
        `--web.listen-address=${ADDRESS}`,
        // Lines of a panel are evaluated this far back at most.
        "--query.lookback-delta=5s",
      ],
      logFile: join(folder, "prometheus.log"),
    });
  }

  /** Starts it with these groups of rules, and waits until it answers. Everything lies in `folder`. */
  static async start(folder: string, groups: readonly unknown[] = []): Promise<Prometheus> {
    const interval = `${SCRAPE_MS}ms`;
    await Deno.writeTextFile(join(folder, "rules.json"), JSON.stringify({ groups }));
    await Deno.writeTextFile(join(folder, "targets.json"), "[]");
    await Deno.writeTextFile(
      join(folder, "prometheus.json"),
      JSON.stringify({
        global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
        rule_files: ["rules.json"],
        scrape_configs: [{
          job_name: "buildkitd-autoscaler",
          file_sd_configs: [{ files: ["targets.json"], refresh_interval: "1s" }],
        }],
      }),
    );
    const prometheus = new Prometheus(folder);
    await until("Prometheus to be ready", async () => {
      const response = await fetch(`http://${ADDRESS}/-/ready`);
      await response.body?.cancel();
      return response.ok;
    }, { explain: () => prometheus.#child.tail() });
    return prometheus;
  }

  /** Scrapes this from now on, instead of what had the same name before, and waits until it has. */
  async scrape(name: string, target: Target): Promise<void> {
    this.#targets.set(name, target);
    const file = join(this.#folder, "targets.json");
    const targets = [...this.#targets.values()]
      .map(({ address, labels }) => ({ targets: [address], labels }));
    // At once, for several may be added at the same time.
    Deno.writeTextFileSync(`${file}.new`, JSON.stringify(targets));
    Deno.renameSync(`${file}.new`, file);
    const url = `http://${target.address}/metrics`;
    await until("Prometheus to scrape the program", async () => {
      const { activeTargets } = await this.#get("targets", {}) as {
        activeTargets: readonly { readonly scrapeUrl: string; readonly health: string }[];
      };
      return activeTargets.some(({ scrapeUrl, health }) => scrapeUrl === url && health === "up");
    }, { explain: () => this.#child.tail() });
  }

  /** What a query gives now: labels and value of each series. */
  async query(query: string): Promise<readonly (readonly [labels: Series["metric"], value: number])[]> {
    const { resultType, result } = await this.#get("query", { query }) as {
      readonly resultType: string;
      readonly result: readonly { readonly metric: Series["metric"]; readonly value: [number, string] }[];
    };
    assert.equal(resultType, "vector", query);
    return result.map(({ metric, value: [, value] }) => [metric, Number(value)]);
  }

  /** What a query gives from one moment to another, second by second. Times are seconds since the epoch. */
  async queryRange(query: string, start: number, end: number): Promise<readonly Series[]> {
    const range = { query, start: String(start), end: String(end), step: "1" };
    return (await this.#get("query_range", range) as { readonly result: readonly Series[] }).result;
  }

  /** The values that a label has among series, as Grafana asks for those of a variable. */
  async labelValues(label: string, series: string): Promise<readonly string[]> {
    return await this.#get(`label/${label}/values`, { "match[]": series }) as readonly string[];
  }

  /** The rules as it has read them: how often that failed, and the last error. */
  async ruleFaults(): Promise<readonly string[]> {
    const { groups } = await this.#get("rules", {}) as {
      readonly groups: readonly { readonly rules: readonly { readonly lastError?: string }[] }[];
    };
    return groups.flatMap(({ rules }) => rules).flatMap(({ lastError }) => lastError ?? []);
  }

  async #get(path: string, parameters: Readonly<Record<string, string>>): Promise<unknown> {
    const response = await fetch(`http://${ADDRESS}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const answer = await response.json();
    assert.equal(answer.status, "success", `${JSON.stringify(parameters)}: ${answer.error}`);
    return answer.data;
  }

  tail(): string {
    return this.#child.tail();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.kill();
  }
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** A duration of Prometheus divided by `factor`. */
function shorter(duration: string, factor: number): string {
  const [, number, unit] = /^(\d+)([smhd])$/.exec(duration) ?? [];
  if (number === undefined) throw new Error(`Cannot shorten "${duration}": want a number and a unit`);
  return `${Math.round(Number(number) * UNITS[unit!]! * 1000 / factor)}ms`;
}

/** The rules about `site` with durations that are so many times shorter. Conditions and thresholds are the same. */
export function shorterRules(site: AlertSite, factor: number): readonly AlertRule[] {
  return alertRules(site).map((rule) => ({
    ...rule,
    expr: rule.expr.replace(/\[(\w+)\]/g, (_, duration) => `[${shorter(duration, factor)}]`),
    ...(rule.for !== undefined && { for: shorter(rule.for, factor) }),
  }));
}
