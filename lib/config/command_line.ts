/**
 * The command line: which command is asked for, with which settings, and the text of `--help`. Commander splits the
 * arguments and lays out the help; what is wrong with them is said here, all of it at once. Nothing exits here, and
 * nothing is printed but completions.
 *
 * Flags may stand before or after the command, as `--flag value` or `--flag=value`. Of a flag given twice the last
 * counts, so that a wrapper's flags can be overridden by appending.
 *
 * @module
 */
import { Command, CommanderError, Option } from "@commander-js/extra-typings";
import { UsageError } from "../base/errors.ts";
import { nearest } from "./nearest.ts";
import {
  PROGRAM,
  type RunRequest,
  runRequest,
  type SettingKey,
  settingRows,
  type SettingsInput,
  TOPICS,
} from "./settings.ts";

/** Shells that there are completions for. */
export const SHELLS = ["bash", "zsh", "fish", "powershell"] as const;

/** What a command line asks for. */
export type Request =
  | RunRequest
  /** The demo has arguments of its own. */
  | { readonly command: "demo"; readonly args: readonly string[] }
  /** Print and be done. */
  | { readonly command: "help"; readonly text: string }
  | { readonly command: "version" }
  /** A completion script, or (`complete`, called by that script) completions of a line; `args` as given. */
  | { readonly command: "completions"; readonly args: readonly string[] };

/**
 * Reads a command line.
 *
 * @throws UsageError with every problem of the arguments and the environment
 */
export function parseCommandLine(args: readonly string[], variables: SettingsInput["variables"]): Request {
  // Called by the completion script: everything after it is somebody's unfinished line.
  if (args[0] === "complete" && args[1] === "--") return { command: "completions", args };
  const program = commandTree();
  const { operands, unknown, problem } = split(program, args);
  const { help, version, ...given } = program.opts() as Record<string, string | boolean | undefined>;
  const [name = "run", ...rest] = operands;
  const command = program.commands.find((each) => each.name() === name);
  if (help || name === "help") {
    return { command: "help", text: helpText(program, help ? command : undefined) };
  }
  if (version) return { command: "version" };

  const problems: string[] = [];
  if (command === undefined) problems.push(unknownCommand(name, program));
  const flags = flagsOf(given);
  if (name === "demo") {
    problems.push(
      ...[...flags.keys()].map((key) =>
        `Cannot use "${flagOf(key)}" with "demo": it has settings of its own`
      ),
    );
    if (problem !== undefined) problems.push(problem);
    if (problems.length > 0) throw new UsageError(problems);
    return { command: "demo", args: [...rest, ...unknown] };
  }
  problems.push(...unknownFlags(unknown, program));
  if (problem !== undefined) problems.push(problem);
  const shell = name === "completions" ? rest.shift() : undefined;
  if (name === "completions" && !SHELLS.some((each) => each === shell)) {
    problems.push(
      `Cannot make completions: found ${shell === undefined ? "no shell" : `"${shell}"`}, want one of ${
        SHELLS.join(", ")
      }`,
    );
  }
  if (command !== undefined) problems.push(...rest.map((each) => `Unexpected argument "${each}"`));

  if (name === "version" || name === "completions") {
    if (problems.length > 0) throw new UsageError(problems, { preventsStart: false });
    return name === "version" ? { command: "version" } : { command: "completions", args };
  }
  return runRequest({ flags, variables, problems });
}

interface Split {
  readonly operands: readonly string[];
  readonly unknown: readonly string[];
  readonly problem?: string;
}

/** Lets commander split the arguments into flags, which `program` keeps, and the rest. */
function split(program: Command, args: readonly string[]): Split {
  try {
    return program.parseOptions([...args]);
  } catch (error) {
    // Only the last argument can be a flag without a value; the ones before it have been read.
    if (!(error instanceof CommanderError)) throw error;
    const before = program.parseOptions(args.slice(0, -1));
    return { ...before, problem: `Cannot parse "${args.at(-1)}": found no value, want one after it` };
  }
}

function flagsOf(given: Readonly<Record<string, string | boolean | undefined>>): Map<SettingKey, string> {
  const flags = new Map<SettingKey, string>();
  for (const [key, { flag }] of settingRows()) {
    const text = given[new Option(flag).attributeName()];
    if (typeof text === "string") flags.set(key, text);
  }
  return flags;
}

function flagOf(key: SettingKey): string {
  return settingRows().find(([each]) => each === key)![1].flag;
}

function unknownCommand(name: string, program: Command): string {
  const names = program.commands.map((each) => each.name());
  const near = nearest(name, names);
  return `Unknown command "${name}": ` +
    (near === undefined ? `want one of ${names.join(", ")}` : `the nearest is "${near}"`);
}

function unknownFlags(unknown: readonly string[], program: Command): string[] {
  const names = program.options.map(({ long }) => long!);
  const problems: string[] = [];
  for (const [i, argument] of unknown.entries()) {
    if (argument.startsWith("-") && argument.length > 1) {
      const [flag = ""] = argument.split("=", 1);
      if (flag === "--help") {
        problems.push(`Cannot use "${argument}": "--help" takes no value`);
        continue;
      }
      const near = nearest(flag, names, "--");
      problems.push(`Unknown flag "${flag}"${near === undefined ? "" : `: the nearest is "${near}"`}`);
      // What follows an unknown flag may be its value, and is no mistake of its own.
    } else if (!/^-[^=]+$/.test(unknown[i - 1] ?? "")) {
      problems.push(`Unexpected argument "${argument}"`);
    }
  }
  return problems;
}

/** The commands and flags as commander and the completions know them. */
function commandTree(): Command {
  const program = new Command(PROGRAM)
    .description(
      "Stands between BuildKit clients and a buildkitd StatefulSet: starts buildkitd when a client connects, " +
        "carries the bytes, and scales it down when nobody has needed it for a while.",
    )
    .usage("[command] [flags]")
    .helpOption(false)
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: () => {},
      writeErr: () => {},
      getOutHelpWidth: () => 80,
      getOutHasColors: () => false,
    })
    .configureHelp({ optionDescription });
  for (const [, { flag, type, help, topic }] of settingRows()) {
    const option = new Option(`${flag} <${type.placeholder}>`, help).helpGroup(`${TOPICS[topic]}:`);
    // For the completions only: commander's own check would stop at the first fault.
    if (type.choices !== undefined) option.argChoices = [...type.choices];
    program.addOption(option);
  }
  program.addOption(new Option("-h, --help", "show this").helpGroup("Other:"));
  program.addOption(new Option("--version", "show the version").helpGroup("Other:"));
  const add = (name: string, description: string) =>
    program.command(name).description(description).helpOption(false);
  add("run", "proxy and scale (the default)");
  add("demo", "show it at work on a miniature cluster inside this process")
    .option("--stub", "use stand-ins even where buildkitd and buildctl are installed");
  add("version", "show the version");
  add("completions", "print a script that completes commands and flags")
    .addArgument(program.createArgument("<shell>", "the shell to make it for").choices(SHELLS));
  program.addHelpText("after", EPILOGUE);
  return program as unknown as Command;
}

/** The help of a setting: what it is, then its variable and default. */
function optionDescription(
  option: { readonly long?: string | undefined; readonly description: string },
): string {
  const found = settingRows().find(([, { flag }]) => flag === option.long);
  if (found === undefined) return option.description;
  const { variable, type, help, default: preset } = found[1];
  const choices = type.choices === undefined ? "" : `: ${type.choices.join(", ")}`;
  return `${help}${choices}\n[${variable}${preset === undefined ? "" : `, default ${preset}`}]`;
}

const EPILOGUE = `
A variable (in brackets) beats its flag; an empty variable counts as not set.
Durations are Go's: 2m0s, 1h30m, 500ms. Addresses are Go's: :8080, [::1]:8080.

Examples:
  ${PROGRAM} --sts-namespace ci --idle-timeout 10m
  ${PROGRAM} --kubeconfig ~/.kube/config --context staging
  SCALE_DOWN_IDLE_TIMEOUT=30s ${PROGRAM} --log-format json
  ${PROGRAM} demo
  source <(${PROGRAM} completions bash)

Exit codes: 0 done, 1 failed, 2 wrong usage.
Documentation: https://github.com/EarthBuild/buildkitd-autoscaler/tree/main/docs`;

/** The help of the program, or of one of its commands. */
function helpText(
  program: Command,
  command: { name(): string; helpInformation(): string } | undefined,
): string {
  if (command !== undefined && command.name() !== "run") return command.helpInformation();
  let text = "";
  program.configureOutput({ writeOut: (part) => (text += part) });
  program.outputHelp();
  return text;
}

/**
 * Prints a completion script (`completions bash`) or the completions of a line (`complete -- …`). The library behind it
 * is loaded only here; it writes to standard output itself.
 */
export async function printCompletions(args: readonly string[]): Promise<void> {
  const { default: tab } = await import("@bomb.sh/tab/commander");
  const program = commandTree();
  // The library brings its own command of this name.
  const ours = program.commands.findIndex((each) => each.name() === "completions");
  (program.commands as unknown[]).splice(ours, 1);
  tab(program as unknown as Parameters<typeof tab>[0], { completionCommandName: "completions" });
  program.parse([...args], { from: "user" });
}
