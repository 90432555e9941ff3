/**
 * What a run is made of: all that is drawn from its seed before it begins, but for the faults.
 *
 * @module
 */
import type { SettingKey } from "../../lib/config/settings.ts";
import type { SeededRandom } from "../support/seeded_random.ts";
import type { FeatureName } from "./features.ts";

/** Settings as a user would write them, by key. */
export type SettingsText = Readonly<Partial<Record<SettingKey, string>>>;

/** How a run is set up: all of it drawn from the seed but for what is switched off. */
export interface Plan {
  readonly seed: number;
  readonly proxies: number;
  readonly durationMs: number;
  readonly clients: number;
  /** Clients that come at a time now and then, at most; 0: none do. */
  readonly backlog: number;
  /** Clients that watch the build history, at a time. */
  readonly watchers: number;
  /** StatefulSets. */
  readonly builders: number;
  /** Pods that each of them may have. */
  readonly replicas: number;
  /** How likely a client comes at a moment in which a scale-down is about to happen. */
  readonly aim: number;
  /** How long it stays away otherwise, at most, in ms. */
  readonly restMs: number;
  /** How long it pauses between two calls, at most, in ms. */
  readonly pauseMs: number;
  /** Daemons that are told to stop cancel their sessions. */
  readonly daemonsCancel: boolean;
  /** Connections say which of them belong to one run of a client. */
  readonly traces: boolean;
  /** Some clients speak TLS to the daemon. */
  readonly tls: boolean;
  /** Where clients connect. */
  readonly doors: readonly ClientDoor[];
  /** The settings of the first proxies. */
  readonly settings: SettingsText;
  /** What roll-outs change them to, one after the other. */
  readonly rollouts: readonly SettingsText[];
}

/** A listener as clients know it. */
export interface ClientDoor {
  readonly port: number;
  /** What it says of a client's project. */
  readonly project?: string;
  readonly pool: string;
}

/** The listener of all. */
export const MAIN_DOOR: ClientDoor = { port: 8080, pool: "" };

/** The pool beside the default one. */
const OTHER_POOL = "arm64";

/** The names of so many StatefulSets. */
export function builderNames(count: number): readonly [string, ...string[]] {
  const others = Array.from({ length: count - 1 }, (_, i) => `buildkitd-b${i + 2}`);
  return ["buildkitd", ...others];
}

/** What of a plan is about builders. */
export type BuilderPlan = Pick<Plan, "builders" | "replicas" | "watchers">;

/** How many of each a seed says: in two seeds of five there is one builder of one pod. */
export function drawBuilders(random: SeededRandom): BuilderPlan {
  const builders = random.chance(0.5) ? 1 : random.pick([2, 2, 2, 2, 3, 3, 4]);
  const replicas = random.chance(builders === 1 ? 0.2 : 0.4) ? 2 : 1;
  const watchers = random.pick([0, 0, 1, 3]);
  return { builders, replicas, watchers };
}

/** What settings are drawn from. */
export interface SettingsDraw extends BuilderPlan {
  /** Whether a feature is on. */
  has(name: FeatureName): boolean;
  /** A source of chance for each purpose: roll-outs leave most settings as they are, so they draw the same there. */
  random(purpose: string): SeededRandom;
  /** The first proxies', or after so many roll-outs. */
  readonly version: number;
  /** No roll-out comes after. */
  readonly isLast: boolean;
}

/** Where clients can connect, whatever a proxy has. */
export function doorsOf({ builders, has }: Pick<SettingsDraw, "builders" | "has">): readonly ClientDoor[] {
  const pools = has("pools") && builders > 1;
  return [
    MAIN_DOOR,
    ...(has("doors") ? [{ port: 8401, project: "team-a", pool: "" }] : []),
    ...(pools ? [{ port: 8373, pool: OTHER_POOL }] : []),
    ...(pools && has("doors") ? [{ port: 8402, project: "team-b", pool: OTHER_POOL }] : []),
  ];
}

/** Draws the settings of one version of the proxies. */
export function drawSettings(draw: SettingsDraw): SettingsText {
  const { has, random } = draw;
  const pick = <T>(purpose: string, from: readonly T[]) => random(purpose).pick(from);
  const idle = (purpose: string) =>
    `${pick(purpose, has("longIdle") ? [15, 30, 60, 180] : [1, 1, 1, 2, 2, 5, 10])}s`;
  const several = pooled(draw);
  const ofBoth = (purpose: string, of: (purpose: string) => string) =>
    several && random(`${purpose} differs`).chance(0.5)
      ? `${of(purpose)}, ${OTHER_POOL}=${of(`${purpose} of the pool`)}`
      : of(purpose);
  return {
    idleTimeoutMs: ofBoth("idle timeout", idle),
    readyWaitTimeoutMs: ofBoth("ready wait", (it) => `${pick(it, [10, 60, 120])}s`),
    recordExpiryMs: `${pick("expiry", [12, 12, 20, 40, 90])}s`,
    shutdownDelayMs: `${pick("delay", [0, 1, 5])}s`,
    drainTimeoutMs: pick("drain", ["0s", "1h", "60s"]),
    whenCutOff: pick("cut off", ["serve", "hold"]),
    readiness: pick("readiness", ["auto", "auto", "pod", "grpc"]),
    ...(has("wakeOnData") && { wakeOn: random("wake on").chance(0.7) ? "data" : "connect" }),
    ...(has("heldLimit") && { maxHeld: `${pick("held", [1, 3, 8])}` }),
    ...(has("observers") && !draw.isLast && random("observe").chance(0.5) && { observe: "true" }),
    ...doorSettings(draw),
    ...builderSettings(draw),
    ...keptSettings(draw),
  };
}

/** Whether there is a second pool. */
function pooled({ builders, has }: Pick<SettingsDraw, "builders" | "has">): boolean {
  return builders > 1 && has("pools");
}

function doorSettings(draw: SettingsDraw): SettingsText {
  const doors = doorsOf(draw).filter((door) => door !== MAIN_DOOR).map(({ port, project, pool }) =>
    project === undefined
      ? `pool ${pool}=:${port}`
      : `project ${project}${pool === "" ? "" : `@${pool}`}=:${port}`
  );
  return doors.length === 0 ? {} : { listeners: doors.join(", ") };
}

/** A builder as one version of the proxies knows it. */
interface Named {
  readonly name: string;
  readonly pool: string;
  readonly isCordoned: boolean;
}

/** The builders that this version knows. The first of a pool stays, as its names must, in the end without a cordon. */
function namedBy({ builders, has, random, version, isLast }: SettingsDraw): readonly Named[] {
  const firstOfOther = pooled({ builders, has }) ? Math.ceil(builders / 2) : builders;
  const all = builderNames(builders).map((name, i) => {
    const isFirst = i === 0 || i === firstOfOther;
    return {
      name,
      pool: i < firstOfOther ? "" : OTHER_POOL,
      isFirst,
      isCordoned: has("cordons") && builders > 1 && !(isFirst && isLast) &&
        random(`cordon ${name}`).chance(isFirst ? 0.25 : 0.35),
    };
  });
  return all.filter(({ name, isFirst }) => version === 0 || isFirst || random(`name ${name}`).chance(0.75));
}

/** What is about builders. One builder of one pod keeps the defaults, unless clients shall queue. */
function builderSettings(draw: SettingsDraw): SettingsText {
  const { builders, replicas, has, random } = draw;
  if (builders === 1 && replicas === 1 && !has("backlog")) return {};
  const target = random("target").pick(has("backlog") ? [0, 1, 1, 2] : [0, 1, 1, 2, 4]);
  const least = Math.max(1, target);
  const limit = random("limit").pick(has("backlog") ? [least, least, target + 1] : [0, 0, least, target + 1]);
  const named = namedBy(draw);
  const cordoned = named.filter(({ isCordoned }) => isCordoned);
  return {
    builders: named.map(({ name, pool }) => pool === "" ? name : `${pool}/${name}`).join(","),
    ...(cordoned.length > 0 && { cordoned: cordoned.map(({ name }) => name).join(",") }),
    maxReplicas: String(replicas),
    sessionsPerReplica: String(target),
    maxSessionsPerReplica: String(limit),
    queueTimeoutMs: `${random("queue").pick([10, 60, 600])}s`,
    placement: random("placement").pick([
      "affinity",
      "affinity",
      "packed",
      "least-sessions",
      "round-robin",
    ]),
    overflow: random("overflow").chance(0.2) ? "never" : "full",
    affinityPatienceMs: `${random("patience").pick([0, 0, 3])}s`,
  };
}

/** The simulated time begins at 00:16:40 on a Monday, and the windows soon after it. */
const FIRST_MINUTE = 17;

/** By then all warm windows have ended, wall time in ms. */
export const WARM_UNTIL_MS = Date.UTC(2024, 0, 1, 0, 20);

/** Replicas that are kept without clients: always, or at times. */
function keptSettings(draw: SettingsDraw): SettingsText {
  const { replicas, has, random } = draw;
  const most = (pool: string) =>
    replicas * namedBy(draw).filter((each) => each.pool === pool && !each.isCordoned).length;
  const kept = (purpose: string, pool: string) => Math.min(most(pool), random(purpose).integer(0, 3));
  const warm = Math.min(most(""), random("warm").integer(1, 3));
  const window = () => {
    const from = FIRST_MINUTE + random("warm from").integer(0, 1);
    const to = from + random("warm for").integer(1, 2);
    return `Mon-Sun 00:${from}-00:${to} UTC=${warm}`;
  };
  const ofOther = () => pooled(draw) ? `, ${OTHER_POOL}=${kept("minimum of the pool", OTHER_POOL)}` : "";
  return {
    ...(has("minimum") && { minReplicas: `${kept("minimum", "")}${ofOther()}` }),
    ...(has("warmWindows") && warm > 0 && { warm: window() }),
  };
}
