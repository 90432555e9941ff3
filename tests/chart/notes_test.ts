/**
 * The commands that helm prints after an install are right for how buildkitd listens: without TLS, or with it, and then
 * with a certificate of the client's own where buildkitd wants one.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Helm } from "./helm.ts";

const helm = await Helm.of("helm");
const ADDRESS = "tcp://ci-buildkitd-stack-autoscaler.builds.svc:8372";
const HOST = "ci-buildkitd-stack-autoscaler.builds.svc";

/** What follows "buildctl --addr ADDRESS" and precedes the address of "docker buildx create". */
async function options(buildkitd: unknown) {
  const notes = await helm.notes({ buildkitd });
  const buildctl = /^ {2}buildctl --addr (\S+)(.*) debug workers$/m.exec(notes)!;
  const buildx = /^ {2}docker buildx create --name cluster --driver remote(.*) (\S+)$/m.exec(notes)!;
  assert.deepEqual([buildctl[1], buildx[2]], [ADDRESS, ADDRESS]);
  return { notes: notes.replaceAll(/\s+/g, " "), buildctl: buildctl[2]!, buildx: buildx[1]! };
}

const ONE_SIDED = { buildctl: " --tlscacert /certs/ca.pem", buildx: " --driver-opt cacert=/certs/ca.pem" };
const MUTUAL = {
  buildctl: `${ONE_SIDED.buildctl} --tlscert /certs/cert.pem --tlskey /certs/key.pem`,
  buildx: `${ONE_SIDED.buildx},cert=/certs/cert.pem,key=/certs/key.pem`,
};

const ARGUMENTS = ["--tlscert=/tls/tls.crt", "--tlskey=/tls/tls.key"];
const TABLE = '[grpc]\n  [grpc.tls]\n    cert = "/tls/tls.crt"\n    key = "/tls/tls.key"\n';
const REGISTRY =
  '[registry."docker.io"]\n  ca = ["/tls/other.crt"]\n  insecure = true\n# ca = "/tls/ca.crt"\n';

const ENCRYPTED: readonly (readonly [string, unknown, string, typeof ONE_SIDED])[] = [
  ["arguments", { preset: "moby", extraArgs: ARGUMENTS }, "extraArgs", ONE_SIDED],
  ["arguments with a CA", { extraArgs: [...ARGUMENTS, "--tlscacert", "/tls/ca"] }, "extraArgs", MUTUAL],
  ["a table", { preset: "moby", config: TABLE + REGISTRY }, "config", ONE_SIDED],
  ["a table with a CA", { config: `${TABLE}    ca = "/tls/ca.crt"\n` }, "config", MUTUAL],
  [
    "dotted keys",
    { config: "[grpc]\n  tls.cert = '/tls/tls.crt'\n  tls.ca = '/tls/ca'\n" },
    "config",
    MUTUAL,
  ],
  ["keys from the root", { config: 'grpc.tls.cert = "/tls/tls.crt"\n' }, "config", ONE_SIDED],
  ["a table in a line", { config: "[grpc]\ntls = { cert = 'a', key = 'b', ca = 'c' }\n" }, "config", MUTUAL],
  [
    "a table, with a CA by an argument",
    { config: TABLE, extraArgs: ["--tlscacert=/tls/ca.crt"] },
    "config",
    MUTUAL,
  ],
  [
    "a variable of Earthly's image",
    { extraEnvVars: [{ name: "BUILDKIT_TLS_ENABLED", value: "true" }] },
    "extraEnvVars",
    MUTUAL,
  ],
];

for (const [what, buildkitd, value, expected] of ENCRYPTED) {
  Deno.test(`chart: the notes have the options of clients for TLS by ${what}`, async () => {
    const { notes, ...found } = await options(buildkitd);
    assert.deepEqual(found, expected);
    assert.ok(notes.includes(`buildkitd speaks TLS, set by buildkitd.${value};`), notes);
    assert.ok(notes.includes(`buildkitd's certificate has to be for ${HOST}.`));
    assert.equal(notes.includes("that buildkitd's CA for clients has signed"), expected === MUTUAL);
    assert.match(notes, /TLS clients give up .*: buildctl 20 s.*\.minReplicas to 1 to keep a builder\./);
    assert.doesNotMatch(notes, /tls_enabled: false/);
  });
}

Deno.test("chart: the notes have earth's settings for TLS, with the files of its own certificate", async () => {
  const { notes } = await options({ preset: "earthbuild", extraArgs: ARGUMENTS });
  const files = "tlsca: /certs/ca.pem tlscert: /certs/cert.pem tlskey: /certs/key.pem";
  assert.ok(notes.includes(`buildkit_host: ${ADDRESS} tls_enabled: true ${files}`), notes);
  assert.ok(notes.includes("cert.pem and key.pem with a client certificate."), notes);
});

const PLAIN: readonly (readonly [string, unknown])[] = [
  ["the defaults", {}],
  ["a registry's TLS", { config: `${REGISTRY}  tlsconfigdir = ["/tls"]\n`, extraArgs: ["--debug"] }],
  ["a table that is commented out", { config: TABLE.replaceAll(/^/gm, "# ") }],
  ["a CA alone", { extraArgs: ["--tlscacert=/tls/ca.crt"] }],
  ["a variable that another image does not know", {
    preset: "moby",
    extraEnvVars: [{ name: "BUILDKIT_TLS_ENABLED", value: "true" }],
  }],
  ["a variable that says no", { extraEnvVars: [{ name: "BUILDKIT_TLS_ENABLED", value: "false" }] }],
];

for (const [what, buildkitd] of PLAIN) {
  Deno.test(`chart: the notes' commands do without TLS with ${what}`, async () => {
    const { notes, ...found } = await options(buildkitd);
    assert.deepEqual(found, { buildctl: "", buildx: "" });
    assert.doesNotMatch(notes, /TLS|\/certs|tls_enabled: true/);
  });
}

Deno.test("chart: the notes have the commands for TLS at the autoscaler, with client certificates where it wants some", async () => {
  const notesOf = async (tls: unknown) =>
    await helm.notes({
      autoscaler: { tls: { enabled: true, secretName: "a", ...tls as object } },
      networkPolicy: { enabled: true, clients: [{ podSelector: {} }] },
    });
  const plain = await notesOf({});
  const own = "tcp://ci-buildkitd-stack-autoscaler-tls.builds.svc:8373";
  assert.ok(plain.includes(`--driver remote --driver-opt cacert=/certs/ca.pem ${own}\n`), plain);
  assert.ok(plain.includes(`buildctl --addr ${own} --tlscacert /certs/ca.pem debug workers\n`), plain);
  assert.ok(
    plain.includes(`docker buildx create --name cluster --driver remote ${ADDRESS}\n`),
    "plain clients, too",
  );
  const mutual = await notesOf({
    clientCa: { secretName: "clients" },
    certManager: { create: true, issuerRef: { name: "i" }, dnsNames: ["buildkitd.example.com"] },
    service: { type: "LoadBalancer", port: 443 },
  });
  assert.ok(mutual.includes(`${MUTUAL.buildx} tcp://buildkitd.example.com:443\n`), mutual);
  assert.ok(
    mutual.includes(`buildctl --addr tcp://buildkitd.example.com:443${MUTUAL.buildctl} debug workers\n`),
  );
  assert.ok(mutual.includes("get service ci-buildkitd-stack-autoscaler-tls\n"));
  assert.doesNotMatch(mutual, /WARNING/);
});

Deno.test("chart: helm warns of TLS that lets everybody in from outside", async () => {
  const notesOf = async (service: unknown, more: unknown = {}) =>
    (await helm.notes({
      autoscaler: { tls: { enabled: true, secretName: "a", service, ...more as object } },
    }))
      .replaceAll(/\s+/g, " ");
  const warning =
    "WARNING: everybody who reaches the Service ci-buildkitd-stack-autoscaler-tls can run builds";
  assert.ok((await notesOf({ type: "LoadBalancer" })).includes(warning));
  assert.ok((await notesOf({ type: "NodePort" })).includes(warning));
  assert.ok(!(await notesOf({ type: "ClusterIP" })).includes(warning));
  assert.ok(
    !(await notesOf({ type: "LoadBalancer" }, { clientCa: { secretName: "clients" } })).includes(warning),
  );
  assert.ok(
    !(await notesOf({ type: "LoadBalancer", loadBalancerSourceRanges: ["10.0.0.0/8"] })).includes(warning),
  );
});

for (
  const [dnsNames, text] of [[[], ":"], [
    ["builds.example.com"],
    ", for the DNS record of that name:",
  ]] as const
) {
  Deno.test(`chart: the notes speak of a DNS record for ${dnsNames[0] ?? "no name"}`, async () => {
    const certManager = { create: true, issuerRef: { name: "ca" }, dnsNames };
    const tls = { enabled: true, certManager, service: { type: "LoadBalancer" } };
    const notes = await helm.notes({ autoscaler: { tls } });
    assert.equal(/^Its address outside the cluster(.*)$/m.exec(notes)?.[1], text);
  });
}

Deno.test("chart: each builder that the notes create has a name of its own", async () => {
  const tls = { enabled: true, secretName: "a" };
  const notes = await helm.notes({ autoscaler: { tls }, pools: { arm64: {} } });
  const names = [...notes.matchAll(/docker buildx create --name (\S+)/g)].map(([, name]) => name!);
  assert.deepEqual(names, ["cluster", "arm64", "cluster-forwarded", "cluster-tls"]);
});
