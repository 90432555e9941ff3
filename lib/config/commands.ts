/**
 * The commands of the program, for parsing, `--help` and shell completions.
 *
 * @module
 */

/** The program's name. */
export const PROGRAM = "buildkitd-autoscaler";

/** Shells that there are completions for. */
export const SHELLS = ["bash", "zsh", "fish", "powershell"] as const;
/** One of {@link SHELLS}. */
export type Shell = typeof SHELLS[number];

/** The flags of `demo`, and what they do. */
export const DEMO_FLAGS = [
  ["--stub", "use stand-ins even where buildkitd and buildctl are installed"],
  ["--laptop", "as on a laptop, without a route to the pods: through the API server"],
] as const;

/** How `check` can print its report. */
export const REPORT_OUTPUTS = ["text", "json"] as const;
/** One of {@link REPORT_OUTPUTS}. */
export type ReportOutput = typeof REPORT_OUTPUTS[number];

/** What `check` takes beside the flags and variables of `run`. */
export const OUTPUT_FLAG = { flag: "--output", help: "how to print the report" } as const;

/** A command in `--help`. */
export interface CommandText {
  /** One phrase in lower case. */
  readonly help: string;
  /** What stands after its name. */
  readonly usage: string;
}

/** All commands with their help, in the order of `--help`. */
export const COMMANDS: ReadonlyMap<string, CommandText> = new Map([
  ["run", { help: "proxy and scale (the default)", usage: "[flags]" }],
  ["check", { help: "look for faults, and name the commands that fix them", usage: "[flags]" }],
  ["demo", { help: "demonstrate it on a miniature cluster inside this process", usage: "[flags]" }],
  ["version", { help: "show the version", usage: "" }],
  ["completions", { help: "print a script that completes commands and flags", usage: "<shell>" }],
  ["help", { help: "show this, or the help of a command", usage: "[command]" }],
]);
