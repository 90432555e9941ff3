/**
 * The program as its users run it: a process of its own, with a kubeconfig, JSON lines on standard error, signals and an
 * exit code.
 *
 * @module
 */
import config from "../../deno.json" with { type: "json" };
import type { EventCode } from "../../lib/base/events.ts";
import type { Address } from "../../lib/base/network.ts";
import { within } from "./deadline.ts";
import type { World } from "./program.ts";

/** One line of the log. */
export type Line = Readonly<Record<string, unknown>>;

/** How it is started. */
export interface ChildOptions {
  /** More arguments. */
  readonly args?: readonly string[];
  /** The most descriptors that it may have open: the soft and the hard limit. */
  readonly descriptors?: number;
  /** Variables of its environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** The soft limit alone, which `deno run` raises to the hard one. */
  readonly softDescriptors?: number;
  /** A compiled program to start instead of the sources. */
  readonly binary?: string;
  /** The token in its kubeconfig. */
  readonly token: string;
  /** What its kubeconfig says of the user instead. */
  readonly user?: Readonly<Record<string, unknown>>;
  /** What its kubeconfig says of the cluster, instead of the world's API server. */
  readonly cluster?: Readonly<Record<string, unknown>>;
}

/** The flags of V8 that the `start` task sets: memory is measured with them. */
const V8_FLAGS = /--v8-flags=\S+/.exec(config.tasks.start.command)![0];

const ROOT = new URL("../../", import.meta.url);

/** A process that runs the program. */
export class ChildProgram implements AsyncDisposable {
  /** The lines of its log. */
  readonly lines: Line[] = [];
  /** Everything that it has written. */
  output = "";
  readonly #world: World;
  readonly #child: Deno.ChildProcess;
  readonly #folder: string;
  readonly #reading: Promise<void>;
  #exited = false;

  private constructor(world: World, child: Deno.ChildProcess, folder: string) {
    this.#world = world;
    this.#child = child;
    this.#folder = folder;
    this.#reading = this.#read();
  }

  /** Starts it in front of a world, and returns once it listens. */
  static async start(world: World, options: ChildOptions): Promise<ChildProgram> {
    const { args = [], descriptors, softDescriptors, binary, token } = options;
    const { user = { token }, cluster = { server: world.front.url.origin } } = options;
    const folder = await Deno.makeTempDir();
    const kubeconfig = `${folder}/kubeconfig`;
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "test",
      contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
      clusters: [{ name: "test", cluster }],
      users: [{ name: "test", user }],
    };
    await Deno.writeTextFile(kubeconfig, JSON.stringify(config));
    const sources = [
      Deno.execPath(),
      "run",
      "--no-prompt",
      "--allow-all",
      "--no-check",
      V8_FLAGS,
      new URL("main.ts", ROOT).pathname,
    ];
    const command = [
      ...(binary === undefined ? sources : [binary]),
      "--listen-addr=127.0.0.1:0",
      "--admin-addr=127.0.0.1:0",
      `--target-port=${world.targetPort}`,
      `--kubeconfig=${kubeconfig}`,
      "--log-format=json",
      "--log-level=debug",
      ...args,
    ];
    const limit = descriptors !== undefined
      ? `ulimit -n ${descriptors}; `
      : softDescriptors !== undefined
      ? `ulimit -Sn ${softDescriptors}; `
      : "";
    const child = new Deno.Command("sh", {
      args: ["-c", `${limit}exec "$@"`, "sh", ...command],
      // Deno looks for a newer version of itself now and then: no request of the program's.
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...options.env },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const program = new ChildProgram(world, child, folder);
    await program.logged("listening");
    return program;
  }

  /** Where clients connect. */
  get address(): Address {
    return this.#listening("addr");
  }

  /** The admin port. */
  get adminAddress(): Address {
    return this.#listening("adminAddr");
  }

  #listening(field: string): Address {
    const [hostname = "", port] = String(this.of("listening")[0]![field]).split(":");
    return { hostname, port: Number(port) };
  }

  /** The folder of its kubeconfig. */
  get folder(): string {
    return this.#folder;
  }

  /** An answer of the admin port, over a connection of its own. */
  async admin(path: string): Promise<{ status: number; text: string }> {
    const { hostname, port } = this.adminAddress;
    using client = Deno.createHttpClient({});
    const response = await fetch(`http://${hostname}:${port}${path}`, { client });
    return { status: response.status, text: await response.text() };
  }

  /** The value of a metric without labels. */
  async metric(name: string): Promise<number> {
    const { text } = await this.admin("/metrics");
    return Number(text.match(new RegExp(`^${name} (.*)$`, "m"))?.[1]);
  }

  /** The lines of one event. */
  of(code: EventCode): readonly Line[] {
    return this.lines.filter((line) => line["code"] === code);
  }

  /** Resolves once `count` lines of an event were written. */
  async logged(code: EventCode, count = 1): Promise<Line> {
    await this.#world.until(`${count} × "${code}" of the process`, () => {
      if (this.#exited && this.of(code).length < count) {
        throw new Error(`The process has ended:\n${this.output}`);
      }
      return this.of(code).length >= count;
    }).catch((error) => {
      error.message += `\n${this.output.slice(-4000)}`;
      throw error;
    });
    return this.of(code)[count - 1]!;
  }

  /** Sends a signal. */
  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Its exit code. */
  async exitCode(): Promise<number> {
    const { code } = await within(this.#child.status, "the end of the process", () => this.output);
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#exited) this.#child.kill("SIGKILL");
    await within(this.#child.status, "the end of the process", () => this.output);
    await within(this.#reading, "the end of the process's output", () => this.output);
    await Deno.remove(this.#folder, { recursive: true });
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this.#child.stderr) {
      const text = decoder.decode(chunk, { stream: true });
      this.output += text;
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        try {
          this.lines.push(JSON.parse(line));
        } catch {
          this.lines.push({ code: "no JSON", line });
        }
      }
      this.#world.changed();
    }
    await this.#child.status;
    this.#exited = true;
    this.#world.changed();
  }
}
