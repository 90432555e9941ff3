/**
 * One child process of the suite: started, its output kept, stopped for certain.
 *
 * Output goes to a file (so that a full pipe can never stop the process) and, where asked for, line by line to a
 * listener. May not know what it runs.
 *
 * @module
 */

import { delay, within } from "./waiting.ts";

const PIPES_OPEN_MS = 1_000;

export interface ChildOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Standard output and error are appended to this file. */
  readonly logFile: string;
  /** Receives each whole line of standard error. */
  readonly onStderrLine?: (line: string) => void;
}

export class Child {
  readonly name: string;
  readonly logFile: string;
  readonly pid: number;
  /** Resolves when the process has ended and all its output was read. */
  readonly exited: Promise<Deno.CommandStatus>;
  status: Deno.CommandStatus | undefined;
  readonly #process: Deno.ChildProcess;

  constructor(options: ChildOptions) {
    this.name = options.name;
    this.logFile = options.logFile;
    const child = new Deno.Command(options.command, {
      args: [...options.args],
      clearEnv: true,
      env: { ...baseEnvironment(), ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#process = child;
    this.pid = child.pid;
    let logOpen = true;
    const log = Deno.openSync(this.logFile, { create: true, append: true });
    const pump = async (stream: ReadableStream<Uint8Array>, onLine?: (line: string) => void) => {
      const decoder = new TextDecoder();
      let rest = "";
      for await (const chunk of stream) {
        if (logOpen) log.writeSync(chunk);
        if (onLine === undefined) continue;
        const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        lines.forEach(onLine);
      }
      if (rest !== "" && onLine !== undefined) onLine(rest);
    };
    const pumped = Promise.all([pump(child.stdout), pump(child.stderr, options.onStderrLine)]);
    this.exited = (async () => {
      const status = await child.status;
      // A grandchild that lives on may keep the pipes open: what it prints is not waited for.
      await Promise.race([pumped, delay(PIPES_OPEN_MS)]);
      logOpen = false;
      log.close();
      this.status = status;
      return status;
    })();
  }

  /** Sends a signal; one to a process that is gone already is no error. */
  signal(signal: Deno.Signal): void {
    if (this.status !== undefined) return;
    try {
      this.#process.kill(signal);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof TypeError) return;
      throw error;
    }
  }

  /** Ends the process whatever state it is in (a stopped one too) and waits until it is gone. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await within(`the end of ${this.name}`, this.exited);
  }

  /** The last lines of what it printed, for error messages. */
  tail(lines = 30): string {
    return `--- ${this.name}: ${this.logFile}\n` +
      Deno.readTextFileSync(this.logFile).trimEnd().split("\n").slice(-lines).join("\n");
  }
}

/** What every child may see of the environment: enough to find programs and caches, no kubeconfig of the user's. */
export function baseEnvironment(): Record<string, string> {
  const kept: Record<string, string> = { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" };
  for (const name of ["PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "DENO_DIR", "LANG"]) {
    const value = Deno.env.get(name);
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}
