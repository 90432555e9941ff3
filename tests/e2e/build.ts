/**
 * A real build through the proxy, by `buildctl` or `docker buildx`, whose one RUN step goes on until the test lets it end.
 *
 * The step connects back to the test (pods use the host's network here) and ends when the test closes that
 * connection, so a test knows that the build is under way, and decides for how long, without any sleeping. The result
 * comes back as a file and is compared, so a build only counts when its bytes arrived both ways.
 *
 * A build of a project has a step before that one, the same in each build of the project: it tells which pod it ran in,
 * and a builder that has run it before does not run it again.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { buildCommand, type ClientName, type ClientTls } from "./build_clients.ts";
import { Child } from "./child_process.ts";
import { API_ADDRESS } from "./control_plane.ts";
import { within } from "./waiting.ts";

export interface BuildOptions {
  readonly client: ClientName;
  /** The client's program. */
  readonly program: string;
  /** A statically linked one: it is the only program in the image. */
  readonly busybox: string;
  /** As buildctl takes it: `tcp://HOST:PORT`. */
  readonly address: string;
  readonly folder: string;
  /** Uses TLS. */
  readonly tls?: ClientTls;
  /** So many random bytes are sent with the context, come back with the result, and are compared. */
  readonly payloadBytes?: number;
  /** The project that is built. */
  readonly project?: string;
}

/** The project's step, as the build's result tells of it. */
export interface ProjectStep {
  /** The pod that has run the step, in this build or in one before. */
  readonly pod: string;
  /** Another for each time that the step ran. */
  readonly run: string;
  /** Whether the client printed that the step was not run again. */
  readonly cached: boolean;
}

export class Build {
  readonly #child: Child;
  readonly #listener: Deno.TcpListener;
  readonly #mark: string;
  readonly #output: string;
  readonly #inStep: Promise<Deno.Conn>;
  readonly #payload: Uint8Array;
  #finished = false;

  private constructor(options: BuildOptions, mark: string, payload: Uint8Array, listener: Deno.TcpListener) {
    this.#mark = mark;
    this.#payload = payload;
    this.#listener = listener;
    this.#output = join(options.folder, `output-${mark}`);
    const context = join(options.folder, `context-${mark}`);
    this.#inStep = listener.accept();
    // Unhandled only if the listener is closed before the step ran; `running` reports every other failure.
    this.#inStep.catch(() => {});
    this.#child = new Child({
      name: `${options.client} ${mark}`,
      ...buildCommand(options.client, {
        ...options,
        context,
        output: this.#output,
        settings: join(options.folder, `settings-${mark}`),
      }),
      logFile: join(options.folder, `${options.client}-${mark}.log`),
    });
  }

  static async start(options: BuildOptions): Promise<Build> {
    const mark = crypto.randomUUID().slice(0, 8);
    const listener = Deno.listen({ hostname: API_ADDRESS, port: 0 });
    const context = join(options.folder, `context-${mark}`);
    await Deno.mkdir(context);
    await Deno.mkdir(join(options.folder, `settings-${mark}`));
    await Deno.copyFile(options.busybox, join(context, "busybox"));
    const payload = randomBytes(options.payloadBytes ?? 0);
    await Deno.writeFile(join(context, "payload"), payload);
    const step =
      `nc ${API_ADDRESS} ${listener.addr.port} > /dev/null && mkdir -p /out && echo ${mark} > /out/mark`;
    await Deno.writeTextFile(join(context, "Dockerfile"), dockerfile(step, options.project));
    return new Build(options, mark, payload, listener);
  }

  /** What a build of a project tells, once it is finished. */
  async projectStep(): Promise<ProjectStep> {
    const text = await Deno.readTextFile(join(this.#output, "project"));
    const [, pod = ""] = /^search (\S+)$/m.exec(text) ?? [];
    const printed = await Deno.readTextFile(this.#child.logFile);
    const [, number] = /^#(\d+) .*RUN .*\/out\/project/m.exec(printed) ?? [];
    assert.ok(pod !== "" && number !== undefined, `${text}\n${printed}`);
    return {
      pod,
      run: text.trim().split("\n").at(-1)!,
      cached: new RegExp(`^#${number} CACHED$`, "m").test(printed),
    };
  }

  /** Resolves when the RUN step is under way; fails if the client ends before. */
  async running(): Promise<this> {
    const ended = this.#child.exited.then((status) => {
      throw new Error(`The client ended with ${status.code} before its step ran\n${this.#child.tail()}`);
    });
    await within("a build step to run", Promise.race([this.#inStep, ended])).catch((error) => {
      throw new Error(`${error.message}\n${this.#child.tail()}`, { cause: error });
    });
    return this;
  }

  /** Whether the client has ended, in whatever way. */
  get ended(): boolean {
    return this.#child.status !== undefined;
  }

  /** Lets the step end as soon as it runs, and demands that the client then leaves with 0 and the right result. */
  async finish(): Promise<void> {
    await this.running();
    (await this.#inStep).close();
    this.#finished = true;
    const status = await within("the client to end", this.#child.exited);
    assert.equal(status.code, 0, this.#child.tail());
    assert.equal(await Deno.readTextFile(join(this.#output, "mark")), `${this.#mark}\n`);
    const payload = await Deno.readFile(join(this.#output, "payload"));
    assert.ok(bytesEqual(payload, this.#payload), "the payload came back as it was sent");
  }

  /** The client goes away without a word, as when its machine is switched off by the user. */
  async kill(): Promise<void> {
    await this.#child.kill();
  }

  /** The end of the client, with what it printed. */
  async result(): Promise<{ readonly code: number; readonly output: string }> {
    const { code } = await within("the client to end", this.#child.exited);
    return { code, output: this.#child.tail(200) };
  }

  tail(): string {
    return this.#child.tail();
  }

  /** Ends what is still there; for the end of a test. */
  async dispose(): Promise<void> {
    await this.#child.kill();
    this.#listener.close();
    if (!this.#finished) {
      const closed = this.#inStep.then((conn) => conn.close(), () => {});
      await within("the end of the build step's connection", closed);
    }
    this.#finished = true;
  }
}

/** One that runs `step` last, and keeps what lies in `/out`. */
function dockerfile(step: string, project: string | undefined): string {
  const programs = ["sh", "nc", "mkdir", "cat"];
  const tell = `mkdir /out && cat /etc/resolv.conf /proc/sys/kernel/random/uuid > /out/project # ${project}`;
  const run = (command: string) => `RUN ["/bin/sh", "-c", ${JSON.stringify(command)}]`;
  return [
    "FROM scratch AS step",
    ...programs.map((name) => `COPY --chmod=755 busybox /bin/${name}`),
    ...project === undefined ? [] : [run(tell)],
    run(step),
    "FROM scratch",
    "COPY --from=step /out /",
    "COPY payload /payload",
    "",
  ].join("\n");
}

function randomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  // One call may fill 64 KiB at most.
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes;
}

function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
