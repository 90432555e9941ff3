/**
 * Scenarios of few file descriptors, for the sources as well as for the compiled program, which runs on another runtime
 * and whose soft limit nobody raises.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ByteReader } from "../../lib/miniature/bytes.ts";
import { END_STREAM, FRAME, PREFACE, serveHttp2 } from "../../lib/miniature/stub_http2.ts";
import { type ChildOptions, ChildProgram } from "./child_program.ts";
import { within } from "./deadline.ts";
import { call, Http2Client, literalFields, OPENING, SETTINGS_ACK } from "./http2_client.ts";
import { World } from "./program.ts";
import { TcpClient } from "./tcp_client.ts";

const CLIENTS = 700;
/** Clients that connect at a time, fewer than are told of a refusal at a time. */
const AT_A_TIME = 50;

/** Makes a call, and gives nothing once it was answered, or the reason of its refusal. */
async function ask(client: Http2Client, stream: number): Promise<string | undefined> {
  await client.send(...call(stream));
  for (;;) {
    const frame = await client.next(`the answer to call ${stream}`);
    assert.ok(frame !== null, "the connection was cut");
    if (frame.stream !== stream || frame.type !== FRAME.headers || (frame.flags & END_STREAM) === 0) continue;
    const { "grpc-status": status, "grpc-message": message } = literalFields(frame.payload);
    return status === "0" ? undefined : `${status} ${message}`;
  }
}

/**
 * `/livez` is 200 all along and after, nobody who was served is cut, and all others are told why. The limit in
 * `options` has to be one for less than 700 clients.
 */
export async function refusesWhatItHasNoDescriptorsFor(options: Omit<ChildOptions, "token">): Promise<void> {
  await using world = new World({
    cluster: { replicas: 1 },
    serve: async (conn) => {
      const reader = new ByteReader(conn);
      if (await reader.startsWith(PREFACE)) await serveHttp2(conn, reader);
    },
  });
  await using program = await ChildProgram.start(world, { ...options, token: "token" });
  const sessions = Number((await program.logged("descriptors_insufficient"))["sessions"]);
  await program.logged("ready");

  const served: Http2Client[] = [];
  const refused: string[] = [];
  const one = async () => {
    const client = await Http2Client.connect(program.address);
    await client.send(OPENING, SETTINGS_ACK);
    const refusal = await ask(client, 1);
    if (refusal === undefined) return void served.push(client);
    refused.push(refusal);
    client.close();
  };
  const probes: number[] = [];
  let over = false;
  const probing = (async () => {
    while (!over) probes.push((await program.admin("/livez")).status);
  })();
  try {
    for (let i = 0; i < CLIENTS; i += AT_A_TIME) await Promise.all(Array.from({ length: AT_A_TIME }, one));
    assert.equal(served.length, sessions);
    assert.equal(refused.length, CLIENTS - sessions);
    const why = new RegExp(`^8 The limit of ${sessions} connections is reached: .*ulimit -n`);
    for (const refusal of refused) assert.match(refusal, why);
    for (const client of served) assert.equal(await ask(client, 3), undefined, "who was served goes on");
  } finally {
    for (const client of served) client.close();
    over = true;
    await probing;
  }
  probes.push((await program.admin("/livez")).status);
  assert.deepEqual([...new Set(probes)], [200]);
  const { text } = await program.admin("/metrics");
  assert.match(text, new RegExp(`sessions_limit ${sessions}\n`));
  assert.match(text, /accept_errors_total\{cause="exhausted"\} 0\n/, "it has never run out");
  // There is room again.
  await world.until("no session in the pods", () => world.pods.open === 0);
  await one();
  served.at(-1)!.close();
  assert.deepEqual(program.of("internal_error"), []);
}

/** With no descriptor left at all, sessions and admin port go on, and both ports accept again once there are some. */
export async function outlivesExhaustion(binary?: string): Promise<void> {
  await using world = new World({ cluster: { replicas: 1 } });
  await using program = await ChildProgram.start(world, {
    token: "token",
    descriptors: 64,
    ...(binary === undefined ? {} : { binary }),
  });
  await program.logged("ready");
  using first = await TcpClient.connect(program.address);
  assert.equal(await first.echo("before"), "before");
  using probe = await TcpClient.connect(program.adminAddress);
  // More than there are descriptors for, since so few are kept back of so few.
  const idle = await Promise.all(Array.from({ length: 60 }, () => TcpClient.connect(program.adminAddress)));
  await program.logged("admin_accept_failed");
  using late = await TcpClient.connect(program.address);
  const { cause, level } = await program.logged("accept_failed");
  assert.match(String(cause), /EMFILE|Too many open files/i);
  assert.match(String(level), /^warn/i);
  assert.equal(await first.echo("during"), "during");
  await probe.send("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n");
  assert.match(new TextDecoder().decode(await probe.receive(15)), /^HTTP\/1\.1 200 OK/);
  for (const client of idle) client.close();
  await program.logged("admin_accept_failed_recovered");
  await program.logged("accept_failed_recovered");
  assert.equal(await late.echo("after"), "after");
  assert.equal(await first.echo("and still"), "and still");
  const { status, text } = await within(program.admin("/metrics"), "the metrics");
  assert.equal(status, 200);
  assert.match(text, /accept_errors_total\{cause="exhausted"\} [1-9]/);
  assert.deepEqual(program.lines.filter((line) => line["code"] === "no JSON"), []);
  assert.deepEqual(program.of("internal_error"), []);
}
