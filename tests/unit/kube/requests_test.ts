/** Tests of what the client asks the API server, to the letter: method, path, query, headers and body. @module */
import assert from "node:assert/strict";
import { ApiError } from "../../../lib/kube/api_error.ts";
import type { KubeClient } from "../../../lib/kube/client.ts";
import type { HttpRequest } from "../../../lib/kube/http.ts";
import { leaseApi } from "../../../lib/kube/leases.ts";
import { statefulSetScale } from "../../../lib/kube/scale.ts";
import { countedMetrics } from "../../support/counted_metrics.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";
import { never } from "./fakes.ts";

/** A client whose requests are written down, and get this answer. */
function scribe(answer: unknown, server = "https://api.test") {
  const seen: HttpRequest[] = [];
  const http = {
    send(request: HttpRequest) {
      seen.push(request);
      const { status, headers, body } = Response.json(answer);
      return Promise.resolve({ status, headers, body: body! });
    },
    reset: () => {},
    close: () => {},
  };
  const log = recordingLog();
  const client = testClient(http, { clock: new VirtualClock(), log }, {
    server: new URL(server),
    authenticate: () => Promise.resolve({ authorization: "Bearer t" }),
  });
  return { client, seen };
}

/** What was asked, as `METHOD url`, the media type and the parsed body. */
function put({ method, url, headers, body }: HttpRequest) {
  return [`${method} ${url.pathname}${url.search}`, headers["content-type"], body && JSON.parse(body)];
}

const APPLY = "application/apply-patch+yaml";
const SCALE_PATH = "/apis/apps/v1/namespaces/n/statefulsets/b/scale";
const HEAD = { apiVersion: "autoscaling/v1", kind: "Scale" };
const BARE = { ...HEAD, metadata: { name: "b", namespace: "n", resourceVersion: "7" } };
const COUNT = { replicas: 1, version: "7" };
const READ = {
  ...HEAD,
  metadata: { name: "b", namespace: "n", resourceVersion: "8" },
  spec: { replicas: 3 },
};

type Scale = ReturnType<typeof statefulSetScale>;
const SCALE_CALLS: readonly (readonly [string, (scale: Scale) => Promise<unknown>, readonly unknown[]])[] = [
  ["read()", (scale) => scale.read(never), [`GET ${SCALE_PATH}`, undefined, undefined]],
  ["update()", (scale) => scale.update(COUNT, never), [
    `PUT ${SCALE_PATH}?fieldManager=buildkitd-autoscaler`,
    "application/json",
    { ...BARE, spec: { replicas: 1 } },
  ]],
  ["update() as a dry run", (scale) => scale.update(COUNT, never, { dryRun: true }), [
    `PUT ${SCALE_PATH}?fieldManager=buildkitd-autoscaler&dryRun=All`,
    "application/json",
    { ...BARE, spec: { replicas: 1 } },
  ]],
  ["apply()", (scale) => scale.apply(COUNT, "mine", never, { dryRun: false }), [
    `PATCH ${SCALE_PATH}?fieldManager=mine&force=true`,
    APPLY,
    { ...BARE, spec: { replicas: 1 } },
  ]],
  ["apply() as a dry run", (scale) => scale.apply(COUNT, "mine", never, { dryRun: true }), [
    `PATCH ${SCALE_PATH}?fieldManager=mine&force=true&dryRun=All`,
    APPLY,
    { ...BARE, spec: { replicas: 1 } },
  ]],
  ["giveUp()", (scale) => scale.giveUp(COUNT, "mine", never), [
    `PATCH ${SCALE_PATH}?fieldManager=mine&force=true`,
    APPLY,
    BARE,
  ]],
  ["giveUp() as a dry run", (scale) => scale.giveUp(COUNT, "mine", never, { dryRun: true }), [
    `PATCH ${SCALE_PATH}?fieldManager=mine&force=true&dryRun=All`,
    APPLY,
    BARE,
  ]],
];

for (const [name, call, expected] of SCALE_CALLS) {
  Deno.test(`statefulSetScale() sends one request for ${name} and gives the count of the answer`, async () => {
    const { client, seen } = scribe(READ);
    assert.deepEqual(await call(statefulSetScale(client, "n", "b")), { replicas: 3, version: "8" });
    assert.deepEqual(seen.map(put), [expected]);
  });
}

Deno.test("statefulSetScale() takes a count that is left out for 0, and refuses one without a version", async () => {
  const read = (answer: unknown) => statefulSetScale(scribe(answer).client, "n", "b").read(never);
  assert.deepEqual(await read({ metadata: { resourceVersion: "9" }, spec: {} }), {
    replicas: 0,
    version: "9",
  });
  assert.deepEqual(await read({ metadata: { resourceVersion: "9" } }), { replicas: 0, version: "9" });
  for (const answer of [{}, { metadata: {} }, { metadata: { resourceVersion: "" } }]) {
    await assert.rejects(read(answer), /^Error: Cannot read the replica count: the answer has no resource/);
  }
});

const LEASES_PATH = "/apis/coordination.k8s.io/v1/namespaces/n/leases";
const LEASE = { metadata: { name: "l", uid: "u", resourceVersion: "5" }, spec: { holderIdentity: "me" } };
const LEASE_BODY = { ...LEASE, apiVersion: "coordination.k8s.io/v1", kind: "Lease" };

type Leases = ReturnType<typeof leaseApi>;
const LEASE_CALLS: readonly (readonly [string, (leases: Leases) => Promise<unknown>, readonly unknown[]])[] =
  [
    ["list()", (leases) => leases.list("a=b,c", never), [
      `GET ${LEASES_PATH}?labelSelector=a%3Db%2Cc`,
      undefined,
      undefined,
    ]],
    ["get()", (leases) => leases.get("l", never), [`GET ${LEASES_PATH}/l`, undefined, undefined]],
    ["create()", (leases) => leases.create(LEASE, never), [
      `POST ${LEASES_PATH}`,
      "application/json",
      LEASE_BODY,
    ]],
    ["update()", (leases) => leases.update(LEASE, never), [
      `PUT ${LEASES_PATH}/l`,
      "application/json",
      LEASE_BODY,
    ]],
    ["remove()", (leases) => leases.remove(LEASE, never), [`DELETE ${LEASES_PATH}/l`, "application/json", {
      apiVersion: "v1",
      kind: "DeleteOptions",
      preconditions: { uid: "u", resourceVersion: "5" },
    }]],
  ];

for (const [name, call, expected] of LEASE_CALLS) {
  Deno.test(`leaseApi() sends one request for ${name}`, async () => {
    const { client, seen } = scribe({ items: [LEASE], ...LEASE });
    const got = await call(leaseApi(client, "n"));
    assert.deepEqual(seen.map(put), [expected]);
    const answer = { "list()": [LEASE], "remove()": undefined }[name];
    assert.deepEqual(got, name in { "list()": 0, "remove()": 0 } ? answer : { items: [LEASE], ...LEASE });
  });
}

Deno.test("leaseApi() counts no failure when a Lease is not there", async () => {
  const metrics = countedMetrics(() => {});
  const http = {
    send() {
      const { status, headers, body } = Response.json({ kind: "Status" }, { status: 404 });
      return Promise.resolve({ status, headers, body: body! });
    },
    reset: () => {},
    close: () => {},
  };
  const leases = leaseApi(testClient(http, { clock: new VirtualClock(), log: recordingLog(), metrics }), "n");
  await assert.rejects(leases.get("l", never), ApiError);
  assert.equal(metrics.value("api_errors_total"), 0);
  await assert.rejects(leases.update(LEASE, never), ApiError);
  assert.equal(metrics.value("api_errors_total"), 1);
});

Deno.test("leaseApi() takes a list without items for an empty one", async () => {
  for (const answer of [{}, { items: null }]) {
    assert.deepEqual(await leaseApi(scribe(answer).client, "n").list("a", never), []);
  }
});

/** Asks for one object, and gives the request. */
async function asked(server: string, request: Partial<Parameters<KubeClient["json"]>[0]> = {}) {
  const { client, seen } = scribe({}, server);
  const target = { verb: "get", group: "apps", resource: "statefulsets", namespace: "n", name: "b" } as const;
  await client.json({ target, method: "GET", ...request }, never);
  return seen[0]!;
}

Deno.test("KubeClient puts the server's own path first, encodes names, and leaves out what is empty", async () => {
  const core = { verb: "list", group: "", resource: "pods", namespace: "a/b", name: "" } as const;
  const hrefs = [
    await asked("https://api.test/k8s/clusters/c/"),
    await asked("https://api.test/k8s/clusters/c", { query: { a: "1 2", b: "&" } }),
    await asked("https://api.test", { target: core, query: {} }),
  ].map(({ url }) => url.href);
  assert.deepEqual(hrefs, [
    "https://api.test/k8s/clusters/c/apis/apps/v1/namespaces/n/statefulsets/b",
    "https://api.test/k8s/clusters/c/apis/apps/v1/namespaces/n/statefulsets/b?a=1+2&b=%26",
    "https://api.test/api/v1/namespaces/a%2Fb/pods",
  ]);
});

Deno.test("KubeClient says who it is, what it takes, and the media type of what it sends", async () => {
  const common = {
    accept: "application/json",
    "accept-encoding": "identity",
    "user-agent": "buildkitd-autoscaler",
    authorization: "Bearer t",
  };
  const bare = await asked("https://api.test");
  assert.deepEqual(bare.headers, common);
  assert.equal(bare.body, undefined);
  const full = await asked("https://api.test", { method: "PATCH", body: { a: 1 }, contentType: "x/y" });
  assert.deepEqual([full.method, full.headers, full.body], [
    "PATCH",
    { ...common, "content-type": "x/y" },
    '{"a":1}',
  ]);
  const json = await asked("https://api.test", { method: "PUT", body: 0 });
  assert.equal(json.headers["content-type"], "application/json");
});

Deno.test("ApiError says what was asked, what the server said, and which rule is missing", () => {
  const target = {
    verb: "get",
    group: "apps",
    resource: "statefulsets/scale",
    namespace: "n",
    name: "b",
  } as const;
  const list = { ...target, verb: "list", resource: "leases", group: "g", name: "" } as const;
  const text = (error: ApiError) => error.message;
  assert.equal(
    text(new ApiError(target, 409, { reason: "Conflict", message: "look again" })),
    'Cannot get statefulsets/scale "b" in namespace "n": HTTP 409 Conflict: look again',
  );
  assert.equal(text(new ApiError(list, 500, {})), 'Cannot list leases in namespace "n": HTTP 500');
  assert.equal(
    text(new ApiError(list, 401, { message: "who?" }, undefined, "; do this")),
    'Cannot list leases in namespace "n": the API server does not accept the credentials (HTTP 401: who?); do this',
  );
  assert.equal(
    text(new ApiError(list, 403, { reason: "Forbidden" })),
    'Cannot list leases in namespace "n": no permission (HTTP 403 Forbidden); the missing rule in a Role of namespace ' +
      '"n" is apiGroups: ["g"], resources: ["leases"], verbs: ["list"]',
  );
  const { name, status, reason, detail, retryAfterMs } = new ApiError(list, 429, {}, 2_000);
  assert.deepEqual([name, status, reason, detail, retryAfterMs], ["ApiError", 429, "", "HTTP 429", 2_000]);
});
