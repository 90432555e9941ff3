/**
 * The doctor on the miniature cluster: what it reads and asks, what it leaves out without rights, and where it stops when
 * nothing answers.
 *
 * @module
 */
import assert from "node:assert/strict";
import { runCheck } from "../../../lib/app/check_command.ts";
import { UsageError } from "../../../lib/base/errors.ts";
import type { Finding } from "../../../lib/check/finding.ts";
import { parseSettings } from "../../../lib/config/parse_settings.ts";
import type { SettingKey } from "../../../lib/config/settings.ts";
import { type Cluster, SERVICE_ACCOUNT } from "../../../lib/kube/cluster.ts";
import { MemoryHttp } from "../../../lib/miniature/memory_http.ts";
import { MiniatureCluster } from "../../../lib/miniature/miniature_cluster.ts";
import {
  AUTOSCALERS,
  ENDPOINT_SLICES,
  type KubeObject,
  NAMESPACES,
  type Resource,
  SERVICES,
  STATEFULSETS,
} from "../../../lib/miniature/objects.ts";
import { PATCH_TYPES } from "../../../lib/miniature/registry.ts";
import type { StatefulSetOptions } from "../../../lib/miniature/stateful_set.ts";
import { StubPods } from "../../../lib/miniature/stub_pods.ts";
import { makeCa } from "../../integration/kube/certificates.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { testClient } from "../../support/test_client.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";
import { VirtualNetwork } from "../../support/virtual_network.ts";
import { faults } from "./builders.ts";

const SOON_MS = 5_000;
const MANAGER = { manager: "test" };

interface Run {
  readonly flags?: Partial<Record<SettingKey, string>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly cluster?: Partial<Cluster>;
  readonly loadCluster?: () => Promise<Cluster>;
  readonly loadUpstreamTls?: () => Promise<undefined>;
  readonly signal?: AbortSignal;
}

/** A cluster with a Service and a namespace, as a person sees it who has set up everything. */
class World implements AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly #network = new VirtualNetwork();
  readonly cluster: MiniatureCluster;
  readonly http: MemoryHttp;

  constructor(options: Partial<StatefulSetOptions> & { readonly more?: readonly StatefulSetOptions[] } = {}) {
    const { clock } = this;
    this.cluster = new MiniatureCluster({
      clock,
      runtime: new StubPods({ network: this.#network, clock, warmUpMs: () => 0 }),
      targetPort: 8372,
      podAddress: (n) => `192.0.2.${n}`,
      ...options,
    });
    this.http = new MemoryHttp(this.cluster.api, clock, "doctor");
    for (const { name, serviceName } of this.cluster.sets) {
      this.create(SERVICES, serviceName, {
        spec: { clusterIP: "None", selector: { app: name }, ports: [{ port: 8372 }] },
      });
    }
    this.create(NAMESPACES, "default", {}, "");
  }

  create(resource: Resource, name: string, body: object, namespace = "default"): void {
    this.cluster.api.registry.create(resource, namespace, { metadata: { name }, ...body }, MANAGER);
  }

  patch(resource: Resource, name: string, body: object): KubeObject {
    return this.cluster.api.registry.patch(resource, "default", name, PATCH_TYPES.merge, body, MANAGER);
  }

  /** Lets time pass while it runs. */
  async check(run: Run = {}): Promise<readonly Finding[]> {
    const { clock, http } = this;
    const settings = parseSettings({
      flags: new Map(Object.entries(run.flags ?? {}) as [SettingKey, string][]),
      variables: {},
    });
    const { cluster } = testClient(http, { clock, log: recordingLog() }, {
      source: SERVICE_ACCOUNT,
      ...run.cluster,
    });
    let findings: readonly Finding[] | undefined;
    const running = runCheck(settings, {
      clock,
      random: () => 0.5,
      network: this.#network,
      log: recordingLog(),
      runtime: Deno.version.deno,
      readText: (path) => {
        const text = run.files?.[path];
        return text === undefined ? Promise.reject(new Deno.errors.NotFound()) : Promise.resolve(text);
      },
      loadCluster: run.loadCluster ?? (() => Promise.resolve(cluster)),
      loadUpstreamTls: run.loadUpstreamTls ?? (() => Promise.resolve(undefined)),
    }, run.signal ?? new AbortController().signal).then((found) => findings = found);
    running.catch(() => {});
    for (let i = 0; i < 100 && findings === undefined; i++) await clock.advance(SOON_MS);
    return await running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
  }
}

async function world(options: ConstructorParameters<typeof World>[0] = {}): Promise<World> {
  const made = new World(options);
  await made.clock.advance(SOON_MS);
  return made;
}

function about(findings: readonly Finding[], check: string): Finding | undefined {
  return findings.find((finding) => finding.check === check);
}

Deno.test("runCheck() finds no fault where there is none, and only reads", async () => {
  await using it = await world();
  it.cluster.api.requests.length = 0;
  const findings = await it.check();
  // The pods of the miniature cluster declare no port.
  assert.deepEqual(faults(findings), [
    'unchecked port of StatefulSet "buildkitd": its containers declare no port',
    'unchecked pod of "buildkitd": none runs now, and this command starts none',
  ]);
  assert.equal(about(findings, 'volume claims of "buildkitd"')?.result, "ok");
  const verbs = new Set(it.cluster.api.requests.map(({ verb }) => verb));
  assert.deepEqual([...verbs].sort(), ["get", "list"]);
  assert.equal(it.cluster.replicas, 0);
  assert.deepEqual(it.cluster.pods, []);
});

Deno.test("runCheck() asks a running pod", async () => {
  await using it = await world({ replicas: 1 });
  const findings = await it.check();
  assert.equal(
    about(findings, 'pod of "buildkitd"')?.found,
    "buildkitd-0 accepts connections by its address",
  );
  assert.equal(about(findings, 'health service of "buildkitd"')?.found, "buildkitd-0 answers SERVING");
  const elsewhere = await it.check({ flags: { targetPort: "1" } });
  const fault = about(elsewhere, 'pod of "buildkitd"');
  assert.equal(fault?.result, "failed");
  assert.match(fault.found, /^Cannot connect to ready pod "buildkitd-0"/);
});

Deno.test("runCheck() looks for the pod that is wanted and has no address", async () => {
  await using it = await world({ replicas: 1 });
  it.patch(STATEFULSETS, "buildkitd", { spec: { replicas: 2 } });
  for (const { metadata: { name } } of it.cluster.api.registry.store.list(ENDPOINT_SLICES, "default")) {
    it.cluster.controllers[Symbol.dispose]();
    it.patch(ENDPOINT_SLICES, name, { endpoints: [] });
  }
  const finding = about(await it.check(), 'pod of "buildkitd"');
  assert.deepEqual([finding?.result, finding?.found], [
    "unchecked",
    "buildkitd-0 is ready, and no EndpointSlice lists it as such",
  ]);
});

Deno.test("runCheck() has not checked what it may not read, and names each missing right", async () => {
  await using it = await world();
  const { access } = it.cluster.api;
  access.tokens.set("t", "poor");
  access.rules.set("poor", [{ apiGroups: ["apps"], resources: ["statefulsets"], verbs: ["list"] }]);
  const findings = await it.check({
    cluster: { authenticate: () => Promise.resolve({ authorization: "Bearer t" }) },
  });
  assert.match(about(findings, "API server")?.found ?? "", /, you are poor$/);
  assert.deepEqual(
    findings.filter(({ result }) => result === "failed").map(({ check, found }) => `${check}: ${found}`),
    [
      'rights to statefulsets "buildkitd": no right to watch',
      'rights to statefulsets/scale "buildkitd": no right to get, update, patch',
      "rights to endpointslices: no right to list, watch",
    ],
  );
  assert.deepEqual(
    findings.filter(({ result }) => result === "unchecked").map(({ check }) => check),
    [
      "Leases of proxies",
      'Service "buildkitd-headless"',
      'EndpointSlices of Service "buildkitd-headless"',
      'port of StatefulSet "buildkitd"',
      'Pod Security of "buildkitd"',
      'replica count of "buildkitd"',
      'pod of "buildkitd"',
    ],
  );
});

Deno.test("runCheck() looks at every builder, and asks for tunnels outside of the cluster", async () => {
  await using it = await world({ more: [{ name: "web" }] });
  const flags = { builders: "buildkitd,x/web", maxReplicas: "3" };
  const findings = await it.check({ flags, cluster: { source: "a kubeconfig" } });
  for (const name of ["buildkitd", "web"]) {
    for (
      const check of [
        `StatefulSet "${name}"`,
        `rights to pods/portforward "${name}-0"`,
        `rights to pods/portforward "${name}-2"`,
      ]
    ) {
      assert.equal(about(findings, check)?.result, "ok", check);
    }
  }
  const inside = await it.check({ flags });
  assert.equal(inside.some(({ check }) => check.includes("portforward")), false);
});

Deno.test("runCheck() finds faults of single objects", async () => {
  await using it = await world();
  it.patch(SERVICES, "buildkitd-headless", { spec: { selector: { app: "another" } } });
  it.create(AUTOSCALERS, "by-cpu", {
    spec: { scaleTargetRef: { kind: "StatefulSet", name: "buildkitd" }, maxReplicas: 3 },
  });
  const failed = (await it.check()).filter(({ result }) => result === "failed").map(({ check }) => check);
  assert.deepEqual(failed, [
    'selector of Service "buildkitd-headless"',
    'HorizontalPodAutoscaler "by-cpu" of "buildkitd"',
  ]);
  const elsewhere = await it.check({ flags: { stsName: "builder" }, cluster: { namespace: "ci" } });
  assert.equal(
    about(elsewhere, 'StatefulSet "builder"')?.found,
    'none of this name in namespace "default"; the namespace of the service account is "ci"',
  );
  const absent = await it.check({ flags: { stsName: "builder" } });
  assert.deepEqual(faults(absent), [
    'failed StatefulSet "builder": none of this name in namespace "default"',
    'unchecked selector of Service "buildkitd-headless": StatefulSet "builder" is not known',
  ]);
});

for (const [state, found] of [["silent", /no answer within 10s/], ["refused", /refused/]] as const) {
  Deno.test(`runCheck() stops at an API server whose way is ${state}`, async () => {
    await using it = await world();
    it.http.set(state);
    const startMs = it.clock.nowMs();
    const findings = await it.check();
    assert.deepEqual(findings.map(({ result }) => result), ["failed", "unchecked"]);
    assert.match(findings[0]!.found, found);
    assert.ok(it.clock.nowMs() - startMs <= 20_000, "one time-out, not one for each question");
  });
}

Deno.test("runCheck() finds fault with an API server that goes away meanwhile", async () => {
  await using it = await world();
  it.cluster.api.access.deny(() => {
    it.http.set("refused");
    return false;
  });
  const findings = await it.check();
  assert.equal(findings[0]?.check, "API server");
  assert.equal(findings[0]?.result, "failed");
  assert.deepEqual(findings.filter(({ result }) => result === "ok").map(({ check }) => check), []);
});

Deno.test("runCheck() finds fault with a load balancer whose API server is down", async () => {
  await using it = await world();
  const down: Cluster["http"] = {
    send: () =>
      Promise.resolve({ status: 503, headers: new Headers(), body: new Response("no backend").body! }),
    reset: () => {},
    close: () => {},
  };
  const findings = await it.check({ cluster: { http: down } });
  assert.deepEqual(findings.map(({ result }) => result), ["failed", "unchecked"]);
  assert.match(findings[0]!.found, /HTTP 503/);
});

Deno.test("runCheck() ends with the reason of its signal", async () => {
  await using it = await world();
  it.http.set("silent");
  const stop = new AbortController();
  stop.abort(new Error("asked to stop"));
  await assert.rejects(it.check({ signal: stop.signal }), /asked to stop/);
});

Deno.test("runCheck() finds fault with credentials and files, and goes on", async () => {
  await using it = await world({ replicas: 1 });
  const lost = await it.check({
    loadCluster: () => Promise.reject(new UsageError(["no kubeconfig", "no context"])),
  });
  assert.deepEqual(faults(lost), [
    "failed API server: no kubeconfig",
    "failed API server: no context",
    "unchecked everything in the cluster: there is no API server to ask",
  ]);
  const flags = { tlsListenAddr: ":1", tlsCert: "cert", tlsKey: "key", upstreamTlsCa: "ca" };
  const findings = await it.check({
    flags,
    loadUpstreamTls: () => Promise.reject(new UsageError(["no CA"])),
  });
  assert.deepEqual(faults(findings).filter((text) => !text.includes("port of")), [
    'unchecked pod of "buildkitd": the files of TLS to buildkitd cannot be used',
    'failed TLS for clients: Cannot use the "--tls-cert" file "cert": found no such file',
    'failed TLS for clients: Cannot use the "--tls-key" file "key": found no such file',
    "failed TLS to buildkitd: no CA",
  ]);
  await assert.rejects(it.check({ loadCluster: () => Promise.reject(new Error("a bug")) }), /a bug/);
});

Deno.test("runCheck() tells until when the certificates of TLS are valid", async () => {
  await using it = await world();
  const ca = await makeCa();
  const { cert, key } = await ca.issue({ commonName: "builds" });
  const findings = await it.check({
    flags: { tlsListenAddr: ":1", tlsCert: "cert", tlsKey: "key", upstreamTlsCa: "ca" },
    files: { cert, key, ca: ca.cert },
  });
  for (const check of ["TLS for clients", "TLS to buildkitd"]) {
    assert.match(about(findings, check)?.found ?? "", /^files can be used, valid until \d{4}-/);
  }
});

Deno.test("runCheck() says whose builds are refused because their builders are cordoned", async () => {
  await using it = await world({ name: "b1", more: [{ name: "b2" }] });
  const found = async (flags: Run["flags"]) => {
    const findings = await it.check({ flags: { stsName: "b1", builders: "b1,b2", ...flags } });
    return findings.filter(({ check }) => check.startsWith("cordoned")).map((
      { result, found },
    ) => [result, found]);
  };
  assert.deepEqual(await found({ cordoned: "b1", overflow: "never" }), [[
    "failed",
    'projects of "b1" may use no other builder (--overflow never), so each new build of theirs is refused',
  ]]);
  assert.deepEqual(await found({ cordoned: "b1,b2" }), [[
    "failed",
    "all of them are cordoned, so each new build is refused",
  ]]);
  assert.deepEqual(await found({ cordoned: "b1" }), []);
  assert.deepEqual(await found({ cordoned: "b2", overflow: "never", placement: "packed" }), []);
});
