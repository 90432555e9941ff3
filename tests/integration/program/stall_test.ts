/**
 * The program as a process that stands still for a moment, as a limit on its CPU time makes it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { SILENT_MS } from "../../../lib/proxy/introduction.ts";
import { ChildProgram } from "../../support/child_program.ts";
import { pause } from "../../support/deadline.ts";
import { World } from "../../support/program.ts";
import { TcpClient } from "../../support/tcp_client.ts";

Deno.test("process: an HTTP request that comes while the process stands still is answered, and wakes no builder", async () => {
  await using world = new World();
  await using program = await ChildProgram.start(world, { token: "token" });
  await program.logged("ready");
  for (let i = 0; i < 20; i++) {
    using client = await TcpClient.connect(program.address);
    await pause(SILENT_MS / 4); // it has accepted
    program.kill("SIGSTOP");
    await client.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    await pause(1.5 * SILENT_MS);
    program.kill("SIGCONT");
    assert.equal(new TextDecoder().decode(await client.receive(9)), "HTTP/1.1 ", `try ${i}`);
  }
  assert.deepEqual(program.of("session_opened"), []);
  assert.equal(world.cluster.replicas, 0);
});
