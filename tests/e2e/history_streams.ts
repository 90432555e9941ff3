/**
 * Watchers of builds as Docker Desktop opens them: each is a process of `buildctl` with one stream of
 * `ListenBuildHistory`, its connection's first and only call, which goes on until somebody ends it.
 *
 * @module
 */

import { join } from "node:path";
import { Child } from "./child_process.ts";
import type { Program } from "./program.ts";
import type { Cluster } from "./scenario.ts";
import { programPath } from "./surroundings.ts";
import { cleanUp } from "./waiting.ts";

let startedSoFar = 0;

/** Streams that are open, or wait for a builder. */
export class HistoryStreams implements AsyncDisposable {
  readonly #children: readonly Child[];

  private constructor(children: readonly Child[]) {
    this.#children = children;
  }

  /**
   * Opens so many through `program`. With `exportTraces` each client reports its trace before it ends, as `buildctl` does
   * by itself: by another call, on a new connection if the stream's was cut.
   */
  static open(
    cluster: Pick<Cluster, "folder">,
    program: Program,
    count: number,
    options: { readonly exportTraces?: boolean } = {},
  ): HistoryStreams {
    return new HistoryStreams(Array.from({ length: count }, () => {
      const name = `watcher-${++startedSoFar}`;
      return new Child({
        name,
        command: programPath("buildctl"),
        args: [`--addr=${program.clientAddress}`, "debug", "monitor", "--completed"],
        env: options.exportTraces ? {} : { OTEL_TRACES_SAMPLER: "always_off" },
        logFile: join(cluster.folder, `${name}.log`),
      });
    }));
  }

  /** How many go on. */
  get open(): number {
    return this.#children.filter(({ status }) => status === undefined).length;
  }

  /** What each has printed so far: a line for each event of a build. */
  get printed(): readonly string[] {
    return this.#children.map(({ logFile }) => Deno.readTextFileSync(logFile));
  }

  /** Ends all. */
  async [Symbol.asyncDispose](): Promise<void> {
    await cleanUp(...this.#children.map((child) => () => child.kill()));
  }
}
