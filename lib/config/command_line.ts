/**
 * Parses the command line: which command is asked for, with which settings. Makes the text of `--help`, too. commander
 * splits the arguments and lays out the help; the problems are found here and reported at once. Prints nothing and exits
 * nothing.
 *
 * Flags may stand before or after the command, as `--flag value` or `--flag=value`. If a flag is given twice, the last
 * one counts, so that appended flags override those of a wrapper script.
 *
 * @module
 */
import { Command, CommanderError, Option } from "@commander-js/extra-typings";
import { UsageError } from "../base/errors.ts";
import {
  COMMANDS,
  DEMO_FLAGS,
  OUTPUT_FLAG,
  PROGRAM,
  REPORT_OUTPUTS,
  type ReportOutput,
  type Shell,
  SHELLS,
} from "./commands.ts";
import { nearest } from "./nearest.ts";
import { type RunRequest, runRequest, type SettingsInput } from "./parse_settings.ts";
import { type SettingKey, settingRows, SETTINGS, TOPICS } from "./settings.ts";
import { boolean } from "./value_types.ts";

/** What a command line asks for. */
export type Request =
  | RunRequest
  | CheckRequest
  /** `stub`: without real buildkitd. `laptop`: without a route to the pods. */
  | { readonly command: "demo"; readonly stub: boolean; readonly laptop: boolean }
  | { readonly command: "help"; readonly text: string }
  | { readonly command: "version" }
  | { readonly command: "completions"; readonly shell: Shell }
  /** Asked by a completion script; `words` are the unfinished command line. */
  | { readonly command: "complete"; readonly words: readonly string[] };

/** The command that looks for faults. */
export interface CheckRequest extends Omit<RunRequest, "command"> {
  /** Distinguishes it from the other commands. */
  readonly command: "check";
  /** How to print the report. */
  readonly output: ReportOutput;
}

/**
 * Parses a command line.
 *
 * @throws UsageError with every problem of the arguments and the environment
 */
export function parseCommandLine(args: readonly string[], variables: SettingsInput["variables"]): Request {
  if (args[0] === "complete" && args[1] === "--") return { command: "complete", words: args.slice(2) };
  const program = commandTree();
  const parts = split(program, args);
  try {
    return requestOf(program, parts, variables);
  } catch (error) {
    throw error instanceof UsageError ? ofCommand(error, parts.operands[0]) : error;
  }
}

/** The error with the command whose help says more. Only `run` and `demo` start something. */
function ofCommand({ problems, count }: UsageError, name: string | undefined): UsageError {
  if (name === undefined || !COMMANDS.has(name) || name === "run") return new UsageError(problems, { count });
  const command = name === "help" ? {} : { command: name };
  return new UsageError(problems, { count, preventsStart: name === "demo", ...command });
}

function requestOf(
  program: Command,
  { operands, unknown, problem }: Split,
  variables: SettingsInput["variables"],
): Request {
  const { help, version, output, ...given } = program.opts() as Record<string, string | boolean | undefined>;
  const [name = "run", ...rest] = operands;
  const command = program.commands.find((each) => each.name() === name);
  if (help) return { command: "help", text: helpText(program, name === "help" ? undefined : command) };
  if (name === "help") return helpRequest(program, [...rest, ...unknown]);
  if (version) return { command: "version" };

  const problems: string[] = [];
  if (command === undefined) problems.push(unknownCommand(name, program));
  const flags = flagsOf(given);
  if (name === "demo") {
    const outputs = output === undefined ? [] : [OUTPUT_FLAG.flag];
    return demoRequest([...flags.keys()], [...rest, ...unknown, ...outputs], problem);
  }
  problems.push(...unknownFlags(unknown, program));
  if (problem !== undefined) problems.push(problem);
  if (output !== undefined && command !== undefined && name !== "check") {
    problems.push(`Cannot use "${OUTPUT_FLAG.flag}" with "${name}": only "check" prints a report`);
  }
  const shell = name === "completions" ? rest.shift() : undefined;
  if (name === "completions" && !isShell(shell)) {
    const found = shell === undefined ? "no shell" : `"${shell}"`;
    problems.push(`Cannot make completions: found ${found}, want one of ${SHELLS.join(", ")}`);
  }
  if (command !== undefined) problems.push(...rest.map((each) => `Unexpected argument "${each}"`));

  if (name === "version" || name === "completions") {
    if (problems.length > 0) throw new UsageError(problems);
    return isShell(shell) ? { command: "completions", shell } : { command: "version" };
  }
  const report = name === "check" ? outputOf(output ?? REPORT_OUTPUTS[0], problems) : undefined;
  const input = { flags, variables, problems };
  if (name === "check") return { ...runRequest(input), command: "check", output: report! };
  return runRequest(input);
}

/** The help of the command that is named, or else of the program. */
function helpRequest(program: Command, [name, ...rest]: readonly string[]): Request {
  const command = name === undefined ? undefined : program.commands.find((each) => each.name() === name);
  const problems = rest.map((each) => `Unexpected argument "${each}"`);
  if (name !== undefined && command === undefined) problems.unshift(unknownCommand(name, program));
  if (problems.length > 0) throw new UsageError(problems);
  return { command: "help", text: helpText(program, name === "help" ? undefined : command) };
}

/** How to print a report. Without a known way there is a problem more. */
function outputOf(output: string | boolean, problems: string[]): ReportOutput | undefined {
  const known = REPORT_OUTPUTS.find((each) => each === output);
  if (known === undefined) {
    problems.push(
      `Cannot parse "${OUTPUT_FLAG.flag}": found ${JSON.stringify(output)}, want one of ${
        REPORT_OUTPUTS.join(", ")
      }`,
    );
  }
  return known;
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
    if (text !== undefined) flags.set(key, String(text));
  }
  return flags;
}

function isShell(name: string | undefined): name is Shell {
  return SHELLS.some((shell) => shell === name);
}

function demoRequest(flags: readonly SettingKey[], args: readonly string[], problem?: string): Request {
  const known: readonly string[] = DEMO_FLAGS.map(([flag]) => flag);
  const problems = [
    ...flags.map((key) => `Cannot use "${SETTINGS[key].flag}" with "demo": it has settings of its own`),
    ...(problem === undefined ? [] : [problem]),
    ...args.filter((arg) => !known.includes(arg))
      .map((arg) => `Cannot use "${arg}" with "demo": want nothing, "--stub" or "--laptop"`),
  ];
  if (problems.length > 0) throw new UsageError(problems);
  return { command: "demo", stub: args.includes("--stub"), laptop: args.includes("--laptop") };
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
      if (flag === "--help" || flag === "--version") {
        problems.push(`Cannot use "${argument}": "${flag}" takes no value`);
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

/** The commands and flags as commander knows them. */
function commandTree(): Command {
  const program = new Command(PROGRAM)
    .description(
      "Proxies BuildKit clients to a buildkitd StatefulSet: starts buildkitd when a client connects, and scales it " +
        "down after --idle-timeout without connections.",
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
    .configureHelp({
      optionDescription,
      subcommandTerm: (command) => `${command.name()} ${command.usage()}`.trimEnd(),
      commandUsage: (command) =>
        `${command.parent === null ? "" : `${PROGRAM} `}${command.name()} ${command.usage()}`.trimEnd(),
    });
  for (const [, { flag, type, help, topic }] of settingRows()) {
    // A boolean alone is true.
    const value = type.placeholder === boolean.placeholder
      ? `[${type.placeholder}]`
      : `<${type.placeholder}>`;
    program.addOption(new Option(`${flag} ${value}`, help).helpGroup(`${TOPICS[topic]}:`));
  }
  program.addOption(outputOption().hideHelp());
  program.addOption(new Option("-h, --help", "show this").helpGroup("Other:"));
  program.addOption(new Option("--version", "show the version").helpGroup("Other:"));
  for (const [name, { help, usage }] of COMMANDS) {
    const description = DESCRIPTIONS.get(name) ?? help;
    const command = program.command(name).usage(usage).summary(help).description(description).helpOption(
      false,
    );
    if (name === "demo") { for (const [flag, help] of DEMO_FLAGS) command.option(flag, help); }
    if (name === "check") command.addOption(outputOption());
    if (name === "completions") {
      command.addArgument(program.createArgument("<shell>", "the shell to make it for").choices(SHELLS));
    }
  }
  program.addHelpText("after", EPILOGUE);
  return program as unknown as Command;
}

function outputOption(): Option {
  const { flag, help } = OUTPUT_FLAG;
  return new Option(`${flag} <how>`, `${help}: ${REPORT_OUTPUTS.join(", ")}\n[default ${REPORT_OUTPUTS[0]}]`);
}

const CHECK_HELP =
  `Looks for faults in the cluster and the settings: the API server, the rights, the StatefulSets with their Services, ` +
  `volumes and pods, TLS, and other writers of the replica count. Takes the flags and variables of "run", so that it ` +
  `looks at the same things. Wakes no builder and writes nothing. What you have no right to read is not checked. ` +
  `Exit codes: 0 no fault, 1 at least one, 2 wrong usage.`;

/** The help of a setting, then its variable and default, and whether pools may differ. */
function optionDescription(
  option: { readonly long?: string | undefined; readonly description: string },
): string {
  const found = settingRows().find(([, { flag }]) => flag === option.long);
  if (found === undefined) return option.description;
  const { variable, type, help, default: preset } = found[1];
  const choices = type.choices === undefined ? "" : `: ${type.choices.join(", ")}`;
  const perPool = type.rangeOfOne === undefined ? "" : ", per pool";
  return `${help}${choices}\n[${variable}${preset === undefined ? "" : `, default ${preset}`}${perPool}]`;
}

const DEMO_HELP =
  `Demonstrates the program on a miniature cluster inside this process, with clients, and prints what happens when: one ` +
  `builder first, then several. Needs no cluster.`;

const COMPLETIONS_HELP =
  `Prints a script that completes commands, flags and values. In bash:\n\n  source <(${PROGRAM} completions bash)`;

/** What the help of a command begins with; that of "run" and "help" is the program's. */
const DESCRIPTIONS: ReadonlyMap<string, string> = new Map([
  ["check", CHECK_HELP],
  ["demo", DEMO_HELP],
  [
    "version",
    "Shows the version, the commit it was made from if that is known, the runtime and the machine.",
  ],
  ["completions", COMPLETIONS_HELP],
]);

const EPILOGUE = `
A variable (in brackets) overrides its flag; an empty one counts as not set.
Durations are Go's: 2m0s, 1h30m, 500ms. Addresses are Go's: :8080, [::1]:8080.
"per pool": a value for all pools, then others for some of them: 5m, arm64=15m.

Examples:
  ${PROGRAM} --sts-namespace ci --idle-timeout 10m
  ${PROGRAM} --kubeconfig ~/.kube/config --context staging
  SCALE_DOWN_IDLE_TIMEOUT=30s ${PROGRAM} --log-format json
  ${PROGRAM} check --sts-namespace ci
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
