/**
 * The processes of the benchmark: started, waited for, looked at and ended. Linux only.
 *
 * @module
 */

/** A client that takes longer than this hangs, in ms. */
const HANGS_MS = 120_000;

/** Those that run now: they end with this process, however that ends, unless it is killed. */
const running = new Set<Deno.ChildProcess>();

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.addSignalListener(signal, () => {
    for (const child of running) child.kill("SIGKILL");
    Deno.exit(code);
  });
}

/** A process that runs until it is disposed of. */
export class Background implements AsyncDisposable {
  /** What the kernel calls it. */
  readonly pid: number;
  readonly #child: Deno.ChildProcess;
  readonly #name: string;
  #ended = false;

  /** Starts it, its standard error appended to `logFile`. The shell is replaced by the program: the id is its own. */
  constructor(name: string, logFile: string, command: string, args: readonly string[]) {
    this.#name = name;
    this.#child = new Deno.Command("sh", {
      args: ["-c", 'log=$1; shift; exec "$@" 2>> "$log"', "sh", logFile, command, ...args],
      clearEnv: true,
      env: environment(),
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    this.pid = this.#child.pid;
    running.add(this.#child);
    this.#child.status.then(() => {
      this.#ended = true;
      running.delete(this.#child);
    });
  }

  /** Resolves once `probe` does not throw. @throws when the process ends before that */
  async until(probe: () => Promise<unknown>): Promise<void> {
    for (;;) {
      if (this.#ended) throw new Error(`${this.#name} has ended`);
      try {
        await probe();
        return;
      } catch {
        await delay(20);
      }
    }
  }

  /** Memory that is resident, in MB (10^6 bytes). */
  get residentMb(): number {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${this.pid}/status`))?.[1];
    return Number(kib) * 1024 / 1e6;
  }

  /** CPU time that was spent since the start, user and system, in seconds. */
  get cpuSeconds(): number {
    const stat = Deno.readTextFileSync(`/proc/${this.pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  /** Ends it hard. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.#child.kill("SIGKILL");
    await this.#child.status;
  }
}

/** Runs a program to its end and gives what it printed. @throws Error when it fails or hangs */
export async function output(command: string, args: readonly string[]): Promise<string> {
  const signal = AbortSignal.timeout(HANGS_MS);
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args], signal }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (!success) throw new Error(`Cannot run "${command} ${args.join(" ")}": ${decode(stderr) || "it hangs"}`);
  return decode(stdout);
}

/** Connections that a client keeps open until they are disposed of. */
export class Kept implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
  }

  /** Resolves when the client says that all are open. */
  static async open(command: string, args: readonly string[]): Promise<Kept> {
    const child = new Deno.Command(command, {
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    running.add(child);
    child.status.then(() => running.delete(child));
    const hangs = setTimeout(() => child.kill("SIGKILL"), HANGS_MS);
    const { value } = await child.stdout.pipeThrough(new TextDecoderStream()).getReader().read();
    clearTimeout(hangs);
    if (value?.trim() !== "ready") throw new Error(`Cannot run "${args.join(" ")}": it did not get ready`);
    return new Kept(child);
  }

  /** Closes them all. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.close();
    await this.#child.status;
  }
}

/** Connects and closes. @throws when nobody listens */
export async function connectOnce(hostname: string, port: number): Promise<void> {
  (await Deno.connect({ hostname, port })).close();
}

/** No setting of the user's: only what finds programs and caches. */
function environment(): Record<string, string> {
  const kept = ["PATH", "HOME", "TMPDIR", "DENO_DIR", "XDG_CACHE_HOME"].flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  // As in the image and the `start` task.
  return {
    DENO_TOKIO_EVENT_INTERVAL: "1",
    NO_COLOR: "1",
    DENO_NO_UPDATE_CHECK: "1",
    ...Object.fromEntries(kept),
  };
}

/** Lets time pass. */
export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A port that nobody listens on just now. */
export function freePort(hostname: string): number {
  const listener = Deno.listen({ hostname, port: 0 });
  listener.close();
  return listener.addr.port;
}

/** How many files this process, and those that it starts, may open. */
export function descriptorLimit(): number {
  return Number(/^Max open files\s+(\d+)/m.exec(Deno.readTextFileSync("/proc/self/limits"))?.[1]);
}
