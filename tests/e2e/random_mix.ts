/**
 * Rounds of accidents, chosen from a seed, with one to four proxies and real builds through any of them. Every build must end
 * well whose own proxy process was not killed.
 *
 * What is left out are the named exceptions: no proxy stands still for longer than its record is good for, and records
 * are deleted only while every proxy can write its own anew.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { SeededRandom } from "../support/seeded_random.ts";
import type { Build } from "./build.ts";
import type { Program } from "./program.ts";
import type { Cluster } from "./scenario.ts";
import { leasePath, leases, startProxies } from "./several_proxies.ts";
import { delay, until, within } from "./waiting.ts";

const MOST_PROXIES = 4;
const MOST_BUILDS = 4;

/** Time for a Service to hear that a proxy is not ready any more. */
const FLAGS = { "shutdown-delay": "2s" };

/** Well below the shortest record expiry: a frozen proxy must come back before the others take it for dead. */
const LONGEST_FREEZE_MS = 5_000;
const LONGEST_OUTAGE_MS = 4_000;

/** Longer than the idle timeout: so that the next build comes before, in the middle of, or after a scale-down. */
const LONGEST_QUIET_MS = 4_000;

type Accident = "none" | "quiet" | "start" | "drain" | "kill" | "freeze" | "api" | "leases";

/** Starts balance the ends, and an outage takes long. */
const ACCIDENTS: readonly Accident[] = [
  ...["none", "quiet", "quiet", "quiet", "api", "leases"] as const,
  ...["start", "start", "start", "drain", "drain", "kill", "kill", "freeze", "freeze"] as const,
];

interface Proxy {
  readonly name: string;
  readonly program: Program;
}

interface Running {
  readonly build: Build;
  readonly proxy: Proxy;
}

/** What is there, and what happened so far. */
export class RandomMix {
  /** One line a round. */
  readonly story: string[] = [];
  readonly #cluster: Cluster;
  readonly #random: SeededRandom;
  /** Those that take connections. */
  readonly #serving = new Set<Proxy>();
  readonly #draining = new Set<Proxy>();
  readonly #builds = new Set<Running>();
  #names = 0;
  #finished = 0;
  #lost = 0;

  constructor(cluster: Cluster, random: SeededRandom) {
    this.#cluster = cluster;
    this.#random = random;
  }

  /** One accident, and builds that begin and end meanwhile. */
  async round(number: number): Promise<void> {
    while (this.#serving.size < 2 && number === 1) await this.#start();
    const accident = this.#choose();
    const line = [`round ${number}: ${accident}`];
    this.story.push("");
    const note = (what: string) => this.story[this.story.length - 1] = (line.push(what), line.join(", "));
    await Promise.all([
      this.#accident(accident, note),
      accident === "quiet" ? this.#quiet(note) : this.#traffic(note),
    ]);
    note(`${this.#serving.size} serve, ${this.#draining.size} drain, ${this.#builds.size} builds`);
    for (const proxy of this.#draining) {
      if (!proxy.program.running) {
        assert.equal((await proxy.program.exited).code, 0, `${proxy.name} has drained`);
        this.#draining.delete(proxy);
      }
    }
  }

  /** Everything ends well, and nothing is left. Gives how many builds there were. */
  async settle(): Promise<{ readonly finished: number; readonly lost: number }> {
    for (const running of this.#builds) await this.#finish(running);
    for (const { name, program } of this.#draining) {
      assert.equal((await within(`${name} to leave`, program.exited)).code, 0);
    }
    await until("the count to be 0", async () => await this.#cluster.replicas() === 0);
    await this.#cluster.untilNoPods();
    await until("a record a proxy", async () => (await leases(this.#cluster)).proxies === this.#serving.size);
    for (const { name, program } of this.#serving) assert.equal(await program.stop(), 0, name);
    assert.deepEqual(await leases(this.#cluster), { proxies: 0, elections: 1 });
    return { finished: this.#finished, lost: this.#lost };
  }

  /** An accident that leaves somebody to serve. */
  #choose(): Accident {
    const can: Record<Accident, boolean> = {
      none: true,
      quiet: true,
      start: this.#serving.size + this.#draining.size < MOST_PROXIES,
      drain: this.#serving.size > 1,
      kill: this.#serving.size > 1,
      freeze: this.#serving.size > 1,
      api: true,
      leases: true,
    };
    return this.#random.pick(ACCIDENTS.filter((accident) => can[accident]));
  }

  async #accident(accident: Accident, note: (what: string) => void): Promise<void> {
    const random = this.#random.fork();
    const { plane, api } = this.#cluster;
    const one = random.pick([...this.#serving]);
    const pauseMs = random.integer(0, 2_000);
    switch (accident) {
      case "quiet":
        return;
      case "none":
        return await delay(pauseMs);
      case "start":
        return note(`${await this.#start()} starts`);
      case "drain":
        this.#serving.delete(one);
        await this.#accepted(one);
        note(`${one.name} drains`);
        this.#draining.add(one);
        return one.program.signal("SIGTERM");
      case "kill": {
        this.#serving.delete(one);
        const own = [...this.#builds].filter(({ proxy }) => proxy === one);
        note(`${one.name} is killed with ${own.length} builds`);
        for (const running of own) this.#builds.delete(running);
        this.#lost += own.length;
        await one.program.kill();
        for (const { build } of own) await build.kill();
        return;
      }
      case "freeze": {
        const forMs = random.integer(500, LONGEST_FREEZE_MS);
        note(`${one.name} stands still for ${forMs} ms`);
        one.program.signal("SIGSTOP");
        await delay(forMs);
        return one.program.signal("SIGCONT");
      }
      case "api": {
        const forMs = random.integer(0, LONGEST_OUTAGE_MS);
        await delay(pauseMs);
        note(`the API server is away for ${forMs} ms and its start`);
        await plane.killApiServer();
        await delay(forMs);
        return await plane.restartApiServer();
      }
      case "leases":
        await delay(pauseMs);
        await api.delete(leasePath(this.#cluster));
        return void await until("all records to be back", async () => {
          const alive = [...this.#serving, ...this.#draining].filter(({ program }) => program.running);
          return (await leases(this.#cluster)).proxies >= alive.length;
        });
    }
  }

  /** All builds end, and nobody comes for a while. */
  async #quiet(note: (what: string) => void): Promise<void> {
    const forMs = this.#random.integer(0, LONGEST_QUIET_MS);
    note(`the end of all, and nothing for ${forMs} ms`);
    await Promise.all([...this.#builds].map((running) => this.#finish(running)));
    await delay(forMs);
  }

  /** Builds begin through proxies that serve, and some that run are let end. */
  async #traffic(note: (what: string) => void): Promise<void> {
    const random = this.#random.fork();
    const tasks: Promise<unknown>[] = [];
    for (let count = random.integer(0, 2); count > 0 && this.#builds.size < MOST_BUILDS; count--) {
      const proxy = random.pick([...this.#serving]);
      note(`a build through ${proxy.name}`);
      const running = { build: await this.#cluster.build(proxy.program), proxy };
      this.#builds.add(running);
    }
    const old = [...this.#builds];
    // Now and then all, so that the pod goes between.
    const ends = random.chance(0.15)
      ? old.length
      : random.integer(0, 1 + Math.floor(old.length / MOST_BUILDS));
    for (let count = ends; count > 0 && old.length > 0; count--) {
      const running = random.pick(old);
      old.splice(old.indexOf(running), 1);
      note(`the end of one through ${running.proxy.name}`);
      tasks.push(this.#finish(running));
    }
    await Promise.all(tasks);
  }

  /** Lets a build end, and demands that it ends well unless its proxy is killed meanwhile. */
  async #finish(running: Running): Promise<void> {
    try {
      await running.build.finish();
      this.#finished++;
    } catch (error) {
      if (this.#builds.has(running)) throw error;
    } finally {
      this.#builds.delete(running);
    }
  }

  /** Waits until the builds that were sent to this proxy have reached it. */
  async #accepted(proxy: Proxy): Promise<void> {
    await until(`${proxy.name} to have accepted its builds`, async () => {
      const own = [...this.#builds].filter((running) => running.proxy === proxy && !running.build.ended);
      return await proxy.program.metric("buildkitd_autoscaler_sessions_open") >= own.length;
    });
  }

  async #start(): Promise<string> {
    const [program] = await startProxies(this.#cluster, 1, FLAGS);
    const proxy = { name: `proxy-${++this.#names}`, program: program! };
    this.#serving.add(proxy);
    return proxy.name;
  }
}
