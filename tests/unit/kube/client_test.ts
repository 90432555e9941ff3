/** Tests of what the client takes for access to the API and for a lack of rights, and of when it asks again. @module */
import assert from "node:assert/strict";
import { PrivateError } from "../../../lib/base/errors.ts";
import { ApiError } from "../../../lib/kube/api_error.ts";
import type { Cluster } from "../../../lib/kube/cluster.ts";
import type { Http } from "../../../lib/kube/http.ts";
import { HandshakeError } from "../../../lib/kube/http_errors.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const TARGET = { verb: "get", group: "apps", resource: "statefulsets", namespace: "n", name: "b" } as const;
const SIGNAL = new AbortController().signal;

function setUp(cluster: Partial<Cluster> = {}) {
  const log = recordingLog();
  const sent: (string | undefined)[] = [];
  const next = { answer: (): Response => new Response("{}") };
  const http: Http = {
    async send({ headers: { authorization } }) {
      await Promise.resolve();
      sent.push(authorization);
      const { status, headers, body } = next.answer();
      return { status, headers, body: body! };
    },
    reset: () => {},
    close: () => {},
  };
  const client = testClient(http, { clock: new VirtualClock(), log }, cluster);
  const ask = async (answer: () => Response) => {
    next.answer = answer;
    return await client.json({ target: TARGET, method: "GET" }, SIGNAL).catch((error: unknown) => error);
  };
  return { client, log, sent, ask };
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
  assert.equal(log.of("api_access_failed").length, 1);
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
  'pods "buildkitd-0" is forbidden: ': true,
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

/** A cluster whose credentials are new after each refresh. */
function rotating(renews: boolean) {
  let round = 1;
  const next = () => {
    round++;
    return Promise.resolve();
  };
  return {
    authenticate: () => Promise.resolve({ authorization: `token ${round}` }),
    refresh: next,
    renew: () => next().then(() => renews),
  };
}

const UNAUTHORIZED = () => Response.json({ kind: "Status", reason: "Unauthorized" }, { status: 401 });

Deno.test("KubeClient sends a request that was answered with 401 once more, with refreshed credentials", async () => {
  const { sent, client, ask } = setUp(rotating(true));
  const answers = [UNAUTHORIZED, () => Response.json({ good: true })];
  assert.deepEqual(await ask(() => answers.shift()!()), { good: true });
  assert.deepEqual(sent, ["token 1", "token 2"]);
  assert.equal(client.access.cause, undefined);
});

Deno.test("KubeClient sends a request no third time when the refreshed credentials are refused, too", async () => {
  const { sent, ask } = setUp(rotating(true));
  const error = await ask(UNAUTHORIZED);
  assert.ok(error instanceof ApiError && error.status === 401);
  assert.deepEqual(sent, ["token 1", "token 2"]);
});

for (const renews of [true, false]) {
  Deno.test(`KubeClient sends a request ${renews ? "once more" : "only once"} after a failed handshake when ${renews ? "something" : "nothing"} is new`, async () => {
    const { sent, ask } = setUp(rotating(renews));
    const answer = () => {
      throw new HandshakeError("private", "public");
    };
    assert.ok(await ask(answer) instanceof HandshakeError);
    assert.deepEqual(sent, renews ? ["token 1", "token 2"] : ["token 1"]);
  });
}

Deno.test("KubeClient sends a request only once when the connection was refused", async () => {
  const { sent, ask } = setUp(rotating(true));
  await ask(() => {
    throw new Error("refused");
  });
  assert.deepEqual(sent, ["token 1"]);
});

Deno.test("KubeClient speaks of a kubeconfig after a 401 only where there is one, and never of its path", async () => {
  const causeOf = async (source: string) => {
    const { client, ask } = setUp({ source });
    await ask(UNAUTHORIZED);
    return client.access.cause!;
  };
  assert.match(await causeOf("service account"), /the service account's token has expired, or the pod/);
  assert.doesNotMatch(await causeOf("service account"), /kubeconfig/);
  assert.match(
    await causeOf('context "x" of "/home/me/config"'),
    /the kubeconfig's context is the right one$/,
  );
});

Deno.test("KubeClient names the namespace of the credentials after a 403, but no path", async () => {
  const messageFor = async (source: string) => {
    const { ask } = setUp({ source, namespace: "team" });
    return String(await ask(() => Response.json({}, { status: 403 })));
  };
  const other = async (namespace: string | undefined) => {
    const { ask } = setUp({ source: "service account", namespace });
    return String(await ask(() => Response.json({}, { status: 403 })));
  };
  for (const namespace of ["n", undefined]) assert.doesNotMatch(await other(namespace), /; the namespace/);
  assert.match(await messageFor("service account"), /; the namespace of the service account is "team"$/);
  assert.match(
    await messageFor('context "x" of "/home/me/config"'),
    /; the namespace of the kubeconfig's context is "team"$/,
  );
});

Deno.test("KubeClient logs the private message of an error and shows the public one", async () => {
  const { client, log, ask } = setUp();
  await ask(() => {
    throw new Error("wrapped", { cause: new PrivateError("the secret is x", "ask the operator") });
  });
  assert.equal(client.access.cause, "ask the operator");
  assert.match(
    String(log.of("api_access_failed")[0]?.fields["cause"]),
    /the secret is x/,
  );
});
