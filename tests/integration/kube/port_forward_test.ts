/** Tests of port-forwarding over real sockets, in front of the miniature API server. @module */
import assert from "node:assert/strict";
import { ApiError } from "../../../lib/kube/api_error.ts";
import { PODS } from "../../../lib/miniature/objects.ts";
import { within } from "../../support/deadline.ts";
import { helloAndEcho, PortForwardStage, readBytes, standsStill } from "./port_forward_stage.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (value: string) => new TextEncoder().encode(value);

Deno.test("openPortForward() carries bytes both ways, and reads nothing of the protocol's own as data", async () => {
  await using stage = new PortForwardStage(helloAndEcho);
  const conn = await stage.open();
  assert.equal(text(await readBytes(conn, 5)), "hello");
  await conn.write(bytesOf("there"));
  assert.equal(text(await readBytes(conn, 5)), "there");
  assert.deepEqual(conn.remoteAddr, { hostname: "buildkitd-0", port: stage.port });
  assert.deepEqual(
    stage.api.requests.map(({ verb, subject, name }) => [verb, subject, name]),
    [["get", "v1/pods/portforward", "buildkitd-0"]],
  );
  conn.close();
});

Deno.test("openPortForward() connects to a server that lets the client speak first", async () => {
  await using stage = new PortForwardStage(async (conn) => {
    const bytes = await readBytes(conn, 3);
    await conn.write(bytes);
  });
  const conn = await stage.open();
  await conn.write(bytesOf("one"));
  assert.equal(text(await readBytes(conn, 10)), "one");
  conn.close();
});

Deno.test("openPortForward() fails, with what the server says, where nothing listens", async () => {
  await using stage = new PortForwardStage();
  await assert.rejects(stage.open(), (error: Error) => {
    assert.equal(error.name, "PortForwardError");
    assert.match(
      error.message,
      /^Cannot connect to port \d+ of pod "buildkitd-0": error forwarding port .*refused/,
    );
    return true;
  });
});

Deno.test("openPortForward() fails where the server in the pod ends the connection at once", async () => {
  await using stage = new PortForwardStage(() => Promise.resolve());
  await assert.rejects(
    stage.open(),
    /Cannot connect to port \d+ of pod "buildkitd-0": the connection was closed/,
  );
});

for (const [what, verb] of [["get", "create"], ["create", "get"]] as const) {
  Deno.test(`openPortForward() names both rights when only that to ${what} is there`, async () => {
    await using stage = new PortForwardStage(helloAndEcho);
    stage.api.access.rules.set("system:anonymous", [
      { apiGroups: [""], resources: ["pods/portforward"], verbs: [what] },
    ]);
    await assert.rejects(stage.open(), (error: Error) => {
      assert.ok(error instanceof ApiError && error.isMissingRight);
      assert.ok(error.message.includes(`cannot ${verb} resource "pods/portforward"`), error.message);
      assert.ok(
        error.message.includes('apiGroups: [""], resources: ["pods/portforward"], verbs: ["get", "create"]'),
        error.message,
      );
      return true;
    });
  });
}

Deno.test("openPortForward() says that the pod is gone", async () => {
  await using stage = new PortForwardStage(helloAndEcho);
  stage.api.registry.delete(PODS, "default", "buildkitd-0", { gracePeriodSeconds: 0 });
  await assert.rejects(stage.open(), /HTTP 404 NotFound: pods "buildkitd-0" not found/);
});

Deno.test("openPortForward() gets fresh credentials after a 401, and tries once more", async () => {
  await using stage = new PortForwardStage(helloAndEcho);
  stage.api.access.tokens.set("new", "somebody");
  let token = "old";
  const client = stage.client();
  Object.assign(client.cluster, {
    authenticate: () => Promise.resolve({ authorization: `Bearer ${token}` }),
    refresh: () => {
      token = "new";
      return Promise.resolve();
    },
  });
  const conn = await stage.open(undefined, client);
  assert.equal(text(await readBytes(conn, 5)), "hello");
  conn.close();
});

Deno.test("openPortForward() ends with its signal, at once", async () => {
  await using stage = new PortForwardStage(helloAndEcho);
  const lift = stage.api.faults.add({ fault: { kind: "freeze" } });
  const controller = new AbortController();
  const opening = stage.open(controller.signal);
  controller.abort(new Error("enough"));
  await assert.rejects(within(opening, "the end of the attempt"), /enough/);
  lift();
});

Deno.test("a port-forward that the API server drops ends with an error, not with an end of the stream", async () => {
  await using stage = new PortForwardStage(helloAndEcho);
  const conn = await stage.open();
  assert.equal(text(await readBytes(conn, 5)), "hello");
  stage.listener.stop();
  await assert.rejects(conn.read(new Uint8Array(10)), (error: Error) => {
    assert.match(
      error.message,
      /The connection to port \d+ of pod "buildkitd-0" through the API server broke/,
    );
    return true;
  });
  conn.close();
});

Deno.test("a port-forward ends with an end of the stream when the server in the pod ends it", async () => {
  await using stage = new PortForwardStage(async (conn) => {
    await conn.write(bytesOf("hello"));
    await readBytes(conn, 3);
    await conn.write(bytesOf("bye"));
  });
  const conn = await stage.open();
  await conn.write(bytesOf("end"));
  assert.equal(text(await readBytes(conn, 20)), "hellobye");
  assert.equal(await conn.read(new Uint8Array(1)), null);
  conn.close();
});

Deno.test("after closeWrite() a port-forward gives out what is on its way, and then ends on both sides", async () => {
  const ended = Promise.withResolvers<number | null>();
  await using stage = new PortForwardStage(async (conn) => {
    await conn.write(bytesOf("hello"));
    await conn.write(await readBytes(conn, 3));
    ended.resolve(await conn.read(new Uint8Array(1)));
  });
  const conn = await stage.open();
  await conn.write(bytesOf("end"));
  await conn.closeWrite();
  assert.equal(text(await within(readBytes(conn, 100), "the end of the stream")), "helloend");
  assert.equal(await within(ended.promise, "the end of the connection in the pod"), null);
  await assert.rejects(conn.write(bytesOf("more")), Deno.errors.BrokenPipe);
  conn.close();
});

Deno.test("a port-forward takes in no more than a few buffers of what nobody reads, and then all of it", async () => {
  const TOTAL = 64 * 1024 * 1024;
  let sent = 0;
  await using stage = new PortForwardStage(async (conn) => {
    const chunk = new Uint8Array(64 * 1024).fill(7);
    while (sent < TOTAL) sent += await conn.write(chunk.subarray(0, Math.min(chunk.length, TOTAL - sent)));
    await conn.closeWrite();
  });
  const conn = await stage.open();
  await standsStill(() => sent);
  assert.ok(sent < TOTAL / 2, `${sent} bytes were taken in`);
  const buffer = new Uint8Array(256 * 1024);
  let read = 0;
  for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
    read += n;
    assert.equal(buffer[n - 1], 7);
  }
  assert.equal(read, TOTAL);
  conn.close();
});

Deno.test("a port-forward takes no more than a few buffers of what the pod does not read, and then all of it", async () => {
  const TOTAL = 64 * 1024 * 1024;
  const go = Promise.withResolvers<void>();
  let received = 0;
  await using stage = new PortForwardStage(async (conn) => {
    await conn.write(bytesOf("hello"));
    await go.promise;
    const buffer = new Uint8Array(256 * 1024);
    for (let n = await conn.read(buffer); n !== null && received < TOTAL;) {
      received += n;
      if (received === TOTAL) break;
      n = await conn.read(buffer);
    }
    await conn.write(bytesOf("bye"));
  });
  const conn = await stage.open();
  let taken = 0;
  const chunk = new Uint8Array(256 * 1024);
  const writing = (async () => {
    while (taken < TOTAL) taken += await conn.write(chunk.subarray(0, Math.min(chunk.length, TOTAL - taken)));
  })();
  await standsStill(() => taken);
  assert.ok(taken < TOTAL / 2, `${taken} bytes were taken`);
  go.resolve();
  await writing;
  assert.equal(text(await readBytes(conn, 8)), "hellobye");
  assert.equal(received, TOTAL);
  conn.close();
});
