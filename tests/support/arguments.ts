/**
 * Arguments of command lines, likely and odd, for the tests of the parsers.
 *
 * @module
 */
import fc from "fast-check";
import { settingRows } from "../../lib/config/settings.ts";

const flag = fc.constantFrom(...settingRows().map(([, each]) => each.flag));

const value = fc.constantFrom(
  "1m",
  "1",
  "0",
  "default",
  ":0",
  "",
  "-",
  "--",
  "-1s",
  "a=b",
  "run",
  "--target-port",
  "x\ny",
);

/** One argument. */
export const ARGUMENT: fc.Arbitrary<string> = fc.oneof(
  flag,
  value,
  fc.tuple(flag, value).map(([name, text]) => `${name}=${text}`),
  fc.constantFrom(
    "run",
    "demo",
    "--help",
    "-h",
    "--unknown",
    "--unknown=1",
    "version",
    "completions",
    "bash",
  ),
);
