/**
 * Several whole programs in front of one miniature cluster, each with a name, on one clock that the test moves on.
 *
 * @module
 */
import type { Clock } from "../../../lib/base/clock.ts";
import type { SettingKey } from "../../../lib/config/settings.ts";
import type { KubeObject } from "../../../lib/miniature/objects.ts";
import { LEASES } from "../../../lib/miniature/objects.ts";
import { within } from "../../support/deadline.ts";
import { JumpClock } from "../../support/jump_clock.ts";
import { type Program, startBeside, World, type WorldOptions } from "../../support/program.ts";

/** Shorter than any deadline, longer than a program sleeps between two tries of the election. */
const STEP_MS = 2_500;

/** How long it sleeps there, in ms: `--retry-period` and up to a fifth more. */
const RETRY_MS = [2_000, 2_400] as const;

/** The defaults of `--record-expiry` and `--lease-duration`, and the idle timeout of these tests, in ms. */
export const EXPIRY_MS = 300_000;
export const LEASE_MS = 15_000;
export const IDLE_MS = 600_000;

/** All that is on it. Dispose of it. */
export class Stage implements AsyncDisposable {
  readonly clock = new JumpClock();
  readonly world: World;
  readonly #programs = new Map<string, Program>();
  readonly #sleeps = new Map<string, number>();

  constructor(options: WorldOptions = {}) {
    this.world = new World({ cluster: { replicas: 1 }, ...options });
    options.before?.(this.world);
  }

  /** Starts a program, and waits until it is ready. */
  async start(name: string, settings: Partial<Record<SettingKey, string>> = {}): Promise<Program> {
    const program = await this.startOnly(name, { settings });
    await program.settled();
    return program;
  }

  /** Starts a program. */
  async startOnly(name: string, options: WorldOptions = {}): Promise<Program> {
    const program = await startBeside(this.world, {
      clock: this.#countingSleeps(name),
      client: name,
      ...options,
      settings: { idleTimeoutMs: `${IDLE_MS / 1000}s`, ...options.settings },
    });
    this.#programs.set(name, program);
    return program;
  }

  /**
   * Lets time pass for all programs. The named ones must keep up: in each step each of them has tried to renew or get
   * the lead, has its answer, and sleeps again.
   */
  async pass(ms: number, ...alive: readonly string[]): Promise<void> {
    const sleeps = () => alive.map((name) => this.#sleeps.get(name) ?? 0);
    for (let leftMs = ms; leftMs > 0; leftMs -= STEP_MS) {
      const before = sleeps();
      this.clock.jump(Math.min(STEP_MS, leftMs));
      if (leftMs < STEP_MS) return;
      await this.world.until("all to keep up", () => sleeps().every((count, i) => count > before[i]!));
    }
  }

  /** The clock for one program: a sleep between two tries of the election is counted. */
  #countingSleeps(name: string): Clock {
    const { clock, world } = this;
    return {
      nowMs: () => clock.nowMs(),
      bootMs: () => clock.bootMs(),
      wallMs: () => clock.wallMs(),
      setTimer: (delayMs, callback) => {
        const cancel = clock.setTimer(delayMs, callback);
        if (delayMs >= RETRY_MS[0] && delayMs <= RETRY_MS[1]) {
          this.#sleeps.set(name, 1 + (this.#sleeps.get(name) ?? 0));
          world.changed();
        }
        return cancel;
      },
      nextTurn: (callback) => clock.nextTurn(callback),
    };
  }

  /** Resolves once this program leads. */
  async leads(program: Program): Promise<void> {
    await program.until("the lead", () => program.metrics.value("leader") === 1);
  }

  /** Resolves once each of them knows of all. */
  async acquainted(...programs: readonly Program[]): Promise<void> {
    for (const program of programs) {
      await program.until(
        "all others",
        () => program.metrics.value("proxies_alive") === programs.length,
      );
    }
  }

  /** The API server is out of this program's reach, from now on or until the returned function is called. */
  cutOff(name: string): () => void {
    const { api } = this.world.cluster;
    const lift = api.faults.add({ fault: { kind: "reset_peer" }, matches: (_, client) => client === name });
    api.watches.drop(name);
    return lift;
  }

  /** The program dies: its sessions are cut, and it says goodbye to nobody. */
  async crash(name: string): Promise<void> {
    this.cutOff(name);
    const program = this.#programs.get(name)!;
    program.stopNow();
    await within(program.exited, "the end of the program", () => this.world.describe());
    this.#programs.delete(name);
  }

  /** The program has ended as it should have, with a failure. */
  forget(name: string): void {
    this.#programs.delete(name);
  }

  /** All Leases. */
  get leases(): readonly KubeObject[] {
    return this.world.cluster.api.registry.store.list(LEASES, this.world.cluster.namespace);
  }

  /** Those of proxies. */
  get records(): readonly KubeObject[] {
    return this.leases.filter(({ metadata }) =>
      metadata.labels?.["buildkitd-autoscaler.earthbuild.dev/kind"] === "proxy"
    );
  }

  /** Whether a session was interrupted by a scale-down. */
  get interrupted(): boolean {
    return this.world.pods.sessions.some(({ interrupted }) => interrupted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.world.cluster.api.faults.clear();
    const ends = await Promise.allSettled(
      [...this.#programs.values()].map((program) => program[Symbol.asyncDispose]()),
    );
    await this.world[Symbol.asyncDispose]();
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  }
}
