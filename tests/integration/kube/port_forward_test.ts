/** Tests of port-forwarding over real sockets, in front of the miniature API server, which keeps the contract. @module */
import assert from "node:assert/strict";
import { systemClock } from "../../../lib/base/clock.ts";
import { ApiError } from "../../../lib/kube/api_error.ts";
import { openPortForward } from "../../../lib/kube/port_forward.ts";
import { within } from "../../support/deadline.ts";
import { helloAndEcho, PORT_FORWARD_CONTRACT, readBytes } from "../contract/port_forward.ts";
import { PortForwardStage } from "./port_forward_stage.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

for (const { title, run } of PORT_FORWARD_CONTRACT) {
  Deno.test(`port-forward, miniature API server: ${title}`, async () => {
    await using stage = new PortForwardStage();
    await run(stage.pod);
  });
}

const FORBIDDEN = {
  get: /is forbidden: \)/,
  create: /User "\S+" cannot get resource "pods\/portforward"/,
};
for (const what of ["get", "create"] as const) {
  Deno.test(`openPortForward() names both rights when only that to ${what} is there`, async () => {
    await using stage = new PortForwardStage();
    stage.api.access.rules.set("system:anonymous", [
      { apiGroups: [""], resources: ["pods/portforward"], verbs: [what] },
    ]);
    await assert.rejects(stage.pod.open(stage.pod.serve(helloAndEcho)), (error: Error) => {
      assert.ok(error instanceof ApiError && error.isMissingPermission);
      assert.match(error.message, FORBIDDEN[what]);
      assert.ok(
        error.message.includes('apiGroups: [""], resources: ["pods/portforward"], verbs: ["get", "create"]'),
        error.message,
      );
      return true;
    });
  });
}

Deno.test("openPortForward() gets fresh credentials after a 401, and tries once more", async () => {
  await using stage = new PortForwardStage();
  stage.api.access.tokens.set("new", "somebody");
  let token = "old";
  Object.assign(stage.client.cluster, {
    authenticate: () => Promise.resolve({ authorization: `Bearer ${token}` }),
    refresh: () => {
      token = "new";
      return Promise.resolve();
    },
  });
  const conn = await stage.pod.open(stage.pod.serve(helloAndEcho));
  assert.equal(text(await readBytes(conn, 5)), "hello");
  conn.close();
});

Deno.test("openPortForward() ends with its signal, at once", async () => {
  await using stage = new PortForwardStage();
  const lift = stage.api.faults.add({ fault: { kind: "freeze" } });
  const controller = new AbortController();
  const to = { namespace: "default", pod: "buildkitd-0", port: 1234 };
  const ports = { clock: systemClock, random: Math.random };
  const opening = openPortForward(stage.client, to, ports, controller.signal);
  controller.abort(new Error("enough"));
  await assert.rejects(within(opening, "the end of the attempt"), /enough/);
  lift();
});

Deno.test("a port-forward that the API server drops ends with an error, not with an end of the stream", async () => {
  await using stage = new PortForwardStage();
  const conn = await stage.pod.open(stage.pod.serve(helloAndEcho));
  assert.equal(text(await readBytes(conn, 5)), "hello");
  stage.listener.stop();
  await assert.rejects(
    conn.read(new Uint8Array(10)),
    /The connection to port \d+ of pod "buildkitd-0" through the API server broke/,
  );
  conn.close();
});
