/**
 * A copy of the checkout in which one mutant at a time is tried. A run of tests that takes several times as long as without
 * the mutant is stopped with all its children, and counts as noticed: it hangs.
 *
 * @module
 */
import type { Stages } from "./import_graph.ts";
import { type Mutant, mutated } from "./operators.ts";

/** What noticed a mutant: a test, a test that did not end in time, the type checker, or nothing. */
export type Outcome = "tests" | "timeout" | "types" | "survived";

/** How a run of tests ended, and how long it took. */
interface Run {
  readonly end: "passed" | "failed" | "timeout";
  readonly tookMs: number;
  readonly output: string;
}

const ROOT = new URL("../../", import.meta.url).pathname;

/** A run without a mutant may take this long. */
const UNMUTATED_LIMIT_MS = 300_000;

/** The machine may be busy: beside three times as long as without a mutant, every run gets this. */
const SPARE_MS = 10_000;

/** How long each group of tests takes without a mutant; the same for all copies. */
export type Baselines = Map<string, Promise<number>>;

/** One copy. Dispose of it. */
export class Copy implements AsyncDisposable {
  readonly #folder: string;
  readonly #baselines: Baselines;
  #running: Deno.ChildProcess | undefined;

  private constructor(folder: string, baselines: Baselines) {
    this.#folder = folder;
    this.#baselines = baselines;
  }

  /** Copies everything that git does not ignore. */
  static async make(baselines: Baselines): Promise<Copy> {
    const folder = await Deno.makeTempDir({ prefix: "mutation-" });
    const listed = await new Deno.Command("git", {
      args: ["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
      cwd: ROOT,
    }).output();
    if (!listed.success) throw new Error(new TextDecoder().decode(listed.stderr));
    for (const path of new TextDecoder().decode(listed.stdout).split("\0")) {
      if (path === "" || !await isThere(`${ROOT}${path}`)) continue;
      await Deno.mkdir(`${folder}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
      await Deno.copyFile(`${ROOT}${path}`, `${folder}/${path}`);
    }
    return new Copy(folder, baselines);
  }

  /** Tries one mutant; `show` gets the output of each run. */
  async try(mutant: Mutant, stages: Stages, show?: (output: string) => void): Promise<Outcome> {
    const file = `${this.#folder}/${mutant.path}`;
    const text = await Deno.readTextFile(file);
    for (const [i, stage] of stages.entries()) {
      const limitMs = SPARE_MS + 3 * await this.#baselineMs(stage);
      await Deno.writeTextFile(file, mutated(text, mutant));
      try {
        const run = await this.#test(stage, limitMs);
        show?.(run.output);
        if (run.end !== "passed") return run.end === "failed" ? "tests" : "timeout";
        // Types are cheaper than what comes after the unit tests, and dearer than those.
        const isNext = i === stages.length - 1 || !/unit|property/.test(stages[i + 1]![0]!);
        if (
          isNext && (await this.#run(["check", "--quiet", mutant.path], UNMUTATED_LIMIT_MS)).end === "failed"
        ) {
          return "types";
        }
      } finally {
        await Deno.writeTextFile(file, text);
      }
    }
    return "survived";
  }

  #baselineMs(stage: readonly string[]): Promise<number> {
    const key = stage.join(" ");
    const known = this.#baselines.get(key);
    if (known !== undefined) return known;
    const measured = this.#measure(stage);
    this.#baselines.set(key, measured);
    return measured;
  }

  /** @throws Error when the tests fail without a mutant, twice: nothing could be learnt from them */
  async #measure(stage: readonly string[]): Promise<number> {
    const first = await this.#test(stage, UNMUTATED_LIMIT_MS);
    const run = first.end === "passed" ? first : await this.#test(stage, UNMUTATED_LIMIT_MS);
    if (run.end === "passed") return run.tookMs;
    throw new Error(
      `Cannot use tests that fail without a mutant (${run.end}): ${stage.join(" ")}\n${run.output}`,
    );
  }

  #test(stage: readonly string[], limitMs: number): Promise<Run> {
    const heap = "--v8-flags=--max-old-space-size=1024";
    return this.#run(["test", "-A", "--no-check", "--fail-fast", "--quiet", heap, ...stage], limitMs);
  }

  async #run(args: readonly string[], limitMs: number): Promise<Run> {
    const startedMs = performance.now();
    const child = new Deno.Command(Deno.execPath(), {
      args: [...args],
      cwd: this.#folder,
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      // A group of its own, so that it can be killed with its children.
      detached: true,
    }).spawn();
    this.#running = child;
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.stop();
    }, limitMs);
    try {
      const { success, stdout, stderr } = await child.output();
      const decoder = new TextDecoder();
      const output = decoder.decode(stdout) + decoder.decode(stderr);
      return {
        end: isLate ? "timeout" : success ? "passed" : "failed",
        tookMs: performance.now() - startedMs,
        output,
      };
    } finally {
      clearTimeout(timer);
      this.stop();
      this.#running = undefined;
    }
  }

  /** Kills what runs, with its children. */
  stop(): void {
    if (this.#running === undefined) return;
    try {
      Deno.kill(-this.#running.pid, "SIGKILL");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound) && !/ESRCH/.test(String(error))) throw error;
    }
  }

  /** Removes the copy, if it is there. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    if (await Deno.stat(this.#folder).then(() => true, () => false)) {
      await Deno.remove(this.#folder, { recursive: true });
    }
  }
}

function isThere(path: string): Promise<boolean> {
  return Deno.lstat(path).then(({ isFile }) => isFile, () => false);
}
