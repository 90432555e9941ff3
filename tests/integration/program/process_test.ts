/**
 * The program as a process: signals and exit codes, running out of descriptors, and a log that is JSON and tells no
 * secret.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ECHO_MS } from "../../../lib/signals.ts";
import { ChildProgram } from "../../support/child_program.ts";
import { outlivesExhaustion, refusesWhatItHasNoDescriptorsFor } from "../../support/few_descriptors.ts";
import { World } from "../../support/program.ts";
import { resettable, TcpClient } from "../../support/tcp_client.ts";

const TOKEN = "a-token-that-nobody-may-see";

function newWorld(): World {
  return new World({ cluster: { replicas: 1 } });
}

Deno.test("process: SIGTERM ends it with 0 once the last session has ended; its log is JSON without the token", async () => {
  await using world = newWorld();
  await using program = await ChildProgram.start(world, { token: TOKEN, args: ["--shutdown-delay=0s"] });
  await program.logged("ready");
  using client = await TcpClient.connect(program.address);
  assert.equal(await client.echo("hello"), "hello");
  program.kill("SIGTERM");
  await program.logged("shutdown_started");
  for (let i = 0; i < 10; i++) assert.equal(await client.echo(`call ${i}`), `call ${i}`);
  client.close();
  assert.equal(await program.exitCode(), 0);
  await program.logged("program_ended");
  assert.deepEqual(program.lines.filter((line) => line["code"] === "no JSON"), []);
  assert.ok(!program.output.includes(TOKEN), "the token is not in the log");
});

Deno.test("process: a second signal ends it at once, whatever runs", async () => {
  await using world = newWorld();
  await using program = await ChildProgram.start(world, { token: TOKEN, args: ["--shutdown-delay=1h"] });
  await program.logged("ready");
  using client = await TcpClient.connect(program.address);
  assert.equal(await client.echo("hello"), "hello");
  program.kill("SIGINT");
  await program.logged("shutdown_started");
  // A task runner forwards Ctrl-C like this: it is no second signal.
  program.kill("SIGTERM");
  assert.equal(await client.echo("still here"), "still here");
  await new Promise((resolve) => setTimeout(resolve, ECHO_MS));
  // The second one has an echo, too: it would end the program before that has told anybody.
  program.kill("SIGTERM");
  program.kill("SIGINT");
  await client.ending();
  assert.equal(await program.exitCode(), 0);
  assert.equal((await program.logged("session_ended"))["outcome"], "drain_timeout");
});

Deno.test("process: out of descriptors it keeps its sessions and its admin port, and accepts again once some are free", async () => {
  await outlivesExhaustion();
});

Deno.test("process: with too few descriptors for all clients it refuses some, and neither cuts one nor stops answering", async () => {
  await refusesWhatItHasNoDescriptorsFor({ descriptors: 1024 });
});

Deno.test("process: clients that leave before they are accepted cause no delay and no fault", async () => {
  await using world = newWorld();
  await using program = await ChildProgram.start(world, { token: TOKEN });
  await program.logged("ready");
  // While the program stands still the kernel accepts connections for it, in their order.
  program.kill("SIGSTOP");
  for (let i = 0; i < 20; i++) await (await resettable(program.address)).reset();
  using client = await TcpClient.connect(program.address);
  program.kill("SIGCONT");
  assert.equal(await client.echo("hello"), "hello");
  const { text } = await program.admin("/metrics");
  assert.match(text, /accept_errors_total\{cause="client"\} 20\n/);
  assert.match(text, /accept_errors_total\{cause="exhausted"\} 0\n/);
  assert.deepEqual(program.of("accept_failed"), []);
});
