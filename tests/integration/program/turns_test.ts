/**
 * The runtime's environment: with it, a new connection does not wait for streams that never wait.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import config from "../../../deno.json" with { type: "json" };

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const VARIABLE = /\bDENO_TOKIO_EVENT_INTERVAL=\d+/g;

Deno.test("start task: a new connection is accepted after few reads of 20 streams that never wait", async () => {
  const [name, value] = config.tasks.start.command.match(VARIABLE)?.[0].split("=") ?? ["UNSET", ""];
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", here("../../support/busy_relay.ts")],
    env: { [name!]: value! },
    stderr: "inherit",
  }).output();
  assert.ok(success);
  const reads = Number(new TextDecoder().decode(stdout));
  // Without the variable at least 25 for each stream, mostly 100.
  assert.ok(reads > 0 && reads < 250, `${reads} reads`);
});

Deno.test("both images have the variable of the start task", async () => {
  const variable = config.tasks.start.command.match(VARIABLE);
  const dockerfile = await Deno.readTextFile(here("../../../Dockerfile"));
  assert.deepEqual(dockerfile.match(VARIABLE), [variable![0], variable![0]]);
});
