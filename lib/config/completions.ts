/**
 * Shell completions: the script for a shell, and what that script asks for while somebody types. The library is loaded
 * only here. It writes to standard output itself: a line for each candidate, then `:4`, or `:0` where the shell may offer
 * files.
 *
 * @module
 */
import { bashCompletion } from "./bash_completion.ts";
import {
  COMMANDS,
  DEMO_FLAGS,
  OUTPUT_FLAG,
  PROGRAM,
  REPORT_OUTPUTS,
  type Shell,
  SHELLS,
} from "./commands.ts";
import { settingRows } from "./settings.ts";

/** Prints the completion script for a shell; that for bash with `print`. */
export async function printCompletionScript(
  shell: Shell,
  print: (text: string) => Promise<void>,
): Promise<void> {
  if (shell === "bash") return await print(bashCompletion(PROGRAM));
  const { script } = await import("@bomb.sh/tab");
  script(shell, PROGRAM, PROGRAM);
}

/** Prints what can complete an unfinished command line, given its words after the program's name. */
export async function printCompletions(words: readonly string[]): Promise<void> {
  const { RootCommand } = await import("@bomb.sh/tab");
  const root = new RootCommand();
  let directive = NO_FILES;
  // The library always sets it so that no files are offered.
  Object.defineProperty(root, "directive", { get: () => directive, set: () => {} });
  const files = () => void (directive = FILES);
  for (const [name, { help }] of COMMANDS) {
    const command = root.command(name, help);
    if (name === "run" || name === "check") addSettings(command, files);
    if (name === "check") {
      command.option(OUTPUT_FLAG.flag.slice(2), OUTPUT_FLAG.help, choices(REPORT_OUTPUTS));
    }
    if (name === "demo") { for (const [flag, help] of DEMO_FLAGS) command.option(flag.slice(2), help); }
    if (name === "completions") command.argument("shell", choices(SHELLS));
    if (name === "help") command.argument("command", choices([...COMMANDS.keys()]));
  }
  addSettings(root, files);
  root.option("help", "show this", "h");
  root.option("version", "show the version");
  root.parse([...words]);
}

/** What a shell may do where there is no candidate. */
const FILES = 0, NO_FILES = 4;

/** Tells what can be a value. */
type Complete = (complete: (word: string, description: string) => void) => void;

/** The part of the library's command that is used here. */
interface Completed {
  option(name: string, description: string, complete: Complete): unknown;
}

function addSettings(command: Completed, files: Complete): void {
  for (const [, { flag, help, type }] of settingRows()) {
    const isFile = type.placeholder === "file";
    command.option(flag.slice(2), help, isFile ? files : choices(type.choices ?? []));
  }
}

function choices(words: readonly string[]): Complete {
  return (complete) => words.forEach((word) => complete(word, ""));
}
