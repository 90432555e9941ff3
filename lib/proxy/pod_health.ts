/**
 * Asks daemons for their health, as long as somebody needs to know: quickly while a session waits for a pod, now and
 * then while a pod has sessions, never otherwise. What the answers mean stands in `lib/scaler/readiness.ts`.
 *
 * @module
 */
import { backoffMs } from "../base/backoff.ts";
import { type Clock, deadline } from "../base/clock.ts";
import { TimeoutError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Network } from "../base/network.ts";
import { Notifier } from "../base/notifier.ts";
import type { Random } from "../base/random.ts";
import type { Backend } from "../scaler/backends.ts";
import type { Placement } from "../scaler/placement.ts";
import type { HealthAnswer, PodHealth } from "../scaler/readiness.ts";
import { dial, DialError, type DialSettings } from "./dial.ts";
import { checkHealth } from "./health_check.ts";

/** What the health checks are made of. */
export interface PodHealthPorts {
  /** Measures intervals. */
  readonly clock: Clock;
  /** Spreads them. */
  readonly random: Random;
  /** Says what each pod can and cannot do. */
  readonly log: Log;
  /** Dials. */
  readonly network: Network;
  /** Knows the pods and who waits, and is told. */
  readonly placement: Placement;
}

/** While a session waits: from one check's end to the next one's start, growing. */
const STARTING = { baseMs: 100, capMs: 1_000 };

/** While a pod has sessions: the same, fixed. */
const RUNNING_INTERVAL_MS = 5_000;

/** One check takes no longer; a daemon that listens and does not answer yet is asked again. */
const CHECK_TIMEOUT_MS = 4_000;

/** A daemon that ends this many connections in a row without an answer has no health service. */
const UNSUPPORTED_LIMIT = 3;

/** What is known of one pod's checks. */
interface Checks {
  running: boolean;
  /** Checks in a row without SERVING. */
  failures: number;
  /** Of those, at the end: answers that are none. */
  unsupported: number;
  notBeforeMs: number;
}

/** Checks the daemons of all pods. */
export class PodHealthChecks {
  readonly #settings: DialSettings;
  readonly #ports: PodHealthPorts;
  readonly #checks = new Map<string, Checks>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #changed = new Notifier();

  /** Starts nothing: `run` does. */
  constructor(settings: DialSettings, ports: PodHealthPorts) {
    this.#settings = settings;
    this.#ports = ports;
    ports.placement.subscribe(() => this.#changed.notify());
  }

  /** Runs until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, placement } = this.#ports;
    try {
      for (;;) {
        const backends = placement.backends;
        for (const uid of this.#checks.keys()) {
          if (!backends.some((backend) => backend.uid === uid)) this.#checks.delete(uid);
        }
        let nextMs = Infinity;
        for (const backend of backends) nextMs = Math.min(nextMs, this.#checkIfDue(backend, signal));
        await this.#changed.wait(clock, nextMs, signal);
      }
    } finally {
      await Promise.all(this.#underWay);
    }
  }

  /** Starts a check if it is due; else says when it will be, if nothing changes. */
  #checkIfDue(backend: Backend, signal: AbortSignal): number {
    const { clock, placement } = this.#ports;
    if (!this.#needed(backend, placement.healthOf(backend.uid))) return Infinity;
    let checks = this.#checks.get(backend.uid);
    if (checks === undefined) {
      checks = { running: false, failures: 0, unsupported: 0, notBeforeMs: -Infinity };
      this.#checks.set(backend.uid, checks);
    }
    if (checks.running) return Infinity;
    if (clock.nowMs() < checks.notBeforeMs) return checks.notBeforeMs;
    checks.running = true;
    const task = this.#check(backend, checks, signal).finally(() => {
      this.#underWay.delete(task);
      this.#changed.notify();
    });
    this.#underWay.add(task);
    return Infinity;
  }

  #needed({ addresses, terminating, ordinal }: Backend, health: PodHealth): boolean {
    const { usage } = this.#ports.placement;
    if (terminating || addresses.length === 0) return false;
    // In `grpc` there is nothing to fall back on, so the daemon is asked again and again.
    if (health.unsupported && this.#ports.placement.mode !== "grpc") return false;
    return usage.held > 0 || (health.served && usage.on(ordinal) > 0);
  }

  async #check(backend: Backend, checks: Checks, signal: AbortSignal): Promise<void> {
    const { clock, random, placement } = this.#ports;
    const before = placement.healthOf(backend.uid);
    const asked = await this.#ask(backend, signal);
    checks.running = false;
    if (signal.aborted) return;
    // That this machine is out of descriptors or ports says nothing of the pod.
    if (asked === undefined) {
      checks.notBeforeMs = clock.nowMs() + backoffMs(++checks.failures, STARTING, random);
      return;
    }
    const answer = this.#weigh(asked, checks);
    checks.failures = answer === "serving" ? 0 : checks.failures + 1;
    placement.checked(backend.uid, answer);
    const health = placement.healthOf(backend.uid);
    this.#report(backend, before, health);
    const delayMs = health.served ? RUNNING_INTERVAL_MS : backoffMs(checks.failures, STARTING, random);
    checks.notBeforeMs = clock.nowMs() + delayMs;
  }

  /** Undefined when it could not be asked. */
  async #ask(backend: Backend, signal: AbortSignal): Promise<HealthAnswer | undefined> {
    const { network, clock } = this.#ports;
    using limit = deadline(
      clock,
      CHECK_TIMEOUT_MS,
      signal,
      () => new TimeoutError("No health answer in time"),
    );
    try {
      return await checkHealth(
        await dial(network, clock, backend, this.#settings, limit.signal),
        limit.signal,
      );
    } catch (error) {
      return error instanceof DialError && error.isLocal ? undefined : "missed";
    }
  }

  /** One odd answer may be a daemon that dies, or something in between: only some in a row say what it is. */
  #weigh(answer: HealthAnswer, checks: Checks): HealthAnswer {
    checks.unsupported = answer === "unsupported" ? checks.unsupported + 1 : 0;
    return answer === "unsupported" && checks.unsupported < UNSUPPORTED_LIMIT ? "missed" : answer;
  }

  #report({ pod, uid }: Backend, before: PodHealth, after: PodHealth): void {
    const { log, placement } = this.#ports;
    if (after.unsupported && !before.unsupported) {
      const then = placement.mode === "grpc"
        ? "it never counts as ready (--readiness grpc)"
        : "its condition decides";
      log.warn("pod has no health service", { pod, uid, then });
    }
    if (after.served && !before.served) log.debug("pod serves", { pod, uid });
    if (after.missed === 3 && before.missed < 3) log.warn("pod does not answer health checks", { pod, uid });
    if (after.served && after.missed === 0 && before.missed === 3) {
      log.info("pod answers health checks again", { pod, uid });
    }
  }
}
