/**
 * The program as a process: signals and exit codes, running out of descriptors, and a log that is JSON and tells no
 * secret.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ChildProgram } from "../../support/child_program.ts";
import { within } from "../../support/deadline.ts";
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
  await program.logged("shutting down");
  for (let i = 0; i < 10; i++) assert.equal(await client.echo(`call ${i}`), `call ${i}`);
  client.close();
  assert.equal(await program.exitCode(), 0);
  await program.logged("ended");
  assert.deepEqual(program.of("no JSON"), []);
  assert.ok(!program.output.includes(TOKEN), "the token is not in the log");
});

Deno.test("process: a second signal ends it at once, whatever runs", async () => {
  await using world = newWorld();
  await using program = await ChildProgram.start(world, { token: TOKEN, args: ["--shutdown-delay=1h"] });
  await program.logged("ready");
  using client = await TcpClient.connect(program.address);
  assert.equal(await client.echo("hello"), "hello");
  program.kill("SIGINT");
  await program.logged("shutting down");
  assert.equal(await client.echo("still here"), "still here");
  program.kill("SIGTERM");
  await client.ending();
  assert.equal(await program.exitCode(), 0);
  assert.equal((await program.logged("session ended"))["outcome"], "drain_timeout");
});

Deno.test("process: out of descriptors it keeps its sessions, stays alive, and accepts again once some are free", async () => {
  await using world = newWorld();
  await using program = await ChildProgram.start(world, { token: TOKEN, descriptors: 64 });
  await program.logged("ready");
  using first = await TcpClient.connect(program.address);
  assert.equal(await first.echo("before"), "before");
  // More than it has descriptors for; what it cannot accept waits in the kernel.
  const clients = await Promise.all(Array.from({ length: 100 }, () => TcpClient.connect(program.address)));
  const echoes = clients.map((client, i) => client.echo(`client ${i}`).catch((error) => String(error)));
  const { cause, level } = await program.logged("cannot accept connections");
  assert.match(String(cause), /EMFILE|Too many open files/i);
  assert.match(String(level), /^warn/i);
  assert.equal(await first.echo("during"), "during");
  for (const client of clients) client.close();
  await program.logged("cannot accept connections is over");
  await Promise.all(echoes);
  // Those that the kernel had taken come and go now; then a new one is served like any other.
  const last = await within(TcpClient.connect(program.address), "a connection");
  using _ = last;
  assert.equal(await last.echo("after"), "after");
  assert.equal(await first.echo("and still"), "and still");
  assert.deepEqual(program.of("no JSON"), []);
  assert.deepEqual(program.of("internal error"), []);
});

Deno.test("process: clients that have left before they were accepted delay nobody, and are no fault", async () => {
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
  assert.deepEqual(program.of("cannot accept connections"), []);
});
