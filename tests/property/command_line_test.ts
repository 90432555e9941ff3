/**
 * The command line reads flags in any form and order, and has an answer to any arguments.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { UsageError } from "../../lib/base/errors.ts";
import { parseCommandLine } from "../../lib/config/command_line.ts";
import { settingRows, settingsAsText } from "../../lib/config/settings.ts";
import { ARGUMENT } from "../support/arguments.ts";

const row = fc.constantFrom(...settingRows().map(([, setting]) => setting).filter((each) => each.default));

Deno.test("parseCommandLine() reads flags in both forms, before and after run, and takes the last of each", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(row, fc.boolean())), fc.nat(), (given, at) => {
      const words = given.map((
        [{ flag, default: value }],
        i,
      ) => [flag, flag === "--target-port" ? `${i + 1}` : value!]);
      const parts = words.map(([flag, value], i) => given[i]![1] ? [`${flag}=${value}`] : [flag!, value!]);
      parts.splice(at % (parts.length + 1), 0, ["run"]);
      const request = parseCommandLine(parts.flat(), {});
      assert.ok(request.command === "run");
      const read = settingsAsText(request.settings);
      for (const [flag, value] of new Map(words as [string, string][])) {
        assert.equal(read[flag.slice(2)], value);
      }
    }),
  );
});

Deno.test("parseCommandLine() gives a request or at least one problem", () => {
  let [requests, refusals] = [0, 0];
  fc.assert(
    fc.property(fc.array(ARGUMENT, { maxLength: 5 }), (args) => {
      try {
        parseCommandLine(args, {});
        requests += 1;
      } catch (error) {
        assert.ok(error instanceof UsageError);
        assert.ok(error.problems.length > 0);
        for (const problem of error.problems) assert.match(problem, /^(?:Cannot|Unknown|Unexpected) .+/);
        refusals += 1;
      }
    }),
    { numRuns: 1000 },
  );
  assert.ok(requests > 50 && refusals > 50, `${requests} requests, ${refusals} refusals`);
});
