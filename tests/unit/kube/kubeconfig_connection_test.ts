/** Tests of what a kubeconfig's cluster says of the way to the server. @module */
import assert from "node:assert/strict";
import { FieldReader, Problems } from "../../../lib/kube/fields.ts";
import { checkTransport, readCluster } from "../../../lib/kube/kubeconfig_connection.ts";
import { makeCa } from "../../integration/kube/certificates.ts";
import { fakePorts } from "./fakes.ts";

const ca = await makeCa();
const SERVER = "https://api.example:6443";

async function read(cluster: Record<string, unknown>, files: Record<string, string> = {}) {
  const ports = fakePorts();
  for (const [path, text] of Object.entries(files)) ports.machine.files.set(path, text);
  const problems = new Problems();
  const reader = new FieldReader(problems, "/k/config", "cluster", cluster);
  const entry = await readCluster(reader, ports);
  return { entry, problems: problems.lines.map((line) => line.replace(/^.*field "(?=cluster)/, '"')) };
}

async function connectionOf(cluster: Record<string, unknown>, files: Record<string, string> = {}) {
  const { entry, problems } = await read({ server: SERVER, ...cluster }, files);
  assert.deepEqual(problems, []);
  return entry!.connection;
}

const PLAIN = {
  ca: undefined,
  caSource:
    'an authority that this machine trusts (field "cluster.certificate-authority-data" of "/k/config" is not set)',
  proxy: undefined,
  proxySource: undefined,
  serverName: undefined,
  insecure: false,
  repeatsHeaders: false,
};

Deno.test("readCluster() reads server, authority, proxy, name and whether to verify", async () => {
  assert.equal((await read({ server: SERVER })).entry?.server.href, `${SERVER}/`);
  assert.deepEqual(await connectionOf({}), PLAIN);
  assert.deepEqual(await connectionOf({ "certificate-authority": "ca" }, { "/k/ca": ca.cert }), {
    ...PLAIN,
    ca: ca.cert,
    caSource: 'the authority in field "cluster.certificate-authority" of "/k/config"',
  });
  const both = { "certificate-authority": "gone", "certificate-authority-data": btoa(`${ca.cert}`) };
  assert.deepEqual(await connectionOf(both), {
    ...PLAIN,
    ca: ca.cert,
    caSource: 'the authority in field "cluster.certificate-authority-data" of "/k/config"',
  });
  assert.deepEqual(await connectionOf({ "proxy-url": "socks5://p:1" }), {
    ...PLAIN,
    proxy: new URL("socks5://p:1"),
    proxySource: '"proxy-url" of the kubeconfig',
  });
  assert.deepEqual(await connectionOf({ "tls-server-name": "k8s", "insecure-skip-tls-verify": true }), {
    ...PLAIN,
    serverName: "k8s",
    insecure: true,
  });
});

Deno.test("readCluster() reads base64 with line breaks, and text that is not ASCII", async () => {
  const text = `# grüße\n${ca.cert}`;
  const base64 = btoa(String.fromCharCode(...new TextEncoder().encode(text)));
  const broken = base64.replace(/.{20}/g, "$&\n ");
  assert.equal((await connectionOf({ "certificate-authority-data": broken })).ca, text);
});

Deno.test("readCluster() passes over what plain http does not need, and the server's own name", async () => {
  const plain = await connectionOf({
    server: "http://localhost:8001",
    "tls-server-name": "k8s",
    "insecure-skip-tls-verify": true,
  });
  assert.deepEqual([plain.serverName, plain.insecure], [undefined, false]);
  assert.equal((await connectionOf({ "tls-server-name": "api.example" })).serverName, undefined);
});

const URL_WANTED = 'want a URL such as "https://203.0.113.1:6443"';
const NO_URL = `"cluster.server": found no URL that starts with "https://" or "http://", ${URL_WANTED}`;
const CREDENTIALS = `"cluster.server": found a URL with credentials or a query, ${URL_WANTED}`;
const ONE_ONLY =
  '"cluster.insecure-skip-tls-verify": found true beside a certificate authority, want only one of them';
const FAULTS: readonly (readonly [Record<string, unknown>, readonly string[]])[] = [
  [{}, [`"cluster.server": found nothing, ${URL_WANTED}`]],
  [{ server: 1 }, ['"cluster.server": found a number, want text, put it in quotes']],
  [{ server: "api.example" }, [NO_URL]],
  [{ server: "api.example:6443" }, [NO_URL]],
  [{ server: "ftp://api.example" }, [NO_URL]],
  [{ server: "https://" }, [NO_URL]],
  [{ server: "https://me@api.example" }, [CREDENTIALS]],
  [{ server: "https://api.example?a" }, [CREDENTIALS]],
  [{ server: "https://api.example#a" }, [CREDENTIALS]],
  [{ server: SERVER, "proxy-url": "http://me:pass@proxy:1" }, []],
  [{ server: SERVER, "proxy-url": "https://proxy" }, []],
  [{ server: SERVER, "proxy-url": "proxy:3128" }, [
    '"cluster.proxy-url": found no URL that starts with "http://" or "https://" or "socks5://", ' +
    'want a URL such as "http://proxy.example:3128"',
  ]],
  [{ server: SERVER, "insecure-skip-tls-verify": true, "certificate-authority": "ca" }, [ONE_ONLY]],
  [{ server: SERVER, "insecure-skip-tls-verify": true, "certificate-authority-data": btoa(ca.cert) }, [
    ONE_ONLY,
  ]],
  [{ server: SERVER, "insecure-skip-tls-verify": false, "certificate-authority": "ca" }, []],
  [{ server: SERVER, "certificate-authority": "gone" }, [
    '"cluster.certificate-authority": file "/k/gone": found no such file, want a PEM certificate',
  ]],
  [{ server: SERVER, "certificate-authority": "junk" }, [
    '"cluster.certificate-authority": file "/k/junk": found 4 bytes that are not a PEM certificate, want a PEM certificate',
  ]],
  [{ server: SERVER, "certificate-authority-data": "!" }, [
    '"cluster.certificate-authority-data": found invalid base64, want base64 of a PEM certificate',
  ]],
  [{ server: SERVER, "certificate-authority-data": 7 }, [
    '"cluster.certificate-authority-data": found a number, want text, put it in quotes',
  ]],
];
for (const [cluster, expected] of FAULTS) {
  const shown = JSON.stringify(cluster).slice(0, 120);
  Deno.test(`readCluster() ${expected.length === 0 ? "takes" : "says what is wrong with"} ${shown}`, async () => {
    const { entry, problems } = await read(cluster, { "/k/ca": ca.cert, "/k/junk": "junk" });
    assert.deepEqual(problems, expected);
    const hasServer = !expected.some((problem) => problem.startsWith('"cluster.server"'));
    assert.equal(entry !== undefined, hasServer);
  });
}

Deno.test("checkTransport() wants an http proxy for what only node:tls can do, and is content otherwise", () => {
  const faults = (connection: Record<string, unknown>, deno = "2.9.6") => {
    const problems = new Problems();
    const reader = new FieldReader(problems, "/k", "cluster", {});
    checkTransport(reader, undefined, { ...PLAIN, ...connection }, deno);
    return problems.lines.map((line) => /found a proxy of type "\w+"|needs Deno/.exec(line)?.[0]);
  };
  const [http, https, socks] = ["http://p", "https://p", "socks5://p"].map((url) => new URL(url));
  assert.deepEqual(faults({ proxy: socks }, "2.6.10"), []);
  assert.deepEqual(faults({ insecure: true }), []);
  assert.deepEqual(faults({ insecure: true, proxy: http }), []);
  assert.deepEqual(faults({ insecure: true, proxy: https }), ['found a proxy of type "https"']);
  assert.deepEqual(faults({ repeatsHeaders: true, proxy: socks }), ['found a proxy of type "socks5"']);
  assert.deepEqual(faults({ serverName: "x" }, "2.8.3"), ["needs Deno"]);
  assert.deepEqual(faults({ repeatsHeaders: true }, "2.6.10"), [], "nobody to name");
});
