/**
 * The command lines of production: nothing but known flags with values, after `run` or nothing. They are read here,
 * because commander, which reads all others, costs 5 to 9 MB for as long as the program runs. Whatever is unusual is left
 * to it; a test holds the two together. Pure.
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
