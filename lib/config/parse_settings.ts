/**
 * Makes {@link Settings} from flags and variables, and reports everything that is wrong with them at once. Pure.
 *
 * A variable overrides its flag. An empty variable counts as not set.
 *
 * @module
 */
import { UsageError } from "../base/errors.ts";
import { builderConflicts } from "./builder_conflicts.ts";
import { formatDurationMs } from "./duration.ts";
import { entranceConflicts } from "./entrance_conflicts.ts";
import { nearest } from "./nearest.ts";
import { PREFIX, type Setting, type SettingKey, settingRows, SETTINGS, type Settings } from "./settings.ts";

/** The input of the user. */
export interface SettingsInput {
  /** The text of each flag; of a flag given twice, the last. */
  readonly flags: ReadonlyMap<SettingKey, string>;
  /** All environment variables. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** Problems of the command line, to be reported with the others. */
  readonly problems?: readonly string[];
}

/**
 * Makes the settings from flags and variables.
 *
 * @throws UsageError with all problems: values that cannot be parsed, unknown variables, settings that conflict
 */
export function parseSettings({ flags, variables, problems: before = [] }: SettingsInput): Settings {
  const problems = [...before];
  const values: Record<string, unknown> = {};
  for (const [key, setting] of settingRows()) {
    // For a setting without a default, an empty flag counts as not set.
    const given = setting.default === undefined ? flags.get(key) || undefined : flags.get(key);
    let value = given === undefined
      ? parseDefault(setting)
      : parseOne(setting, setting.flag, given, problems);
    // The variable overrides the flag, but a flag that cannot be parsed is always an error.
    const variable = variables[setting.variable];
    if (variable) value = parseOne(setting, setting.variable, variable, problems);
    values[key] = value;
  }
  problems.push(...unknownVariables(variables));
  const settings = values as Settings;
  const isGiven = (key: SettingKey) => Boolean(flags.get(key) || variables[SETTINGS[key].variable]);
  problems.push(
    ...entranceConflicts(settings, isGiven),
    ...builderConflicts(settings, isGiven),
    ...upstreamTlsConflicts(isGiven),
    ...electionConflicts(settings),
  );
  if (problems.length > 0) throw new UsageError(problems);
  return settings;
}

/** A flag whose variable has another value. The variable overrides it. */
export interface OverriddenFlag {
  /** With its dashes. */
  readonly flag: string;
  /** The variable that overrides the flag. */
  readonly variable: string;
  /** The variable's value. */
  readonly used: string;
}

/** The command that runs the program. */
export interface RunRequest {
  /** Distinguishes it from the other commands. */
  readonly command: "run";
  /** From flags and variables. */
  readonly settings: Settings;
  /** Flags without effect, for the log. */
  readonly overridden: readonly OverriddenFlag[];
}

/**
 * The request to run with these settings.
 *
 * @throws UsageError as {@link parseSettings} does
 */
export function runRequest(input: SettingsInput): RunRequest {
  return { command: "run", settings: parseSettings(input), overridden: overriddenFlags(input) };
}

/** The flags that have no effect, so that the log can say so. */
export function overriddenFlags({ flags, variables }: SettingsInput): readonly OverriddenFlag[] {
  return settingRows().flatMap(([key, { flag, variable }]) => {
    const [given, used] = [flags.get(key), variables[variable]];
    return given === undefined || !used || given === used ? [] : [{ flag, variable, used }];
  });
}

function parseDefault(setting: Setting<unknown>): unknown {
  return setting.default === undefined ? undefined : setting.type.parse(setting.default);
}

function parseOne(setting: Setting<unknown>, name: string, given: string, problems: string[]): unknown {
  const value = given === "" ? undefined : setting.type.parse(given);
  if (value === undefined) {
    problems.push(`Cannot parse "${name}": found ${quote(given)}, want ${setting.type.want(given)}`);
  }
  return value;
}

/** Quoted, on one line, with at most 80 characters. */
function quote(given: string): string {
  return JSON.stringify(given.length > 80 ? `${given.slice(0, 80)}…` : given);
}

/**
 * Variables that Kubernetes sets in every pod for each Service of the namespace (service links). A Service may be named
 * `autoscaler-…`.
 */
const SERVICE_LINK = /_SERVICE_HOST$|_SERVICE_PORT(_.*)?$|_PORT$|_PORT_[0-9]+_/;

function unknownVariables(variables: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Map<string, string>();
  for (const [, { flag, variable }] of settingRows()) {
    known.set(variable, variable);
    // The variable that a user would guess for a setting whose variable has an older name.
    known.set(variableOf(flag), variable);
  }
  const right = new Set(known.values());
  const isLink = (name: string) =>
    SERVICE_LINK.test(name) && (!known.has(name) || /^(tcp|udp|sctp):/.test(variables[name]!));
  return Object.keys(variables).sort()
    .filter((name) => name.startsWith(PREFIX) && variables[name] && !right.has(name) && !isLink(name))
    .map((name) => {
      const near = known.get(nearest(name, [...known.keys()], PREFIX) ?? "");
      return `Unknown variable "${name}"${near === undefined ? "" : `: the nearest is "${near}"`}`;
    });
}

function variableOf(flag: string): string {
  return PREFIX + flag.slice(2).toUpperCase().replaceAll("-", "_");
}

/** Flags of TLS towards buildkitd that mean nothing without another one. */
function upstreamTlsConflicts(isGiven: (key: SettingKey) => boolean): string[] {
  const wants = [
    ["upstreamTlsCert", "upstreamTlsKey"],
    ["upstreamTlsKey", "upstreamTlsCert"],
    ["upstreamTlsCert", "upstreamTlsCa"],
    ["upstreamTlsServerName", "upstreamTlsCa"],
  ] as const;
  return wants
    .filter(([given, wanted]) => isGiven(given) && !isGiven(wanted))
    .map(([given, wanted]) =>
      `Cannot use "${SETTINGS[given].flag}" alone: want "${SETTINGS[wanted].flag}", too`
    );
}

/** A retry period is up to this much longer at random, as in client-go. */
const JITTER = 1.2;

function electionConflicts({ leaseDurationMs, renewDeadlineMs, retryPeriodMs }: Partial<Settings>): string[] {
  const problems: string[] = [];
  const compare = (low: SettingKey, high: SettingKey, lowMs?: number, highMs?: number, factor = 1) => {
    if (lowMs === undefined || highMs === undefined || lowMs * factor < highMs) return;
    const [a, b] = [SETTINGS[low], SETTINGS[high]];
    const more = factor === 1 ? "" : `${factor} times `;
    problems.push(
      `Cannot use "${a.flag}" and "${b.flag}" together: found "${formatDurationMs(lowMs)}" and ` +
        `"${formatDurationMs(highMs)}", want the second longer than ${more}the first`,
    );
  };
  compare("renewDeadlineMs", "leaseDurationMs", renewDeadlineMs, leaseDurationMs);
  compare("retryPeriodMs", "renewDeadlineMs", retryPeriodMs, renewDeadlineMs, JITTER);
  return problems;
}
