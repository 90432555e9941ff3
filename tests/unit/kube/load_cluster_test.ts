/**
 * Where credentials are looked for, and what is said of bad ones. Files and environment are fakes.
 *
 * @module
 */
import assert from "node:assert/strict";
import { UsageError } from "../../../lib/base/errors.ts";
import { loadCluster, type LoadOptions } from "../../../lib/kube/load_cluster.ts";
import { CachedFile, MAX_FILE_AGE_MS } from "../../../lib/kube/cached_file.ts";
import { ClientCertificateFiles } from "../../../lib/kube/client_certificate.ts";
import { FieldReader, Problems } from "../../../lib/kube/fields.ts";
import { checkTransport } from "../../../lib/kube/kubeconfig_connection.ts";
import { SERVICE_ACCOUNT_DIRECTORY } from "../../../lib/kube/in_cluster.ts";
import type { KeyPair } from "../../../lib/kube/pem.ts";
import { makeCa } from "../../integration/kube/certificates.ts";
import { fakePorts, never } from "./fakes.ts";

const ca = await makeCa();

function ports(files: Record<string, unknown> = {}, variables: Record<string, string> = {}) {
  const all = fakePorts();
  for (const [path, content] of Object.entries(files)) {
    all.machine.files.set(path, typeof content === "string" ? content : JSON.stringify(content));
  }
  for (const [name, value] of Object.entries(variables)) all.machine.variables.set(name, value);
  return all;
}

async function problemsOf(options: LoadOptions, given: ReturnType<typeof ports>): Promise<readonly string[]> {
  try {
    (await loadCluster(options, given)).http.close();
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    return error.problems;
  }
  assert.fail("loadCluster() took it");
}

/** A kubeconfig with one of each, `c` being the context. */
function config(cluster: unknown, user: unknown = {}, context: Record<string, unknown> = {}) {
  return {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "c",
    clusters: [{ name: "k", cluster }],
    users: [{ name: "u", user }],
    contexts: [{ name: "c", context: { cluster: "k", user: "u", ...context } }],
  };
}

const SERVER = { server: "https://api.example:6443" };
const inCluster = {
  [`${SERVICE_ACCOUNT_DIRECTORY}/token`]: "pod-token\n",
  [`${SERVICE_ACCOUNT_DIRECTORY}/ca.crt`]: ca.cert,
  [`${SERVICE_ACCOUNT_DIRECTORY}/namespace`]: "builds\n",
};
const podEnv = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" };

async function headersOf(user: unknown, files: Record<string, unknown> = {}, cluster: unknown = SERVER) {
  const given = ports({ "/k/config": config(cluster, user), ...files });
  const loaded = await loadCluster({ kubeconfig: "/k/config" }, given);
  loaded.http.close();
  return await loaded.authenticate(never);
}

Deno.test("loadCluster() uses the service account of a pod and brackets an IPv6 address", async () => {
  const cluster = await loadCluster({}, ports(inCluster, podEnv));
  assert.equal(cluster.server.href, "https://[fd00::1]/");
  assert.equal(cluster.source, "service account");
  assert.equal(cluster.namespace, "builds");
  assert.deepEqual(await cluster.authenticate(never), { authorization: "Bearer pod-token" });
});

Deno.test("loadCluster() reads a rotated token after ten seconds, and at once after refresh()", async () => {
  const given = ports(inCluster, podEnv);
  const cluster = await loadCluster({}, given);
  const token = async () => (await cluster.authenticate(never)).authorization;
  const path = `${SERVICE_ACCOUNT_DIRECTORY}/token`;
  given.machine.files.set(path, "second");
  given.clock.advance(9_999);
  assert.equal(await token(), "Bearer pod-token");
  given.clock.advance(1);
  assert.equal(await token(), "Bearer second");
  given.machine.files.set(path, "third");
  assert.equal(await token(), "Bearer second");
  await cluster.refresh();
  assert.equal(await token(), "Bearer third");
  given.machine.files.delete(path);
  given.clock.advance(60_000);
  assert.equal(await token(), "Bearer third");
  assert.deepEqual(given.records.map(({ code }) => code), ["credential_file_unreadable"]);
  await cluster.refresh();
  await assert.rejects(token(), {
    message: `Cannot use the service account token "${path}": found no such file`,
  });
});

Deno.test("loadCluster() tells the lifetime of the service account's token as it now stands in its file", async () => {
  const token = (times: unknown) => `e30.${btoa(JSON.stringify(times)).replace(/=+$/, "")}.c2ln`;
  const path = `${SERVICE_ACCOUNT_DIRECTORY}/token`;
  const given = ports({ ...inCluster, [path]: token({ iat: 1, exp: 3_608 }) }, podEnv);
  const { tokenTimes } = await loadCluster({}, given);
  assert.deepEqual(await tokenTimes!(), { issuedMs: 1_000, expiresMs: 3_608_000 });
  given.machine.files.set(path, token({ iat: 2_000, exp: 5_607 }));
  given.clock.advance(10_000);
  assert.deepEqual(await tokenTimes!(), { issuedMs: 2_000_000, expiresMs: 5_607_000 });
  given.machine.files.set(path, "made-by-hand");
  given.clock.advance(10_000);
  assert.equal(await tokenTimes!(), undefined);
  const kubeconfig = await loadCluster(
    { kubeconfig: "/k" },
    ports({ "/k": config(SERVER, { token: token({}) }) }),
  );
  kubeconfig.http.close();
  assert.equal(kubeconfig.tokenTimes, undefined);
});

Deno.test("loadCluster() reports every problem of a service account", async () => {
  const files = {
    ...inCluster,
    [`${SERVICE_ACCOUNT_DIRECTORY}/token`]: "",
    [`${SERVICE_ACCOUNT_DIRECTORY}/ca.crt`]: "junk",
  };
  assert.deepEqual(await problemsOf({}, ports(files, podEnv)), [
    `Cannot use the service account token "${SERVICE_ACCOUNT_DIRECTORY}/token": found no token, want one line of text`,
    `Cannot use the service account's authority "${SERVICE_ACCOUNT_DIRECTORY}/ca.crt": ` +
    "found 4 bytes that are not a PEM certificate, want PEM certificates",
  ]);
});

Deno.test("loadCluster() prefers the given kubeconfig, then the pod, then KUBECONFIG, then the home directory", async () => {
  const at = (server: string) => config({ server: `https://${server}` }, { token: server });
  const files = {
    ...inCluster,
    "/given": at("given"),
    "/listed": at("listed"),
    "/home/dev/.kube/config": at("home"),
  };
  const host = async (options: LoadOptions, env: Record<string, string>) =>
    (await loadCluster(options, ports(files, env))).server.hostname;
  assert.equal(await host({ kubeconfig: "/given" }, { ...podEnv, KUBECONFIG: "/listed" }), "given");
  assert.equal(await host({}, { ...podEnv, KUBECONFIG: "/listed" }), "[fd00::1]");
  assert.equal(await host({}, { KUBECONFIG: "/listed" }), "listed");
  assert.equal(await host({}, {}), "home");
  assert.equal(await host({ context: "c" }, { ...podEnv, KUBECONFIG: "/listed" }), "listed");
});

Deno.test("loadCluster() says what it looked for when there is nothing", async () => {
  assert.deepEqual(await problemsOf({}, ports()), [
    'Cannot find a cluster: found no service account (KUBERNETES_SERVICE_HOST is not set), no KUBECONFIG, no "/home/dev/.kube/config", ' +
    'want "--kubeconfig" or "KUBECONFIG" with the path of a kubeconfig, or a pod with a service account token',
  ]);
  const [listed] = await problemsOf({}, ports({}, { KUBECONFIG: "/a:/b" }));
  assert.match(listed!, /no file of those that KUBECONFIG names \("\/a:\/b"\)/);
  assert.deepEqual(await problemsOf({ kubeconfig: "/a" }, ports()), [
    'Cannot use kubeconfig "/a": found no such file, want a kubeconfig',
  ]);
});

Deno.test("loadCluster() merges the files of KUBECONFIG: the first to name a thing wins, missing files are skipped", async () => {
  const first = { contexts: [{ name: "c", context: { cluster: "k", user: "u", namespace: "first" } }] };
  const second = config({ server: "https://second" }, { token: "t2" }, { namespace: "second" });
  const third = config({ server: "https://third" }, { token: "t3" });
  const given = ports({ "/1": first, "/2": second, "/3": third }, { KUBECONFIG: "/0:/1::/2:/3" });
  const cluster = await loadCluster({}, given);
  assert.equal(cluster.namespace, "first");
  assert.equal(cluster.server.hostname, "second");
  assert.equal(cluster.source, 'context "c" of "/1"');
  assert.deepEqual(await cluster.authenticate(never), { authorization: "Bearer t2" });
});

Deno.test("loadCluster() reads YAML and resolves paths from the file's own folder", async () => {
  const yaml = `
apiVersion: v1
kind: Config
current-context: dev
contexts:
- name: dev
  context: {cluster: k, user: u}
clusters:
- name: k
  cluster:
    server: https://api.example
    certificate-authority: pki/ca.crt
users:
- name: u
  user:
    tokenFile: ../token
`;
  const given = ports({ "/k/config": yaml, "/k/pki/ca.crt": ca.cert, "/token": "from-file" });
  const cluster = await loadCluster({ kubeconfig: "/k/config" }, given);
  assert.deepEqual(await cluster.authenticate(never), { authorization: "Bearer from-file" });
});

Deno.test("loadCluster() names the place of a YAML fault without quoting the file", async () => {
  const problems = await problemsOf(
    { kubeconfig: "/k" },
    ports({ "/k": "users: [\nb: {token: hunter2" }),
  );
  assert.deepEqual(problems, [
    'Cannot use kubeconfig "/k": found invalid YAML, line 2 column 1: deficient indentation',
  ]);
});

Deno.test("loadCluster() lists the contexts that exist", async () => {
  const given = ports({ "/k": config(SERVER) });
  assert.deepEqual(await problemsOf({ kubeconfig: "/k", context: "prod" }, given), [
    'Cannot use kubeconfig "/k": found no context "prod" (from "--context"), want one of its contexts: "c"',
  ]);
  assert.deepEqual(await problemsOf({ kubeconfig: "/k" }, ports({ "/k": "" })), [
    'Cannot use kubeconfig "/k": found no "current-context", set it or "--context", and it has no contexts',
  ]);
});

Deno.test("loadCluster() reports all problems of a kubeconfig at once, by field, and no secrets", async () => {
  const cluster = {
    "certificate-authority-data": btoa("hello, world"),
    "insecure-skip-tls-verify": "yes",
    "proxy-url": "ftp://proxy",
  };
  const user = {
    token: 12345,
    "client-key-data": btoa("hunter2"),
    "auth-provider": { name: "gcp" },
    tokenFile: "gone",
  };
  const problems = await problemsOf({ kubeconfig: "/k" }, ports({ "/k": config(cluster, user) }));
  const k = (field: string) => `Cannot use kubeconfig "/k": field "${field}": `;
  assert.deepEqual(problems, [
    k("clusters[0].cluster.proxy-url") +
    'found no URL that starts with "http://" or "https://" or "socks5://", want a URL such as "http://proxy.example:3128"',
    k("clusters[0].cluster.insecure-skip-tls-verify") + "found text, want true or false",
    k("clusters[0].cluster.certificate-authority-data") +
    "found 12 bytes that are not a PEM certificate, want base64 of a PEM certificate",
    k("clusters[0].cluster.server") + 'found nothing, want a URL such as "https://203.0.113.1:6443"',
    k("users[0].user.client-certificate") +
    'found nothing beside "client-key", want "client-certificate" or "client-certificate-data"',
    k("users[0].user.client-key-data") +
    "found 7 bytes that are not a PEM private key, want base64 of a PEM private key that is not encrypted",
    k("users[0].user.auth-provider") +
    'found "gcp", which Kubernetes has removed, want "exec" with "gke-gcloud-auth-plugin"',
    k("users[0].user.token") + "found a number, want text, put it in quotes",
    k("users[0].user.tokenFile") + 'Cannot use the token file "/gone": found no such file',
  ]);
  assert.doesNotMatch(problems.join(), /hunter2|12345/);
});

Deno.test("loadCluster() names a cluster or user that does not exist", async () => {
  const given = ports({ "/k": config(SERVER, {}, { cluster: "x", user: "y" }) });
  assert.deepEqual(await problemsOf({ kubeconfig: "/k" }, given), [
    'Cannot use kubeconfig "/k": field "contexts[0].context.cluster": found "x", which does not exist, want one of: "k"',
    'Cannot use kubeconfig "/k": field "contexts[0].context.user": found "y", which does not exist, want one of: "u"',
  ]);
});

Deno.test("loadCluster() refuses expired and mismatched client certificates", async () => {
  const expired = await ca.issue({ commonName: "a", notAfter: new Date("2029-01-01T00:00:00Z") });
  const other = await ca.issue({ commonName: "b" });
  const problem = async (cert: string, key: string) => {
    const user = { "client-certificate-data": btoa(cert), "client-key-data": btoa(key) };
    return (await problemsOf({ kubeconfig: "/k" }, ports({ "/k": config(SERVER, user) }))).join();
  };
  assert.match(
    await problem(expired.cert, expired.key),
    /found a certificate that expired at 2029-01-01T00:00:00Z, want/,
  );
  const fresh = await ca.issue({ commonName: "c" });
  assert.match(
    await problem(fresh.cert, other.key),
    /found a certificate for another key than the one of "client-key-data"/,
  );
});

Deno.test("authenticate() sends what each kind of user needs", async () => {
  assert.deepEqual(await headersOf({ token: " abc\n" }), { authorization: "Bearer abc" });
  assert.deepEqual(await headersOf({ username: "jö", password: "p:w" }), {
    authorization: "Basic asO2OnA6dw==",
  });
  assert.deepEqual(await headersOf({ token: "inline", tokenFile: "/t" }, { "/t": "file" }), {
    authorization: "Bearer file",
  });
  assert.deepEqual(await headersOf({ token: "t", as: "bot", "as-uid": "7", "as-groups": ["a", "b"] }), {
    authorization: "Bearer t",
    "impersonate-user": "bot",
    "impersonate-uid": "7",
    "impersonate-group": "a\nb",
  });
  assert.deepEqual(await headersOf({}), {});
});

Deno.test("authenticate() sends no credentials over plain http", async () => {
  assert.deepEqual(await headersOf({ token: "abc" }, {}, { server: "http://localhost:8001" }), {});
});

Deno.test("loadCluster() warns once when credentials are not sent, and only if there are some", async () => {
  const cluster = { server: "http://localhost:8001" };
  const given = ports({ "/k": config(cluster, { token: "secret-token" }) });
  await loadCluster({ kubeconfig: "/k" }, given);
  assert.deepEqual(given.records.map(({ level, code }) => [level, code]), [[
    "warn",
    "credentials_not_sent",
  ]]);
  assert.match(
    String(given.records[0]!.fields["cause"]),
    /"server" of the cluster in "\/k" begins with "http:/,
  );
  assert.doesNotMatch(JSON.stringify(given.records), /secret-token/);
  const without = ports({ "/k": config(cluster, {}) });
  await loadCluster({ kubeconfig: "/k" }, without);
  assert.deepEqual(without.records, []);
});

Deno.test("loadCluster() warns once when certificates are not verified", async () => {
  const cluster = { ...SERVER, "insecure-skip-tls-verify": true };
  const given = ports({ "/k": config(cluster, { token: "t" }) });
  await loadCluster({ kubeconfig: "/k" }, given);
  assert.deepEqual(given.records.map(({ level, code }) => [level, code]), [[
    "warn",
    "api_server_certificate_unverified",
  ]]);
});

Deno.test("loadCluster() refuses a proxy that another server name cannot go through", async () => {
  const cluster = { ...SERVER, "tls-server-name": "other", "proxy-url": "socks5://proxy:1080" };
  const problems = await problemsOf({ kubeconfig: "/k" }, ports({ "/k": config(cluster) }));
  assert.match(
    problems.join(),
    /"clusters\[0\]\.cluster\.proxy-url": found a proxy of type "socks5" together with/,
  );
});

Deno.test("loadCluster() reports what is wrong with an exec plugin's entry", async () => {
  const exec = (value: unknown) =>
    problemsOf({ kubeconfig: "/k" }, ports({ "/k": config(SERVER, { exec: value }) }));
  const k = 'Cannot use kubeconfig "/k": field "users[0].user.exec.';
  assert.deepEqual(await exec({ apiVersion: "client.authentication.k8s.io/v1alpha1", command: "x" }), [
    `${k}apiVersion": found "client.authentication.k8s.io/v1alpha1" (Kubernetes has removed it: update the plugin), ` +
    'want "client.authentication.k8s.io/v1" or "client.authentication.k8s.io/v1beta1"',
  ]);
  assert.deepEqual(await exec({ apiVersion: "client.authentication.k8s.io/v1", args: [1] }), [
    `${k}command": found nothing, want the name or path of a program`,
    `${k}interactiveMode": found nothing, want "Never", "IfAvailable", "Always"`,
    `${k}args[0]": found a number, want text, put it in quotes`,
  ]);
});

Deno.test("ClientCertificateFiles gives the pair of replaced files, once both are new", async () => {
  const [first, second] = [await ca.issue({ commonName: "1" }), await ca.issue({ commonName: "2" })];
  const given = ports({ "/c.pem": first.cert, "/k.pem": first.key });
  const file = (path: string) => new CachedFile({ ...given, path, what: "file", fault: () => undefined });
  const files = new ClientCertificateFiles(file("/c.pem"), file("/k.pem"));
  const trimmed = ({ cert, key }: KeyPair) => ({ cert: cert.trim(), key: key.trim() });
  const pair = async () => (await files.get()).clientCertificate;
  assert.deepEqual(await pair(), trimmed(first));
  given.machine.files.set("/c.pem", second.cert);
  files.refresh();
  assert.deepEqual(await pair(), trimmed(first), "only half of the pair is new: the old pair stays");
  given.machine.files.set("/k.pem", second.key);
  files.refresh();
  assert.deepEqual(await pair(), trimmed(second));
  given.machine.files.set("/c.pem", first.cert);
  given.machine.files.set("/k.pem", first.key);
  assert.deepEqual(await pair(), trimmed(second), "a file is not read for each request");
  given.clock.advance(MAX_FILE_AGE_MS);
  assert.deepEqual(await pair(), trimmed(first));
});

Deno.test("renew() stays with the context that the program was started with, and says once what is new", async () => {
  const at = (token: string) => config(SERVER, { token });
  const given = ports({ "/k": at("first") });
  const cluster = await loadCluster({ kubeconfig: "/k" }, given);
  assert.equal(await cluster.renew(), false);
  const other = { ...at("second"), "current-context": "other" };
  other.contexts.push({ name: "other", context: { cluster: "k", user: "nobody" } });
  given.machine.files.set("/k", JSON.stringify(other));
  assert.equal(await cluster.renew(), true);
  assert.deepEqual(await cluster.authenticate(never), { authorization: "Bearer second" });
  assert.equal(await cluster.renew(), false);
  await cluster.refresh();
  assert.deepEqual(given.records.map(({ code, fields }) => [code, fields["changed"]]), [
    ["credentials_reloaded", ["kubeconfig"]],
  ]);
});

Deno.test("renew() reads the files once for all who ask at the same time", async () => {
  const given = ports({ "/k": config(SERVER, { token: "first" }) });
  const cluster = await loadCluster({ kubeconfig: "/k" }, given);
  given.machine.files.set("/k", JSON.stringify(config(SERVER, { token: "second" })));
  assert.deepEqual(await Promise.all([cluster.renew(), cluster.renew(), cluster.refresh()]), [
    true,
    true,
    undefined,
  ]);
  assert.equal(given.machine.reads.get("/k"), 2);
});

Deno.test("checkTransport() names each field that an older runtime cannot do", () => {
  const problems = new Problems();
  const cluster = new FieldReader(problems, "/k", "clusters[0].cluster", {});
  const user = new FieldReader(problems, "/k", "users[0].user", {});
  const connection = {
    ca: undefined,
    caSource: "",
    proxy: undefined,
    serverName: "x",
    insecure: true,
    repeatsHeaders: true,
  };
  checkTransport(cluster, user, connection, "2.6.10");
  const k = (field: string) => `Cannot use kubeconfig "/k": field "${field}": `;
  assert.deepEqual(problems.lines, [
    k("clusters[0].cluster.insecure-skip-tls-verify") + "needs Deno 2.9 or later, this is 2.6.10",
    k("clusters[0].cluster.tls-server-name") + "needs Deno 2.9 or later, this is 2.6.10",
    k("users[0].user.as-groups") +
    "found several groups or values, which needs Deno 2.9 or later, this is 2.6.10",
  ]);
});
