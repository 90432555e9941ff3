/**
 * The demo's second act: three builders behind one address, and builds of three projects. Two projects keep to their
 * builders, the third is too much for its own and overflows, one build waits in the queue, and each builder sleeps on its
 * own. Pods are stubs.
 *
 * @module
 */
import { sleep, systemClock } from "../base/clock.ts";
import { Notifier } from "../base/notifier.ts";
import { orAborted } from "../base/or_aborted.ts";
import { FatalError } from "../base/errors.ts";
import type { EventCode } from "../base/events.ts";
import type { LogFields } from "../base/log.ts";
import type { Address } from "../base/network.ts";
import { MiniatureCluster } from "../miniature/miniature_cluster.ts";
import { StubPods } from "../miniature/stub_pods.ts";
import { denoNetwork } from "../proxy/deno_network.ts";
import { type Build, startBuild } from "./demo_builds.ts";
import { podNetwork } from "./pod_network.ts";
import { type DemoProgramOptions, nameOf } from "./demo_program.ts";
import { perform, type Within } from "./stage.ts";
import { seconds, type Timeline } from "./timeline.ts";

/** What the act is given. All but `stop` have defaults. */
export interface ManyBuildersOptions {
  /** The user's wish to end. */
  readonly stop: AbortSignal;
  /** From a pod's creation to the start of its process, in ms: 4000. */
  readonly podStartMs?: number;
  /** The program's idle timeout, in ms: 6000. */
  readonly idleTimeoutMs?: number;
  /** How long builds go on, in ms: 1500. */
  readonly buildMs?: number;
  /** Settings of the program that differ, for tests. */
  readonly flags?: DemoProgramOptions["flags"];
}

/** Each is the home of one project, by the names of both. */
const DOCS_HOME = "buildkitd", API_HOME = "buildkitd-b2", WEB_HOME = "buildkitd-b3";
const BUILDERS = [DOCS_HOME, API_HOME, WEB_HOME] as const;
const HOMES: Readonly<Record<string, string>> = { docs: DOCS_HOME, api: API_HOME, web: WEB_HOME };
/** Builds that a builder takes at a time. */
const SEATS = 2;
/** Builds of the whole act. */
const BUILDS = 9;

/** What became of one build, by the program's log. */
interface Line {
  readonly project: string;
  readonly builder: string;
  readonly routed: string;
  readonly queuedMs: number | undefined;
}

/** Plays it. @throws FatalError unless all that it promises has happened */
export async function playManyBuilders(timeline: Timeline, options: ManyBuildersOptions): Promise<void> {
  const { podStartMs = 4000, idleTimeoutMs = 6000, stop } = options;
  const network = podNetwork(denoNetwork);
  const [name, ...more] = BUILDERS;
  await using cluster = new MiniatureCluster({
    clock: systemClock,
    runtime: new StubPods({ network, clock: systemClock, warmUpMs: () => 50 }),
    name,
    more: more.map((name) => ({ name })),
    targetPort: 8372,
    startMs: () => podStartMs,
  });
  using act = new ManyBuilders(timeline, cluster, options);
  const flags = {
    builders: BUILDERS.join(","),
    sessionsPerReplica: String(SEATS),
    maxSessionsPerReplica: String(SEATS),
    ...options.flags,
  };
  const onLog = (code: EventCode, fields: LogFields) => act.note(code, fields);
  const { connect } = network;
  const stage = { cluster, timeline, idleTimeoutMs, flags, connect, hasRoute: true, onLog, stop };
  act.introduce();
  await perform(stage, (address, within) => act.play(address, within));
  act.conclude();
}

class ManyBuilders implements Disposable {
  readonly #timeline: Timeline;
  readonly #cluster: MiniatureCluster;
  readonly #buildMs: number;
  readonly #builds: Build[] = [];
  readonly #lines: Line[] = [];
  readonly #problems: string[] = [];
  readonly #queued = Promise.withResolvers<void>();
  /** Notified of each line. */
  readonly #noted = new Notifier();

  constructor(timeline: Timeline, cluster: MiniatureCluster, { buildMs = 1500 }: ManyBuildersOptions) {
    this.#timeline = timeline;
    this.#cluster = cluster;
    this.#buildMs = buildMs;
  }

  /** Ends what still runs. */
  [Symbol.dispose](): void {
    for (const build of this.#builds) build[Symbol.dispose]();
  }

  introduce(): void {
    const timeline = this.#timeline;
    timeline.text("\nThe second act: three builders behind one address, and builds of three projects\n");
    timeline.text(`  cluster  the StatefulSets ${BUILDERS.join(", ")}, all asleep`);
    timeline.text("  pods     a stub server inside this program");
    timeline.text(
      `  program  a builder takes ${SEATS} builds at a time (--max-sessions-per-replica ${SEATS});`,
    );
    timeline.text("           a project prefers one builder, its home, because its cache is there");
    timeline.text("  clients  builds of docs, api and web: a client's project is the name that it dials");
  }

  async play(address: Address, within: Within): Promise<void> {
    const timeline = this.#timeline;
    const start = (project: string) => within((signal) => this.#start(project, address, signal));
    const finish = (...builds: Build[]) => within((signal) => this.#finish(builds, signal));
    const busy = () => within((signal) => sleep(systemClock, this.#buildMs, signal));
    const asleep = (...names: string[]) => within((signal) => this.#untilAsleep(names, signal));

    timeline.heading("4  Two projects build: each wakes its own builder");
    const first = await Promise.all([start("docs"), start("api")]);
    await busy();
    await finish(...first);
    this.#expect(this.#replicas(WEB_HOME) === 0, `${WEB_HOME} was woken for nobody`);
    timeline.event("cluster", `${WEB_HOME} is still asleep, because nobody needs it`);

    timeline.heading(
      "5  A third project builds three times at once: its builder takes two, another one the third",
    );
    const web = await Promise.all([start("web"), start("web"), start("web")]);

    timeline.heading("6  All builders are full: the next build waits in the queue");
    const [longest, docs, api] = [await start("docs"), await start("docs"), await start("api")];
    const makeRoom = async () => {
      await within((signal) => orAborted(this.#queued.promise, signal));
      await busy();
      timeline.event("client", "a build of api ends, and so makes room");
      await finish(api);
    };
    const [queued] = await Promise.all([start("api"), makeRoom()]);

    timeline.heading("7  Each builder sleeps on its own");
    timeline.event("client", "all builds of web end, and one of docs");
    await finish(...web, docs);
    await busy();
    timeline.event("client", "the last build of api ends; one of docs goes on");
    await finish(queued);
    await asleep(API_HOME, WEB_HOME);
    this.#expect(this.#replicas(DOCS_HOME) === 1, `${DOCS_HOME} was put to sleep under a build`);
    timeline.event("client", "the last build of docs, which has gone on all the time, ends");
    await finish(longest);
    await asleep(DOCS_HOME);
    await within((signal) => this.#cluster.until(({ pods }) => pods.length === 0, signal));
  }

  /** Looks at a record of the program's log. */
  note(code: EventCode, fields: LogFields): void {
    if (code === "session_queued") this.#queued.resolve();
    if (code !== "session_ended") return;
    const { project, builder, routed, queuedMs } = fields;
    const line = {
      project: nameOf(project),
      builder: String(builder),
      routed: String(routed),
      queuedMs: typeof queuedMs === "number" ? queuedMs : undefined,
    };
    this.#lines.push(line);
    this.#timeline.event("program", describe(line));
    this.#noted.notify();
  }

  /** @throws FatalError unless all has happened that the act is about */
  conclude(): void {
    const where = (project: string) =>
      this.#lines.filter((line) => line.project === project)
        .map(({ builder, routed }) => `${builder} (${routed})`).sort().join(", ");
    const home = (builder: string, builds: number) => Array(builds).fill(`${builder} (home)`).join(", ");
    const places = { docs: home(DOCS_HOME, 3), api: home(API_HOME, 3) };
    const promised = { ...places, web: `${API_HOME} (overflow), ${home(WEB_HOME, 2)}` };
    for (const [project, want] of Object.entries(promised)) {
      this.#expect(where(project) === want, `${project} ran on ${where(project)}, want ${want}`);
    }
    const queued = this.#lines.filter(({ queuedMs }) => queuedMs !== undefined);
    const isQueued = queued.length === 1 && queued[0]!.project === "api";
    this.#expect(isQueued, `${queued.length} builds were queued, want one of api`);
    const problems = this.#problems;
    const summary =
      `${this.#lines.length} of ${BUILDS} builds were served: docs and api kept to their builders, ` +
      `web overflowed once, one build waited ${seconds(queued[0]?.queuedMs ?? 0)} in the queue, ` +
      "and each builder slept on its own";
    this.#timeline.verdict(problems.length === 0, problems.length === 0 ? summary : problems.join("; "));
    if (problems.length > 0) throw new FatalError("The demo has failed");
  }

  async #start(project: string, address: Address, signal: AbortSignal): Promise<Build> {
    const timeline = this.#timeline;
    const beganMs = timeline.elapsedMs;
    timeline.event("client", `${project} connects`);
    const build = await startBuild(denoNetwork, address, project, signal);
    this.#builds.push(build);
    const builder = build.pod.slice(0, build.pod.lastIndexOf("-"));
    const home = HOMES[project];
    const why = builder === home ? "" : ": its home is full";
    const tookMs = timeline.elapsedMs - beganMs;
    timeline.event("client", `${project} builds on ${build.pod} after ${seconds(tookMs)}${why}`);
    // Only web has more builds at a time than its home takes. Elsewhere the later parts would wait in vain.
    if (builder !== home && !(project === "web" && builder === API_HOME)) {
      throw new FatalError(`The demo has failed: ${project} builds on ${builder}, want ${home}`);
    }
    return build;
  }

  /** Ends builds, and waits until the program's log has said so. */
  async #finish(builds: readonly Build[], signal: AbortSignal): Promise<void> {
    const lines = this.#lines.length + builds.length;
    await Promise.all(builds.map((build) => build.finish()));
    while (this.#lines.length < lines) await this.#noted.wait(systemClock, Infinity, signal);
  }

  #untilAsleep(names: readonly string[], signal: AbortSignal): Promise<void> {
    return this.#cluster.until(() => names.every((name) => this.#replicas(name) === 0), signal);
  }

  #replicas(name: string): number {
    return this.#cluster.set(name).replicas;
  }

  #expect(holds: boolean, otherwise: string): void {
    if (!holds) this.#problems.push(otherwise);
  }
}

function describe({ project, builder, routed, queuedMs }: Line): string {
  const why = routed === "home" ? "its home" : routed === "overflow" ? "its home was full" : routed;
  const queued = queuedMs === undefined ? "" : `, after ${seconds(queuedMs)} in the queue`;
  return `a build of ${project} has run on ${builder}: ${why}${queued}`;
}
