/**
 * What `advise` is asked for, beside the settings: its file, and what to try. Pure.
 *
 * @module
 */
import { MOST_BUILDERS } from "./builder_conflicts.ts";
import { poolsOf } from "./builders.ts";
import { ADVISE_FLAGS, type AdviseFlag, type ReportOutput } from "./commands.ts";
import { type RunRequest, runRequest, type SettingsInput } from "./parse_settings.ts";
import { duration, integer, list, type ValueType } from "./value_types.ts";
import { UsageError } from "../base/errors.ts";

/** The command that replays a history. */
export interface AdviseRequest extends Omit<RunRequest, "command"> {
  /** Distinguishes it from the other commands. */
  readonly command: "advise";
  /** The file with the history; `-` is standard input. */
  readonly file: string;
  /** Idle timeouts to try, in ms, if they were given. */
  readonly idleTimeoutsMs: readonly number[] | undefined;
  /** Numbers of builders to try, if they were given. */
  readonly builderCounts: readonly number[] | undefined;
  /** How long a pod takes to start, in ms, if that was given. */
  readonly startMs: number | undefined;
  /** How to print the report. */
  readonly output: ReportOutput;
}

const TIMEOUTS = listOf(duration(0), "1m,5m,30m");
const COUNTS = listOf(integer(1, MOST_BUILDERS), "1,2,4");
const START = duration(0);

/**
 * The request, from its operands and the text of its own flags.
 *
 * @throws UsageError with every problem of the arguments and the environment
 */
export function adviseRequest(
  input: SettingsInput,
  file: string | undefined,
  output: ReportOutput | undefined,
  given: (flag: AdviseFlag) => string | undefined,
): AdviseRequest {
  const problems = [...input.problems ?? []];
  if (file === undefined) {
    problems.push(
      'Cannot replay: found no file, want the program\'s log or CSV as one argument, "-" for standard input',
    );
  }
  const read = <T>(flag: AdviseFlag, type: ValueType<T>): T | undefined => {
    const text = given(flag);
    const value = text === undefined ? undefined : type.parse(text);
    if (text !== undefined && value === undefined) {
      problems.push(
        `Cannot parse "${ADVISE_FLAGS[flag].flag}": found "${text.slice(0, 80)}", want ${type.want(text)}`,
      );
    }
    return value;
  };
  const idleTimeoutsMs = read("idleTimeouts", TIMEOUTS);
  const builderCounts = read("builderCounts", COUNTS);
  const startMs = read("startTime", START);
  const request = runRequest({ ...input, problems });
  const pools = poolsOf(request.settings).map(({ name }) => JSON.stringify(name));
  if (pools.length > 1) {
    throw new UsageError([
      `Cannot replay several pools at once: found ${
        pools.join(", ")
      } in "--builders", want the builders of one, ` +
      `and a file with its sessions only`,
    ]);
  }
  return {
    ...request,
    command: "advise",
    file: file!,
    idleTimeoutsMs,
    builderCounts,
    startMs,
    output: output!,
  };
}

/** Several values of a type. The message names the first one that is wrong. */
function listOf<T>(one: ValueType<T>, example: string): ValueType<readonly T[] | undefined> {
  const all = list(one.placeholder, example, (text) => one.parse(text), (value) => one.format(value));
  return {
    ...all,
    want(text) {
      const wrong =
        text.split(",").map((part) => part.trim()).find((part) => one.parse(part) === undefined) ?? "";
      return `${all.want(text)}: "${wrong.slice(0, 80)}" is not ${one.want(wrong)}`;
    },
  };
}
