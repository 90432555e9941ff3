/**
 * Reads the command line of a Deployment: known flags with values and nothing else, with or without `run`. commander reads
 * all other command lines; it would cost 7.5 MB of memory for as long as the program runs. A test checks that both read
 * the same. Pure.
 *
 * @module
 */
import { type SettingKey, settingRows } from "./settings.ts";

/** The flags and their text, or `undefined` where {@link args} hold anything else. */
export function readPlainArguments(args: readonly string[]): ReadonlyMap<SettingKey, string> | undefined {
  const keys = new Map<string, SettingKey>(settingRows().map(([key, { flag }]) => [flag, key]));
  const flags = new Map<SettingKey, string>();
  for (let i = args[0] === "run" ? 1 : 0; i < args.length; i++) {
    const [, flag, inline] = /^(--[a-z-]+)(?:=([\s\S]*))?$/.exec(args[i]!) ?? [];
    const key = flag === undefined ? undefined : keys.get(flag);
    const text = inline ?? args[++i];
    if (key === undefined || text === undefined || (inline === undefined && text.startsWith("-"))) {
      return undefined;
    }
    flags.set(key, text);
  }
  return flags;
}
