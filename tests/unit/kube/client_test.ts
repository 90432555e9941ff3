/** Tests of what the client takes for access to the API, and for a lack of rights. @module */
import assert from "node:assert/strict";
import { ApiError } from "../../../lib/kube/api_error.ts";
import type { Http } from "../../../lib/kube/http.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const TARGET = { verb: "get", group: "apps", resource: "statefulsets", namespace: "n", name: "b" } as const;
const SIGNAL = new AbortController().signal;

function setUp() {
  const log = recordingLog();
  const next = { answer: (): Response => new Response("{}") };
  const http: Http = {
    async send() {
      await Promise.resolve();
      const { status, headers, body } = next.answer();
      return { status, headers, body: body! };
    },
    reset: () => {},
    close: () => {},
  };
  const client = testClient(http, { clock: new VirtualClock(), log });
  const ask = async (answer: () => Response) => {
    next.answer = answer;
    return await client.json({ target: TARGET, method: "GET" }, SIGNAL).catch((error: unknown) => error);
  };
  return { client, log, ask };
}

Deno.test("KubeClient: only what the API server itself answers ends that there is no access, not what stands before it says", async () => {
  const { client, log, ask } = setUp();
  await ask(() => {
    throw new Error("refused");
  });
  assert.ok(client.access.cause !== undefined);
  for (const status of [502, 503, 504]) {
    await ask(() => new Response("<html>no healthy upstream</html>", { status }));
    assert.ok(client.access.cause !== undefined, `after ${status}`);
  }
  await ask(() =>
    Response.json({ kind: "Status", code: 503, reason: "ServiceUnavailable" }, { status: 503 })
  );
  assert.equal(client.access.cause, undefined);
  assert.equal(log.of("no access to the Kubernetes API").length, 1);
});

for (const status of [200, 403, 404, 409]) {
  Deno.test(`KubeClient: ${status} ends that there is no access`, async () => {
    const { client, ask } = setUp();
    await ask(() => {
      throw new Error("refused");
    });
    await ask(() => Response.json({}, { status }));
    assert.equal(client.access.cause, undefined);
  });
}

const REFUSALS = {
  'statefulsets.apps "buildkitd" is forbidden: User "proxy" cannot get resource "statefulsets/scale" in API group "apps" in the namespace "default"':
    true,
  "": true,
  'admission webhook "policy.example.com" denied the request: frozen until Monday': false,
  'leases.coordination.k8s.io "x" is forbidden: exceeded quota: objects, requested: 1, used: 9, limited: 9':
    false,
  'leases.coordination.k8s.io "x" is forbidden: unable to create new content in namespace ci because it is being terminated':
    false,
};
for (const [message, isRight] of Object.entries(REFUSALS)) {
  Deno.test(`KubeClient: ${isRight ? "a" : "no"} missing rule is named for a 403 that says "${message}"`, async () => {
    const { ask } = setUp();
    const status = { kind: "Status", reason: "Forbidden", message };
    const error = await ask(() => Response.json(status, { status: 403 }));
    assert.ok(error instanceof ApiError);
    assert.ok(error.message.includes(message), error.message);
    assert.equal(error.message.includes("the missing rule in a Role"), isRight, error.message);
  });
}
