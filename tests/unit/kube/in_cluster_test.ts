/** Tests of looking for a pod's service account, and of the cluster that is made of it. @module */
import assert from "node:assert/strict";
import { publicMessageOf } from "../../../lib/base/errors.ts";
import { loadCluster } from "../../../lib/kube/load_cluster.ts";
import { findInCluster } from "../../../lib/kube/in_cluster.ts";
import { makeCa } from "../../integration/kube/certificates.ts";
import { fakePorts, never } from "./fakes.ts";

const ca = await makeCa();
const GOOD = { "/sa/token": "t\n", "/sa/ca.crt": ca.cert, "/sa/namespace": " builds\n" };
const ENV = { KUBERNETES_SERVICE_HOST: "10.0.0.1", KUBERNETES_SERVICE_PORT: "6443" };

function setUp(files: Record<string, string> = {}, variables: Record<string, string> = {}) {
  const ports = fakePorts();
  for (const [path, text] of Object.entries({ ...GOOD, ...files })) ports.machine.files.set(path, text);
  for (const [name, value] of Object.entries({ ...ENV, ...variables })) {
    ports.machine.variables.set(name, value);
  }
  return ports;
}

async function find(files: Record<string, string> = {}, variables: Record<string, string> = {}) {
  return await findInCluster("/sa", setUp(files, variables));
}

Deno.test("findInCluster() says what is missing outside of a pod", async () => {
  assert.deepEqual(await find({}, { KUBERNETES_SERVICE_HOST: "" }), {
    absent: "KUBERNETES_SERVICE_HOST is not set",
  });
  assert.deepEqual(await find({}, { KUBERNETES_SERVICE_PORT: "" }), {
    absent: "KUBERNETES_SERVICE_PORT is not set",
  });
  const ports = setUp();
  ports.machine.files.delete("/sa/token");
  assert.deepEqual(await findInCluster("/sa", ports), { absent: 'there is no "/sa/token"' });
});

Deno.test("findInCluster() gives server, authority, namespace and credentials", async () => {
  const found = await find();
  assert.ok("parts" in found);
  const { server, source, namespace, podUid, connection, credentials } = found.parts;
  assert.equal(server.href, "https://10.0.0.1:6443/");
  assert.deepEqual([source, namespace, podUid], ["service account", "builds", undefined]);
  assert.deepEqual(connection, {
    ca: ca.cert,
    caSource: 'the service account\'s authority "/sa/ca.crt"',
    proxy: undefined,
    serverName: undefined,
    insecure: false,
    repeatsHeaders: false,
  });
  assert.deepEqual(await credentials.get(never), { headers: { authorization: "Bearer t" } });
  const claims = btoa(JSON.stringify({ "kubernetes.io": { pod: { uid: "u" } } }));
  const bound = await find({ "/sa/token": `e30.${claims}.c2ln`, "/sa/namespace": "\n" });
  assert.ok("parts" in bound);
  assert.deepEqual([bound.parts.podUid, bound.parts.namespace], ["u", undefined]);
});

Deno.test("findInCluster() brackets an IPv6 address that has no brackets, and only such", async () => {
  for (
    const [host, want] of [["fd00::1", "[fd00::1]"], ["[fd00::1]", "[fd00::1]"], [
      "api.example",
      "api.example",
    ]]
  ) {
    const found = await find({}, { KUBERNETES_SERVICE_HOST: host! });
    assert.ok("parts" in found);
    assert.equal(found.parts.server.hostname, want);
  }
});

Deno.test("findInCluster() says what is wrong with host, port, token and authority", async () => {
  const problemsOf = async (...given: Parameters<typeof find>) => {
    const found = await find(...given);
    return "problems" in found ? found.problems : [];
  };
  for (const port of ["x", "70000", "123456", "1.5"]) {
    assert.deepEqual(await problemsOf({}, { KUBERNETES_SERVICE_PORT: port }), [
      "Cannot use the service account: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: " +
      `found "10.0.0.1" and "${port}", want a host and a port`,
    ]);
  }
  assert.equal((await problemsOf({}, { KUBERNETES_SERVICE_HOST: "a b" })).length, 1);
  assert.deepEqual(await problemsOf({ "/sa/token": "a b" }), [
    'Cannot use the service account token "/sa/token": found no token, want one line of text',
  ]);
  const ports = setUp();
  ports.machine.files.delete("/sa/ca.crt");
  assert.deepEqual(await findInCluster("/sa", ports), {
    problems: [
      'Cannot use the service account\'s authority "/sa/ca.crt": found no such file, want PEM certificates',
    ],
  });
  // A token that is there but may not be read is no sign of being outside of a pod.
  const forbidden = setUp();
  const readText = forbidden.machine.readText.bind(forbidden.machine);
  forbidden.machine.readText = (path) =>
    path === "/sa/token" ? Promise.reject(new Deno.errors.PermissionDenied("no")) : readText(path);
  assert.deepEqual(await findInCluster("/sa", forbidden), {
    problems: ['Cannot use the service account token "/sa/token": found a file that may not be read'],
  });
});

Deno.test("findInCluster() does without a namespace", async () => {
  const ports = setUp();
  ports.machine.files.delete("/sa/namespace");
  const found = await findInCluster("/sa", ports);
  assert.ok("parts" in found);
  assert.equal(found.parts.namespace, undefined);
});

const load = (ports: ReturnType<typeof setUp>) => loadCluster({ serviceAccountDirectory: "/sa" }, ports);

Deno.test("loadCluster() trusts a new authority of the service account, once it can be used", async () => {
  const ports = setUp();
  const cluster = await load(ports);
  assert.equal(await cluster.renew(), false);
  ports.machine.files.set("/sa/ca.crt", "junk");
  assert.equal(await cluster.renew(), false);
  assert.equal(await cluster.renew(), false);
  const renewed = await makeCa({ commonName: "new" });
  ports.machine.files.set("/sa/ca.crt", renewed.cert);
  assert.equal(await cluster.renew(), true);
  assert.equal(await cluster.renew(), false);
  assert.deepEqual(
    ports.records.filter(({ level }) => level !== "debug").map(({ code, fields }) => [code, fields]),
    [
      ["credential_file_unreadable", {
        cause:
          'Cannot use the service account\'s authority "/sa/ca.crt": found 4 bytes that are not a PEM certificate, ' +
          "want PEM certificates",
      }],
      ["credential_file_unreadable_recovered", {
        cause:
          'Cannot use the service account\'s authority "/sa/ca.crt": found 4 bytes that are not a PEM certificate, ' +
          "want PEM certificates",
      }],
      ["credentials_reloaded", { source: "service account", changed: ["authority"] }],
    ],
  );
});

Deno.test("loadCluster(): authenticate() tells others no path when a credential cannot be read", async () => {
  const ports = setUp();
  const cluster = await load(ports);
  ports.machine.files.delete("/sa/token");
  await cluster.refresh();
  await assert.rejects(cluster.authenticate(never), (error: Error) => {
    assert.equal(error.message, 'Cannot use the service account token "/sa/token": found no such file');
    assert.equal(
      publicMessageOf(error),
      "The proxy cannot use the Kubernetes API: its credentials could not be read (its log has the reason)",
    );
    return true;
  });
  const reason = new Error("enough");
  await assert.rejects(cluster.authenticate(AbortSignal.abort(reason)), (error) => error === reason);
});

Deno.test("loadCluster() tells the runtime of a server that NO_PROXY exempts, and of nothing else", async () => {
  const noProxy = async (variables: Record<string, string>) => {
    const ports = setUp({}, variables);
    (await load(ports)).http.close();
    return ports.machine.variables.get("NO_PROXY");
  };
  assert.equal(await noProxy({}), undefined);
  assert.equal(await noProxy({ NO_PROXY: "10.0.0.0/8" }), "10.0.0.0/8");
  assert.equal(await noProxy({ HTTPS_PROXY: "http://p:1" }), undefined);
  assert.equal(await noProxy({ HTTPS_PROXY: "http://p:1", NO_PROXY: "*" }), "*,10.0.0.1");
});

Deno.test("loadCluster() does not look at the environment's proxy where the kubeconfig settles the way", async () => {
  for (const cluster of [{ "proxy-url": "http://q:2" }, { "insecure-skip-tls-verify": true }]) {
    const ports = setUp({}, { HTTPS_PROXY: "http://p:1", NO_PROXY: "*" });
    const kubeconfig = {
      "current-context": "c",
      contexts: [{ name: "c", context: { cluster: "k" } }],
      clusters: [{ name: "k", cluster: { server: "https://api.example", ...cluster } }],
    };
    ports.machine.files.set("/k", JSON.stringify(kubeconfig));
    (await loadCluster({ kubeconfig: "/k" }, ports)).http.close();
    assert.equal(ports.machine.variables.get("NO_PROXY"), "*");
  }
});
