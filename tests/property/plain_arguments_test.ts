/**
 * The short way of reading arguments agrees with commander wherever it is taken.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { UsageError } from "../../lib/base/errors.ts";
import { parseCommandLine } from "../../lib/config/command_line.ts";
import { readPlainArguments } from "../../lib/config/plain_arguments.ts";
import { runRequest } from "../../lib/config/parse_settings.ts";
import { ARGUMENT } from "../support/arguments.ts";

function outcome(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    assert.ok(error instanceof UsageError);
    return error.problems;
  }
}

Deno.test("readPlainArguments() reads as parseCommandLine() does, or not at all", () => {
  let plain = 0;
  fc.assert(
    fc.property(fc.array(ARGUMENT, { maxLength: 5 }), (args) => {
      const flags = readPlainArguments(args);
      if (flags === undefined) return;
      plain += 1;
      assert.deepEqual(
        outcome(() => runRequest({ flags, variables: {} })),
        outcome(() => parseCommandLine(args, {})),
      );
    }),
    { numRuns: 1000 },
  );
  assert.ok(plain > 50, `${plain} command lines were plain`);
});

Deno.test("readPlainArguments() takes both forms of a flag, and the last of two", () => {
  const flags = readPlainArguments(["run", "--target-port", "1", "--idle-timeout=5m", "--target-port=2"]);
  assert.deepEqual([...flags!], [["targetPort", "2"], ["idleTimeoutMs", "5m"]]);
  for (
    const args of [["--help"], ["--target-port"], ["x"], ["--target-port", "-1"], ["--unknown=1"], ["demo"]]
  ) {
    assert.equal(readPlainArguments(args), undefined, args.join(" "));
  }
});
