/**
 * What buildkitd's container runs before it is told to stop, run for real: it waits as long as somebody is connected
 * to the port of the daemon, and no longer than it may. Needs `sh` and `/proc`, as the container does.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Helm } from "./helm.ts";

const helm = await Helm.of("helm");

/** The wait of a chart with that port and time-out, started. */
async function startWait(port: number, timeout: string): Promise<Deno.ChildProcess> {
  const objects = await helm.objects({ buildkitd: { service: { port }, drain: { timeout } } });
  const statefulSet = [...objects.values()].find(({ kind }) => kind === "StatefulSet")!;
  const [command, ...args] = statefulSet.spec.template.spec.containers[0].lifecycle.preStop.exec.command;
  return new Deno.Command(command, { args, stdin: "null", stdout: "inherit", stderr: "inherit" }).spawn();
}

/** A daemon's port, and a client that is connected to it. */
async function connect(hostname: string) {
  const listener = Deno.listen({ hostname, port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const [client, daemon] = await Promise.all([Deno.connect({ hostname, port }), listener.accept()]);
  return {
    port,
    leave: () => {
      client.close();
      daemon.close();
    },
    [Symbol.dispose]: () => listener.close(),
  };
}

/** Long enough for several looks at the connections. */
const SEVERAL_LOOKS_MS = 2500;

async function endsWithin(child: Deno.ChildProcess, ms: number): Promise<boolean> {
  const timer = Promise.withResolvers<boolean>();
  const id = setTimeout(() => timer.resolve(false), ms);
  const ended = await Promise.race([child.status.then(() => true), timer.promise]);
  clearTimeout(id);
  return ended;
}

for (const hostname of ["127.0.0.1", "::1"]) {
  Deno.test(`chart: buildkitd is not told to stop while a client is connected to ${hostname}`, async () => {
    using connection = await connect(hostname);
    const wait = await startWait(connection.port, "1h");
    assert.equal(await endsWithin(wait, SEVERAL_LOOKS_MS), false);
    connection.leave();
    assert.deepEqual((await wait.status).code, 0);
  });
}

Deno.test("chart: buildkitd is told to stop at once when nobody is connected", async () => {
  using connection = await connect("127.0.0.1");
  connection.leave();
  assert.equal((await (await startWait(connection.port, "1h")).status).code, 0);
});

Deno.test("chart: the wait for clients ends with its time-out, and connections of another port do not count", async () => {
  using connection = await connect("127.0.0.1");
  using other = await connect("127.0.0.1");
  assert.equal((await (await startWait(connection.port, "1s")).status).code, 0);
  connection.leave();
  assert.equal((await (await startWait(connection.port, "1h")).status).code, 0);
  other.leave();
});
