/**
 * Shell completions: the script for a shell, and what that script asks for while somebody types. The library is loaded
 * only here. It writes to standard output itself.
 *
 * @module
 */
import {
  ADVISE_FLAGS,
  COMMANDS,
  DEMO_FLAGS,
  OUTPUT_FLAG,
  PROGRAM,
  REPORT_OUTPUTS,
  type Shell,
  SHELLS,
} from "./commands.ts";
import { settingRows } from "./settings.ts";

/** Prints the completion script for a shell. */
export async function printCompletionScript(shell: Shell): Promise<void> {
  const { script } = await import("@bomb.sh/tab");
  script(shell, PROGRAM, PROGRAM);
}

/** Prints what can complete an unfinished command line, given its words after the program's name. */
export async function printCompletions(words: readonly string[]): Promise<void> {
  const { RootCommand } = await import("@bomb.sh/tab");
  const root = new RootCommand();
  for (const [name, { help }] of COMMANDS) {
    const command = root.command(name, help);
    const reports = name === "check" || name === "advise";
    if (name === "run" || reports) addSettings(command);
    if (name === "advise") {
      for (const { flag, help } of Object.values(ADVISE_FLAGS)) {
        command.option(flag.slice(2), help.split("\n")[0]!, choices([]));
      }
    }
    if (reports) {
      command.option(OUTPUT_FLAG.flag.slice(2), OUTPUT_FLAG.help, choices(REPORT_OUTPUTS));
    }
    if (name === "demo") { for (const [flag, help] of DEMO_FLAGS) command.option(flag.slice(2), help); }
    if (name === "completions") command.argument("shell", choices(SHELLS));
  }
  addSettings(root);
  root.option("help", "show this", "h");
  root.option("version", "show the version");
  root.parse([...words]);
}

/** The part of the library's command that is used here. */
interface Completed {
  option(name: string, description: string, complete: ReturnType<typeof choices>): unknown;
}

function addSettings(command: Completed): void {
  for (const [, { flag, help, type }] of settingRows()) {
    command.option(flag.slice(2), help, choices(type.choices ?? []));
  }
}

function choices(words: readonly string[]): (complete: (word: string, description: string) => void) => void {
  return (complete) => words.forEach((word) => complete(word, ""));
}
