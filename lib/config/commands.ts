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
export const CHECK_OUTPUTS = ["text", "json"] as const;
/** One of {@link CHECK_OUTPUTS}. */
export type CheckOutput = typeof CHECK_OUTPUTS[number];

/** What `check` takes beside the flags and variables of `run`. */
export const CHECK_FLAG = { flag: "--output", help: "how to print the report" } as const;

/** All commands with their help, in the order of `--help`. */
export const COMMANDS: ReadonlyMap<string, { readonly help: string }> = new Map([
  ["run", { help: "proxy and scale (the default)" }],
  ["check", { help: "look for faults, and name the commands that fix them" }],
  ["demo", { help: "demonstrate it on a miniature cluster inside this process" }],
  ["version", { help: "show the version" }],
  ["completions", { help: "print a script that completes commands and flags" }],
]);
