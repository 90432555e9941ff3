/**
 * Checks the health of the daemons: often while a session waits for a pod, every 5 s while a pod has sessions, is stuck, or
 * is out although its condition is ready (only an answer shows those who wait elsewhere that it serves), never otherwise.
 * Where the condition decides, it only connects, and only while the pod is out because it refuses connections.
 * `lib/scaler/readiness.ts` says what the answers mean.
 *
 * @module
 */
import { anySignal } from "../base/any_signal.ts";
import { backoffMs } from "../base/backoff.ts";
import { deadline } from "../base/clock.ts";
import { close } from "../base/conn.ts";
import { TimeoutError } from "../base/errors.ts";
import { Notifier } from "../base/notifier.ts";
import type { BasePorts } from "../base/ports.ts";
import type { Backend } from "../scaler/backends.ts";
import type { Placement } from "../scaler/placement.ts";
import type { StateRunner } from "../scaler/state_runner.ts";
import {
  conditionDecides,
  type HealthAnswer,
  isReady,
  MISSED_LIMIT,
  type PodHealth,
} from "../scaler/readiness.ts";
import { checkHealth } from "./health_check.ts";
import type { Dialler } from "./dial.ts";
import { DialError } from "./seats.ts";

/** What the health checks are made of. */
export interface PodHealthPorts extends Pick<BasePorts, "clock" | "random" | "log"> {
  /** Connects to the pods. */
  readonly dialler: Dialler;
  /** Knows the pods and who waits, and is told. */
  readonly placement: Placement;
  /** Knows whether a pod makes no progress: nobody waits for it then, and nothing else may show that it serves at last. */
  readonly state: Pick<StateRunner, "isStuck" | "subscribe">;
}

/**
 * While a session waits and the daemon does not serve: from the end of one check to the start of the next. It grows only
 * while the daemon answers something else than SERVING, or while this machine cannot dial.
 */
const WAITING = { baseMs: 60, capMs: 1_000 };

/** The same where each check is a request to the API server. */
const WAITING_FORWARDED = { baseMs: 500, capMs: 2_000 };

/** The same while nobody waits here. */
const RUNNING_INTERVAL_MS = 5_000;

/** How one check ended: as the daemon answers, without a byte, or with the connection that was all that was asked for. */
type Asked = HealthAnswer | "closed" | "connected";

/** The longest time of one check. A daemon that listens and does not answer yet is then asked again. */
const CHECK_TIMEOUT_MS = 4_000;

/** A daemon that ends this many connections in a row without an answer is taken to have no health service. */
const UNSUPPORTED_LIMIT = 3;

/**
 * Until a pod is ready, the same without a byte means that only after so long, in ms: the sidecar of a mesh accepts before
 * the daemon listens.
 */
const CLOSED_MS = 10_000;

/** After a pause of so long, in ms, it may be another start. */
const CLOSED_PAUSE_MS = 2 * RUNNING_INTERVAL_MS;

/** What is known of one pod's checks. */
interface Checks {
  /** The pod that they ask. */
  backend: Backend;
  /** Ends the one that is under way. */
  underWay: AbortController | undefined;
  /** The latest checks in a row after which asking again soon is useless. */
  futile: number;
  /** The latest checks in a row without a valid answer. */
  unsupported: number;
  /** From when until when each connection has ended without a byte, monotonic ms; undefined if the last has not. */
  closed: { readonly sinceMs: number; readonly lastMs: number } | undefined;
  /** When the next one is due while a session waits for the daemon, monotonic ms. */
  waitingDueMs: number;
  /** When it is due otherwise. */
  runningDueMs: number;
}

/** Checks the daemons of all pods. */
export class PodHealthChecks {
  readonly #ports: PodHealthPorts;
  readonly #checks = new Map<string, Checks>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #changed = new Notifier();

  /** Starts nothing: `run` does. */
  constructor(ports: PodHealthPorts) {
    this.#ports = ports;
    ports.placement.subscribeBeyondLoad(() => this.#changed.notify());
    ports.state.subscribe(() => this.#changed.notify());
  }

  /** Runs until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, placement } = this.#ports;
    try {
      for (;;) {
        const backends = placement.pods.all;
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
    const health = placement.pods.healthOf(backend.uid);
    const checks = this.#checksOf(backend);
    if (checks.underWay !== undefined || !this.#needed(backend, health)) return Infinity;
    // By the present state, not by the state at the last check.
    const waits = placement.usage.held > 0 && !(health.served && health.missed === 0);
    const dueMs = waits ? checks.waitingDueMs : checks.runningDueMs;
    if (clock.nowMs() < dueMs) return dueMs;
    const stop = checks.underWay = new AbortController();
    const task = this.#check(backend, checks, stop.signal, signal).finally(() => {
      checks.underWay = undefined;
      this.#underWay.delete(task);
      this.#changed.notify();
    });
    this.#underWay.add(task);
    return Infinity;
  }

  /** The checks of a pod. If the pod has changed, a check under way is ended: it asks an address of the past. */
  #checksOf(backend: Backend): Checks {
    const known = this.#checks.get(backend.uid);
    if (known !== undefined && isSame(known.backend, backend)) return known;
    known?.underWay?.abort(new Error("The pod has changed"));
    const checks = {
      backend,
      underWay: undefined,
      futile: 0,
      unsupported: 0,
      closed: undefined,
      waitingDueMs: -Infinity,
      runningDueMs: known?.runningDueMs ?? -Infinity,
    };
    this.#checks.set(backend.uid, checks);
    return checks;
  }

  #needed(backend: Backend, health: PodHealth): boolean {
    const { placement: { usage, pods }, state } = this.#ports;
    if (backend.terminating || backend.addresses.length === 0) return false;
    if (conditionDecides(pods.mode, health) && !health.refuses) return false;
    if (usage.held > 0) return true;
    if (health.served) return usage.on(backend.ordinal) > 0;
    return state.isStuck || (backend.ready && !isReady(pods.mode, backend, health));
  }

  async #check(backend: Backend, checks: Checks, stop: AbortSignal, signal: AbortSignal): Promise<void> {
    const { clock, random, placement, dialler } = this.#ports;
    const before = placement.pods.healthOf(backend.uid);
    const onlyConnects = conditionDecides(placement.pods.mode, before);
    const asked = await this.#ask(backend, onlyConnects, stop, signal);
    if (stop.aborted || signal.aborted) return;
    const maySoonServe = asked === "serving" || asked === "missed" || asked === "closed";
    checks.futile = maySoonServe && !onlyConnects ? 0 : checks.futile + 1;
    const waiting = dialler.isForwarding ? WAITING_FORWARDED : WAITING;
    checks.waitingDueMs = clock.nowMs() + backoffMs(checks.futile, waiting, random);
    checks.runningDueMs = clock.nowMs() + RUNNING_INTERVAL_MS;
    // When this machine is out of descriptors or ports, that says nothing about the pod.
    if (asked === undefined) return;
    if (asked === "connected") return placement.pods.dialled(backend.uid);
    placement.pods.checked(backend.uid, this.#weigh(asked, checks));
    this.#report(backend, before, placement.pods.healthOf(backend.uid));
  }

  /** Undefined when it could not be asked. */
  async #ask(
    backend: Backend,
    onlyConnects: boolean,
    stop: AbortSignal,
    signal: AbortSignal,
  ): Promise<Asked | undefined> {
    const { dialler, clock } = this.#ports;
    using ends = anySignal(stop, signal);
    using limit = deadline(
      clock,
      CHECK_TIMEOUT_MS,
      ends.signal,
      () => new TimeoutError("The health check timed out"),
    );
    try {
      const conn = await dialler.dial(backend, limit.signal);
      if (!onlyConnects) return await checkHealth(conn, limit.signal);
      close(conn);
      return "connected";
    } catch (error) {
      return error instanceof DialError && error.isLocal ? undefined : "missed";
    }
  }

  /** One invalid answer may come from a dying daemon or a middlebox. Only several in a row mean "no health service". */
  #weigh(answer: HealthAnswer | "closed", checks: Checks): HealthAnswer {
    if (this.#mayStart(answer, checks)) return "missed";
    if (answer !== "closed" && answer !== "unsupported") {
      checks.unsupported = 0;
      return answer;
    }
    return ++checks.unsupported < UNSUPPORTED_LIMIT ? "missed" : "unsupported";
  }

  /** Whether the answer may be that of a sidecar whose daemon is about to listen. */
  #mayStart(answer: HealthAnswer | "closed", checks: Checks): boolean {
    const nowMs = this.#ports.clock.nowMs();
    const { closed, backend } = checks;
    const goesOn = closed !== undefined && nowMs <= closed.lastMs + CLOSED_PAUSE_MS;
    const sinceMs = goesOn ? closed.sinceMs : nowMs;
    checks.closed = answer === "closed" && !backend.ready ? { sinceMs, lastMs: nowMs } : undefined;
    return checks.closed !== undefined && nowMs < sinceMs + CLOSED_MS;
  }

  #report({ pod, uid }: Backend, before: PodHealth, after: PodHealth): void {
    const { log, placement } = this.#ports;
    if (after.unsupported && !before.unsupported) {
      const then = placement.pods.mode === "grpc"
        ? "the pod becomes ready only by an answer SERVING (--readiness grpc)"
        : "the pod's condition decides";
      log.warn("pod_health_unsupported", { pod, uid, then });
    }
    if (after.served && !before.served) log.debug("pod_health_check_passed", { pod, uid });
    if (after.missed === MISSED_LIMIT && before.missed < MISSED_LIMIT) {
      log.warn("pod_health_check_failed", { pod, uid });
    }
    if (after.served && after.missed === 0 && before.missed === MISSED_LIMIT) {
      log.info("pod_health_check_failed_recovered", { pod, uid });
    }
  }
}

/** Whether results for the one still apply to the other. */
function isSame(before: Backend, now: Backend): boolean {
  return before.ready === now.ready && before.addresses.join() === now.addresses.join();
}
