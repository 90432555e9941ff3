/**
 * The program under test as a child process: started with flags as a user would, its log records and its admin port
 * read, its end awaited.
 *
 * `AUTOSCALER_BIN` names a compiled program to run instead of the sources. Nothing of the program is imported.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { EventCode } from "../../lib/base/events.ts";
import type { StatusFacts } from "../../lib/ops/status_facts.ts";
import { baseEnvironment, Child } from "./child_process.ts";
import { until, type WaitOptions, within } from "./waiting.ts";

/** One line of the program's JSON log. */
export interface LogRecord {
  readonly time: string;
  readonly level: string;
  readonly code: EventCode;
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface ProgramOptions {
  /** Without one the program finds its credentials as a pod does. */
  readonly kubeconfig?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly namespace: string;
  readonly logFile: string;
  /** Run it as the first process of a process namespace, as a container does. */
  readonly asInit?: boolean;
  /** Gives the command that runs the program elsewhere, with these arguments and variables: in a container, say. */
  readonly launch?: (
    args: readonly string[],
    env: Readonly<Record<string, string>>,
  ) => Promise<readonly string[]>;
  /** Added to, and stronger than, the flags that every scenario uses; without the dashes. */
  readonly flags?: Readonly<Record<string, string>>;
  /** Ports of the program's own address for projects and pools, such as `{"project team-a": 8401}`. */
  readonly listeners?: Readonly<Record<string, number>>;
}

const MAIN = fileURLToPath(new URL("../../main.ts", import.meta.url));
const COMPILED = Deno.env.get("AUTOSCALER_BIN");
const OWN_COMMAND = COMPILED === undefined
  ? [Deno.execPath(), "run", "-A", "--no-check", "--cached-only", MAIN]
  : [COMPILED];

let programsSoFar = 0;

export class Program {
  readonly #child: Child;
  readonly #address: string;
  readonly #asInit: boolean;
  readonly records: LogRecord[] = [];
  /** Lines on standard error that were no JSON record. */
  readonly strayLines: string[] = [];

  private constructor(options: ProgramOptions, address: string, command: readonly string[]) {
    this.#address = address;
    this.#asInit = options.asInit ?? false;
    this.#child = new Child({
      name: "buildkitd-autoscaler",
      command: command[0] ?? "",
      args: command.slice(1),
      env: options.env ?? {},
      logFile: options.logFile,
      onStderrLine: (line) => {
        try {
          this.records.push(JSON.parse(line));
        } catch {
          this.strayLines.push(line);
        }
      },
    });
  }

  /** Starts the program and waits until it takes connections, whether or not it is ready. */
  static async start(options: ProgramOptions): Promise<Program> {
    const address = `10.99.2.${1 + programsSoFar++ % 250}`;
    const flags = {
      "listen-addr": `${address}:8372`,
      "admin-addr": `${address}:8081`,
      "sts-name": "buildkitd",
      "sts-namespace": options.namespace,
      "headless-service-name": "buildkitd-headless",
      ...(options.kubeconfig === undefined ? {} : { kubeconfig: options.kubeconfig }),
      "log-format": "json",
      "log-level": "debug",
      "shutdown-delay": "0s",
      // The machine of the suite reaches all pods; what "auto" does where it does not has a test of its own.
      "upstream": "slices",
      ...listenersFlag(address, options.listeners),
      ...options.flags,
    };
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
    const command = await options.launch?.(args, options.env ?? {}) ?? [...OWN_COMMAND, ...args];
    const asInit = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"];
    const program = new Program(options, address, options.asInit ? [...asInit, ...command] : command);
    await until("the program to answer on its admin port", async () => {
      if (program.#child.status !== undefined) return true;
      return (await program.probe("/livez")).status > 0;
    }, { explain: () => program.tail() });
    if (program.#child.status !== undefined) throw new Error(`The program ended at once\n${program.tail()}`);
    return program;
  }

  /** Where BuildKit clients connect. */
  get clientAddress(): string {
    return this.addressAt(8372);
  }

  /** The same at another port. */
  addressAt(port: number): string {
    return `tcp://${this.#address}:${port}`;
  }

  /** The address alone. */
  get ip(): string {
    return this.#address;
  }

  connect(): Promise<Deno.TcpConn> {
    return Deno.connect({ hostname: this.#address, port: 8372 });
  }

  get exited(): Promise<Deno.CommandStatus> {
    return this.#child.exited;
  }

  get running(): boolean {
    return this.#child.status === undefined;
  }

  async probe(path: string): Promise<{ readonly status: number; readonly body: string }> {
    const response = await fetch(`http://${this.#address}:8081${path}`, {
      signal: AbortSignal.timeout(5_000),
    });
    return { status: response.status, body: await response.text() };
  }

  /** What the status page shows, and that the page itself is there. */
  async status(): Promise<StatusFacts> {
    assert.equal((await this.probe("/")).status, 200);
    return JSON.parse((await this.probe("/status.json")).body);
  }

  /** Waits until `/readyz` says so. */
  async untilReady(): Promise<this> {
    await until("the program to be ready", async () => (await this.probe("/readyz")).status === 200, {
      explain: () => this.tail(),
    });
    return this;
  }

  events(code: EventCode): readonly LogRecord[] {
    return this.records.filter((record) => record.code === code);
  }

  /** The records that say how sessions ended. */
  get ended(): readonly LogRecord[] {
    return this.events("session_ended");
  }

  waitForRecord(
    what: string,
    matches: (record: LogRecord) => boolean,
    options: WaitOptions = {},
  ): Promise<LogRecord> {
    return until(`a log record: ${what}`, () => this.records.find(matches), {
      explain: () => this.tail(),
      ...options,
    });
  }

  /** The value of one series of `/metrics`, summed over its labels; 0 while there is none. */
  async metric(name: string): Promise<number> {
    const { body } = await this.probe("/metrics");
    return body.split("\n")
      .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  }

  /** Waits until so many sessions are held, by the program's own count. */
  async untilHeld(count: number): Promise<void> {
    await until(
      `${count} sessions to be held`,
      async () => await this.metric("buildkitd_autoscaler_sessions_held") === count,
      { explain: () => this.tail() },
    );
  }

  /** Waits until so many sessions or more are held: clients may have several. */
  async untilAtLeastHeld(count: number, options: WaitOptions = {}): Promise<void> {
    await until(
      `${count} or more sessions to be held`,
      async () => await this.metric("buildkitd_autoscaler_sessions_held") >= count,
      { explain: () => this.tail(), ...options },
    );
  }

  /** Waits until no session is open. */
  async untilNoneOpen(): Promise<void> {
    await until(
      "all sessions to have ended",
      async () => await this.metric("buildkitd_autoscaler_sessions_open") === 0,
      { explain: () => this.tail() },
    );
  }

  /** Waits until so many sessions have ended, and gives their records. */
  async untilEnded(count: number): Promise<readonly LogRecord[]> {
    await until(`${count} sessions to have ended`, () => this.ended.length >= count, {
      explain: () => this.tail(),
    });
    return this.ended;
  }

  signal(signal: Deno.Signal): void {
    if (!this.#asInit) return this.#child.signal(signal);
    const { pid } = this.#child;
    const [init] = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim().split(" ");
    Deno.kill(Number(init), signal);
  }

  /** Asks the program to leave and gives its exit code. */
  async stop(): Promise<number> {
    this.signal("SIGTERM");
    return (await within("the program to leave on SIGTERM", this.exited)).code;
  }

  kill(): Promise<void> {
    return this.#child.kill();
  }

  tail(lines = 40): string {
    return this.#child.tail(lines);
  }
}

/** Runs a command of the program that ends by itself, and gives what it printed. */
export async function runCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const [command = "", ...before] = OWN_COMMAND;
  const child = new Deno.Command(command, {
    args: [...before, ...args],
    clearEnv: true,
    env: { ...baseEnvironment(), ...env },
    stdin: "null",
  });
  const { code, stdout, stderr } = await within(`the end of "${args.join(" ")}"`, child.output());
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: decode(stdout), stderr: decode(stderr) };
}

function listenersFlag(
  address: string,
  listeners: ProgramOptions["listeners"],
): Readonly<Record<string, string>> {
  if (listeners === undefined) return {};
  const doors = Object.entries(listeners).map(([door, port]) => `${door}=${address}:${port}`);
  return { listeners: doors.join(", ") };
}

/**
 * Demands that a session ended as its client wanted. grpc-go closes its socket while answers are still on their way to it,
 * so the kernel may reset the connection of a client that has succeeded: that is no fault.
 */
export function assertEndedByClient(session: LogRecord | undefined): void {
  assert.ok(["completed", "downstream_reset"].includes(String(session?.outcome)), JSON.stringify(session));
}

/** Demands that a session was served to its end, by the one builder. */
export function assertServed(session: LogRecord | undefined): void {
  assertEndedByClient(session);
  assert.equal(session?.pod, "buildkitd-0");
  assert.equal(session?.ordinal, 0);
}
