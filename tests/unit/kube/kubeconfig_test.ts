/** Tests of which files, contexts and entries of kubeconfigs are used, and of reading them again. @module */
import assert from "node:assert/strict";
import { UsageError } from "../../../lib/base/errors.ts";
import { Problems } from "../../../lib/kube/fields.ts";
import { chooseContext, mergeKubeconfigs, parseKubeconfig } from "../../../lib/kube/kubeconfig.ts";
import { loadCluster, type LoadOptions } from "../../../lib/kube/load_cluster.ts";
import { makeCa } from "../../integration/kube/certificates.ts";
import { fakePorts, never } from "./fakes.ts";

async function parse(...texts: readonly unknown[]) {
  const problems = new Problems();
  const configs = await Promise.all(
    texts.map((text, i) =>
      parseKubeconfig(`/${i}`, typeof text === "string" ? text : JSON.stringify(text), problems)
    ),
  );
  return { config: mergeKubeconfigs(configs), problems };
}

const k = (what: string) => `Cannot use kubeconfig "/0": ${what}`;
const field = (name: string, what: string) => k(`field "${name}": ${what}`);

Deno.test("parseKubeconfig() takes an empty file for an empty configuration, as kubectl does", async () => {
  for (const text of ["", " \n", "null", "# nothing\n", "{}"]) {
    const { config, problems } = await parse(text);
    assert.deepEqual(problems.lines, [], JSON.stringify(text));
    assert.deepEqual([config.files, config.clusters.size, config.currentContext], [["/0"], 0, undefined]);
  }
});

Deno.test("parseKubeconfig() reports text that is not a kubeconfig", async () => {
  const linesOf = async (text: unknown) => (await parse(text)).problems.lines;
  const top = k("found no object at the top, want a kubeconfig in YAML or JSON");
  for (const text of ["7", '"a"', "[]", "- a", "text"]) assert.deepEqual(await linesOf(text), [top], text);
  assert.deepEqual(await linesOf({ kind: "Pod" }), [field("kind", 'found "Pod", want "Config"')]);
  assert.deepEqual(await linesOf({ kind: "Config", clusters: [{ cluster: {} }], users: {} }), [
    field("clusters[0].name", "found nothing, want the name of the cluster"),
    field("users", "found an object, want a list"),
  ]);
  assert.deepEqual(await linesOf({ contexts: [{ name: "c", context: 7 }] }), [
    field("contexts[0].context", "found a number, want an object"),
  ]);
  assert.match(
    (await linesOf("a: [b\nc: d"))[0]!,
    /^Cannot use kubeconfig "\/0": found invalid YAML, line 2 column \d+: /,
  );
});

Deno.test("mergeKubeconfigs() lets the first file that names a thing win, and the first entry in a file", async () => {
  const cluster = (name: string, server: string) => ({ name, cluster: { server } });
  const { config, problems } = await parse(
    { clusters: [cluster("a", "1"), cluster("a", "2")] },
    { "current-context": "x", clusters: [cluster("a", "3"), cluster("b", "4")] },
    { "current-context": "y", users: [{ name: "u", user: null }] },
  );
  assert.deepEqual(problems.lines, []);
  assert.deepEqual(config.files, ["/0", "/1", "/2"]);
  assert.equal(config.currentContext, "x");
  const servers = [...config.clusters].map(([name, reader]) => [name, reader.file, reader.text("server")]);
  assert.deepEqual(servers.sort(), [["a", "/0", "1"], ["b", "/1", "4"]]);
  assert.equal(config.users.get("u")?.path, "users[0].user");
});

async function choose(document: Record<string, unknown>, wanted?: string) {
  const { config, problems } = await parse(document);
  const chosen = chooseContext(config, wanted, problems);
  return { chosen, lines: problems.lines };
}

Deno.test("chooseContext() follows the names of a context", async () => {
  const document = {
    "current-context": "c",
    contexts: [
      { name: "c", context: { cluster: "k", user: "u", namespace: "n" } },
      { name: "d", context: { cluster: "k" } },
    ],
    clusters: [{ name: "k", cluster: { server: "s" } }],
    users: [{ name: "u", user: { token: "t" } }],
  };
  const { chosen, lines } = await choose(document);
  assert.deepEqual(lines, []);
  assert.deepEqual([chosen?.name, chosen?.file, chosen?.namespace], ["c", "/0", "n"]);
  assert.deepEqual([chosen?.cluster?.text("server"), chosen?.user?.text("token")], ["s", "t"]);
  const other = await choose(document, "d");
  assert.deepEqual([other.chosen?.name, other.chosen?.namespace, other.chosen?.user], [
    "d",
    undefined,
    undefined,
  ]);
  assert.deepEqual(other.lines, []);
});

Deno.test("chooseContext() says which name leads nowhere, and what there is", async () => {
  const contexts = [{ name: "b", context: { cluster: "x", user: "y" } }, { name: "a", context: {} }];
  const linesOf = async (document: Record<string, unknown>, wanted?: string) =>
    (await choose(document, wanted)).lines;
  assert.deepEqual(await linesOf({ contexts }), [
    k('found no "current-context", set it or "--context", want one of its contexts: "a", "b"'),
  ]);
  assert.deepEqual(await linesOf({ "current-context": "z" }), [
    k('found no context "z" (from "current-context"), and it has no contexts'),
  ]);
  assert.deepEqual(await linesOf({ contexts }, "z"), [
    k('found no context "z" (from "--context"), want one of its contexts: "a", "b"'),
  ]);
  assert.deepEqual(await linesOf({ contexts }, "b"), [
    field("contexts[0].context.cluster", 'found "x", which does not exist, there are no clusters'),
    field("contexts[0].context.user", 'found "y", which does not exist, there are no users'),
  ]);
  assert.deepEqual(await linesOf({ contexts }, "a"), [
    field("contexts[1].context.cluster", "found nothing, want the name of a cluster"),
  ]);
  assert.deepEqual(await linesOf({ contexts: [{ name: "c", context: { cluster: 7, user: 8 } }] }, "c"), [
    field("contexts[0].context.cluster", "found a number, want text, put it in quotes"),
    field("contexts[0].context.user", "found a number, want text, put it in quotes"),
  ]);
});

const ca = await makeCa();

function config(cluster: Record<string, unknown> = {}, user: unknown = { token: "t" }) {
  return JSON.stringify({
    "current-context": "c",
    clusters: [{ name: "k", cluster: { server: "https://api.example", ...cluster } }],
    users: [{ name: "u", user }],
    contexts: [{ name: "c", context: { cluster: "k", user: "u" } }],
  });
}

async function load(
  files: Record<string, string>,
  options: LoadOptions,
  variables: Record<string, string> = {},
) {
  const ports = fakePorts();
  for (const [path, text] of Object.entries(files)) ports.machine.files.set(path, text);
  for (const [name, value] of Object.entries(variables)) ports.machine.variables.set(name, value);
  const cluster = await loadCluster(options, ports);
  const said = () =>
    ports.records.filter(({ level }) => level !== "debug").map((
      { code, fields },
    ) => [code, fields["cause"]]);
  return { cluster, ports, said };
}

async function problemsOf(...given: Parameters<typeof load>): Promise<readonly string[]> {
  try {
    await load(...given);
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    return error.problems;
  }
  assert.fail("loadCluster() took it");
}

const AGAIN = "credential_file_unreadable";

Deno.test("renew() refuses another server or way to it, and takes another authority and token", async () => {
  const { cluster, ports, said } = await load({ "/k": config() }, { kubeconfig: "/k" });
  const refused =
    'Cannot use the changed context "c" of "/k": found another server or other connection settings, ' +
    "restart the program to use it";
  for (const other of [{ server: "https://other.example" }, { "proxy-url": "http://p" }]) {
    ports.machine.files.set("/k", config(other, { token: "other" }));
    assert.equal(await cluster.renew(), false);
    assert.deepEqual(await cluster.authenticate(never), { authorization: "Bearer t" });
  }
  ports.machine.files.set("/k", config({ "certificate-authority-data": btoa(ca.cert) }, { token: "new" }));
  assert.equal(await cluster.renew(), true);
  assert.deepEqual(await cluster.authenticate(never), { authorization: "Bearer new" });
  assert.deepEqual(said(), [
    [AGAIN, refused],
    [`${AGAIN}_recovered`, refused],
    ["credentials_reloaded", undefined],
  ]);
  assert.deepEqual(ports.records.at(-1)?.fields, {
    source: 'context "c" of "/k"',
    changed: ["authority", "kubeconfig"],
  });
});

Deno.test("renew() reads an authority's file again although the kubeconfig is the same", async () => {
  const files = { "/k": config({ "certificate-authority": "ca" }), "/ca": ca.cert };
  const { cluster, ports } = await load(files, { kubeconfig: "/k" });
  assert.equal(await cluster.renew(), false);
  ports.machine.files.set("/ca", (await makeCa({ commonName: "new" })).cert);
  assert.equal(await cluster.renew(), true);
  assert.deepEqual(ports.records.at(-1)?.fields["changed"], ["authority"]);
  assert.equal(await cluster.renew(), false);
});

Deno.test("renew() says when the files are gone, and goes on with what it has", async () => {
  const { cluster, ports, said } = await load({ "/k": config() }, {}, { KUBECONFIG: "/k" });
  ports.machine.files.delete("/k");
  assert.equal(await cluster.renew(), false);
  assert.deepEqual(said(), [[AGAIN, 'Cannot read context "c" of "/k" again: found no such file']]);
  assert.deepEqual(await cluster.authenticate(never), { authorization: "Bearer t" });
});

Deno.test("authenticate() presents another client certificate once, and only when it is another", async () => {
  const [first, second] = [await ca.issue({ commonName: "1" }), await ca.issue({ commonName: "2" })];
  const files = {
    "/k": config({}, { "client-certificate": "/c", "client-key": "/key" }),
    "/c": first.cert,
    "/key": first.key,
  };
  const { cluster, ports } = await load(files, { kubeconfig: "/k" });
  const http = cluster.http as unknown as { useClientCertificate(pair: unknown): void };
  const presented: unknown[] = [];
  http.useClientCertificate = (pair) => void presented.push(pair);
  await cluster.authenticate(never);
  await cluster.authenticate(never);
  const trimmed = ({ cert, key }: typeof first) => ({ cert: cert.trim(), key: key.trim() });
  assert.deepEqual(presented, [trimmed(first)]);
  ports.machine.files.set("/c", second.cert);
  ports.machine.files.set("/key", second.key);
  await cluster.refresh();
  await cluster.authenticate(never);
  await cluster.authenticate(never);
  assert.deepEqual(presented, [trimmed(first), trimmed(second)]);
});

Deno.test("loadCluster() reports a file that cannot be read, and no consequence of that", async () => {
  const given = [{ "/1": "7", "/2": "{}" }, {}, { KUBECONFIG: "/1:/2:/1" }] as const;
  assert.deepEqual(await problemsOf(...given), [
    'Cannot use kubeconfig "/1": found no object at the top, want a kubeconfig in YAML or JSON',
  ]);
  const ports = fakePorts();
  ports.machine.variables.set("KUBECONFIG", "/1:/2");
  ports.machine.readText = (path) =>
    Promise.reject(Object.assign(new Error("x"), { code: path === "/1" ? "EACCES" : "ENOENT" }));
  await assert.rejects(loadCluster({}, ports), (error) => {
    assert.deepEqual((error as UsageError).problems, [
      'Cannot use kubeconfig "/1": found a file that may not be read, want a kubeconfig',
    ]);
    return true;
  });
});

Deno.test("loadCluster() passes over empty names in KUBECONFIG, and reads no file twice", async () => {
  const files = { "/k": config(), [Deno.cwd()]: "junk" };
  const { ports } = await load(files, {}, { KUBECONFIG: ":/k::/k:" });
  assert.deepEqual([...ports.machine.reads], [["/k", 1]]);
});

Deno.test("loadCluster() says what it looked for without a home, and without the pod for a context", async () => {
  const advice =
    ', want "--kubeconfig" or "KUBECONFIG" with the path of a kubeconfig, or a pod with a service account token';
  assert.deepEqual(await problemsOf({}, { context: "c" }), [
    `Cannot find a cluster: found no KUBECONFIG, no "/home/dev/.kube/config"${advice}`,
  ]);
  assert.deepEqual(await problemsOf({}, { context: "c" }, { KUBECONFIG: ":/gone:" }), [
    `Cannot find a cluster: found no file of those that KUBECONFIG names (":/gone:")${advice}`,
  ]);
  const ports = fakePorts();
  ports.machine.home = () => undefined;
  await assert.rejects(loadCluster({ context: "c" }, ports), {
    message: `Cannot find a cluster: found no KUBECONFIG, no home directory${advice}`,
  });
});

Deno.test("loadCluster() lets headers repeat over TLS only, and warns of credentials only over plain HTTP", async () => {
  const user = { token: "t", as: "a", "as-groups": ["g", "h"] };
  const { TlsHttp } = await import("../../../lib/kube/tls_http.ts");
  const secure = await load({ "/k": config({}, user) }, { kubeconfig: "/k" });
  assert.ok(secure.cluster.http instanceof TlsHttp);
  assert.deepEqual(secure.ports.records, []);
  const plain = await load({ "/k": config({ server: "http://api.example" }, user) }, { kubeconfig: "/k" });
  assert.ok(!(plain.cluster.http instanceof TlsHttp));
  assert.deepEqual(plain.said().map(([code]) => code), ["credentials_not_sent"]);
  assert.deepEqual(await plain.cluster.authenticate(never), {});
});
