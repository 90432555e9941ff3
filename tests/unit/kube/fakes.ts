/**
 * A machine and a clock that tests hold in their hands.
 *
 * @module
 */
import type { Clock } from "../../../lib/base/clock.ts";
import type { EventCode } from "../../../lib/base/events.ts";
import { type LogFields, logTo } from "../../../lib/base/log.ts";
import type { Command, CommandOutcome, Machine } from "../../../lib/kube/machine.ts";

/** Time that moves when told to. */
export class FakeClock implements Clock {
  #nowMs = 0;
  #timers: { dueMs: number; callback: () => void }[] = [];
  /** Wall time at the start. */
  readonly startWallMs: number = Date.parse("2030-01-01T00:00:00Z");

  nowMs(): number {
    return this.#nowMs;
  }

  bootMs(): number {
    return this.nowMs();
  }

  wallMs(): number {
    return this.startWallMs + this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): () => void {
    const timer = { dueMs: this.#nowMs + delayMs, callback };
    this.#timers.push(timer);
    return () => this.#timers = this.#timers.filter((other) => other !== timer);
  }

  nextTurn(callback: () => void): void {
    this.setTimer(0, callback);
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Lets time pass and fires what is due. */
  advance(ms: number): void {
    this.#nowMs += ms;
    const due = this.#timers.filter(({ dueMs }) => dueMs <= this.#nowMs);
    this.#timers = this.#timers.filter((timer) => !due.includes(timer));
    for (const { callback } of due) callback();
  }
}

/** A machine with the files, variables and programs that a test gives it. */
export class FakeMachine implements Machine {
  /** Path to content. */
  readonly files = new Map<string, string>();
  /** Variables. */
  readonly variables = new Map<string, string>();
  /** How often each file was read. */
  readonly reads = new Map<string, number>();
  readonly env = (name: string): string | undefined => this.variables.get(name) || undefined;

  setEnv(name: string, value: string): void {
    this.variables.set(name, value);
  }

  readText(path: string): Promise<string> {
    this.reads.set(path, (this.reads.get(path) ?? 0) + 1);
    const text = this.files.get(path);
    return text === undefined
      ? Promise.reject(Object.assign(new Error(`No such file: ${path}`), { code: "ENOENT" }))
      : Promise.resolve(text);
  }

  home(): string | undefined {
    return "/home/dev";
  }

  denoVersion(): string {
    return "2.9.6";
  }

  hasTerminal(): boolean {
    return false;
  }

  run(command: Command): Promise<CommandOutcome> {
    return Promise.reject(
      Object.assign(new Error(`No such program: ${command.program}`), { code: "ENOENT" }),
    );
  }
}

/** One record of a {@link recorder}. */
export interface LogRecord {
  readonly level: string;
  readonly code: EventCode;
  readonly fields: LogFields;
}

/** A log that keeps what it is told. */
export function recorder() {
  const records: LogRecord[] = [];
  return { records, log: logTo((level, code, fields) => records.push({ level, code, fields })) };
}

/** All ports at once. */
export function fakePorts() {
  const machine = new FakeMachine();
  const clock = new FakeClock();
  const { records, log } = recorder();
  return { machine, clock, log, records };
}

/** A signal that nobody aborts. */
export const never: AbortSignal = new AbortController().signal;
