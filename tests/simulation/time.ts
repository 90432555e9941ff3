/**
 * The simulation's time: one event at a time, in the order in which they are due, and between two of them everything
 * that can run without time passing has run. Each simulated machine has clocks of its own on top of it, which drift,
 * jump, stand still and stop.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { TimerHeap } from "../support/timer_heap.ts";
import type { CancelTimer, Clock } from "../../lib/base/clock.ts";

/** Events at one moment without time passing: more than this is an endless loop. */
const LIVELOCK_EVENTS = 50_000;

/** A timer is never shorter than this, or rounding could keep time from passing. */
const SHORTEST_MS = 0.01;

/** True time. */
export class WorldTime implements Clock {
  /** Events that have run. */
  events = 0;
  readonly #timers = new TimerHeap();
  #nowMs = 1_000_000;
  #atOnce = 0;

  /** True time, in ms. */
  nowMs(): number {
    return this.#nowMs;
  }

  /** The same: true time never stands still. */
  bootMs(): number {
    return this.#nowMs;
  }

  /** A date to begin at. */
  wallMs(): number {
    return Date.UTC(2024, 0, 1) + this.#nowMs;
  }

  /** See {@link Clock.setTimer}. */
  setTimer(delayMs: number, callback: () => void): CancelTimer {
    const dueMs = this.#nowMs + (delayMs > 0 ? Math.max(SHORTEST_MS, delayMs) : 0);
    if (dueMs === Infinity) return () => {};
    const timer = this.#timers.add(dueMs, callback);
    return () => timer.run = undefined;
  }

  /** See {@link Clock.nextTurn}. */
  nextTurn(callback: () => void): void {
    this.setTimer(0, callback);
  }

  /** Moves time on to `untilMs`, or until `over`. */
  async run(untilMs: number, over: () => boolean = () => false): Promise<void> {
    await flush();
    while (!over()) {
      const { next } = this.#timers;
      if (next === undefined || next.dueMs > untilMs) {
        this.#nowMs = Math.max(this.#nowMs, untilMs);
        return;
      }
      this.#timers.take();
      const { run } = next;
      if (run === undefined) continue;
      next.run = undefined;
      this.#atOnce = next.dueMs > this.#nowMs ? 0 : this.#atOnce + 1;
      if (this.#atOnce > LIVELOCK_EVENTS) throw new Error("Time does not pass any more: an endless loop");
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      this.events++;
      run();
      await flush();
    }
  }
}

/** Lets all promise jobs run: they do before the runtime comes back to this. */
function flush(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A process on a machine, with the machine's clocks. Everything that reaches the process goes through `deliver`. */
export class Machine implements Clock {
  /** For traces. */
  readonly name: string;
  /** Its clocks gain this much on true time: 1 is right. */
  readonly rate: number;
  readonly #world: WorldTime;
  readonly #bornMs: number;
  #state: "runs" | "frozen" | "suspended" | "dead" = "runs";
  #wallOffsetMs = 0;
  /** True time that it has spent suspended, and since when it is. */
  #suspendedMs = 0;
  #stoppedMs = 0;
  #waiting: (() => void)[] = [];
  #catchingUp = false;
  /** When it last stood still, true ms; -Infinity if never. */
  lastStoppedMs = -Infinity;

  /** Runs from now on. */
  constructor(name: string, world: WorldTime, rate = 1) {
    this.name = name;
    this.rate = rate;
    this.#world = world;
    this.#bornMs = world.nowMs();
  }

  /** Whether it was killed, or has ended. */
  get dead(): boolean {
    return this.#state === "dead";
  }

  /** Whether it stands still. */
  get stopped(): boolean {
    return this.#state === "frozen" || this.#state === "suspended";
  }

  /** See {@link Clock.nowMs}: stands still in a suspend. */
  nowMs(): number {
    const suspendedMs = this.#suspendedMs +
      (this.#state === "suspended" ? this.#world.nowMs() - this.#stoppedMs : 0);
    return 5_000 + (this.#world.nowMs() - this.#bornMs - suspendedMs) * this.rate;
  }

  /** See {@link Clock.bootMs}: whole seconds. */
  bootMs(): number {
    return Math.floor((777_777 + (this.#world.nowMs() - this.#bornMs) * this.rate) / 1000) * 1000;
  }

  /** See {@link Clock.wallMs}. */
  wallMs(): number {
    return this.#world.wallMs() + this.#wallOffsetMs;
  }

  /** See {@link Clock.setTimer}. */
  setTimer(delayMs: number, callback: () => void): CancelTimer {
    const dueMs = this.nowMs() + Math.max(0, delayMs);
    let cancelled = false;
    let cancel = () => {};
    const arm = () => {
      cancel = this.#world.setTimer(
        Math.max(SHORTEST_MS, (dueMs - this.nowMs()) / this.rate),
        () =>
          this.deliver(() => {
            if (cancelled) return;
            if (dueMs - this.nowMs() > SHORTEST_MS) return arm();
            callback();
          }),
      );
    };
    if (dueMs < Infinity) arm();
    return () => {
      cancelled = true;
      cancel();
    };
  }

  /** See {@link Clock.nextTurn}. */
  nextTurn(callback: () => void): void {
    this.setTimer(0, callback);
  }

  /** The wall clock is set. */
  jump(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /** The wall clock is right again. */
  setRight(): void {
    this.#wallOffsetMs = 0;
  }

  /** Runs what reaches the process, in the order in which it comes: now, when it goes on, or never. */
  deliver(what: () => void): void {
    if (this.#state === "dead") return;
    if (this.#state === "runs" && this.#waiting.length === 0) what();
    else this.#waiting.push(what);
  }

  /** SIGSTOP, or the suspend of the whole machine: then its monotonic clock stands still, too. */
  stop(how: "frozen" | "suspended"): void {
    if (this.#state !== "runs") return;
    this.#state = how;
    this.#stoppedMs = this.#world.nowMs();
  }

  /** It goes on; what waited comes one after the other. */
  goOn(): void {
    if (!this.stopped) return;
    this.lastStoppedMs = this.#world.nowMs();
    if (this.#state === "suspended") this.#suspendedMs += this.#world.nowMs() - this.#stoppedMs;
    this.#state = "runs";
    this.#catchUp();
  }

  #catchUp(): void {
    if (this.#catchingUp || this.#waiting.length === 0) return;
    this.#catchingUp = true;
    this.#world.setTimer(0, () => {
      this.#catchingUp = false;
      if (this.#state !== "runs") return;
      const what = this.#waiting[0]!;
      what();
      // Not before: what it brings about comes after what waits.
      this.#waiting.shift();
      this.#catchUp();
    });
  }

  /** SIGKILL: nothing reaches it any more. */
  kill(): void {
    this.#state = "dead";
    this.#waiting = [];
  }
}
