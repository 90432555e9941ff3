/** Tests of what a kubeconfig says of an exec plugin, and of what the plugin is told. @module */
import assert from "node:assert/strict";
import { FieldReader, Problems } from "../../../lib/kube/fields.ts";
import type { ClusterEntry } from "../../../lib/kube/kubeconfig_connection.ts";
import { readExec, replacementFor } from "../../../lib/kube/kubeconfig_exec.ts";

const V1 = "client.authentication.k8s.io/v1";
const V1BETA1 = "client.authentication.k8s.io/v1beta1";
const GOOD = { apiVersion: V1, command: "aws", interactiveMode: "Never" };

function read(exec: Record<string, unknown>, cluster?: Record<string, unknown>, ca?: string) {
  const problems = new Problems();
  const reader = new FieldReader(problems, "/home/me/.kube/config", "exec", exec);
  const clusterReader = cluster && new FieldReader(problems, "/k", "cluster", cluster);
  const entry = cluster && {
    server: new URL("https://api.example:6443"),
    connection: { ca },
  } as unknown as ClusterEntry;
  const spec = readExec(reader, clusterReader, entry);
  return { spec, problems: problems.lines.map((line) => line.replace(/^.*field "/, '"')) };
}

Deno.test("readExec() reads command, arguments, environment and hint", () => {
  const exec = {
    ...GOOD,
    args: ["eks", "get-token"],
    env: [{ name: "A", value: "1" }, { name: "B" }],
    installHint: "get it",
  };
  assert.deepEqual(read(exec), {
    spec: {
      command: "aws",
      args: ["eks", "get-token"],
      env: { A: "1", B: "" },
      apiVersion: V1,
      installHint: "get it",
      needsTerminal: false,
      cluster: undefined,
    },
    problems: [],
  });
  assert.deepEqual(read({ apiVersion: V1BETA1, command: "x" }), {
    spec: {
      command: "x",
      args: [],
      env: {},
      apiVersion: V1BETA1,
      installHint: undefined,
      needsTerminal: false,
      cluster: undefined,
    },
    problems: [],
  });
});

Deno.test("readExec() takes a path relative to the kubeconfig, and a bare name as it is", () => {
  const commands = ["aws", "./aws", "bin/aws", "/opt/aws"].map((command) =>
    read({ ...GOOD, command }).spec?.command
  );
  assert.deepEqual(commands, ["aws", "/home/me/.kube/aws", "/home/me/.kube/bin/aws", "/opt/aws"]);
});

Deno.test("readExec() takes three modes, of which one needs a terminal; v1 has to name one", () => {
  const needs = (interactiveMode: string) => read({ ...GOOD, interactiveMode }).spec?.needsTerminal;
  assert.deepEqual(["Never", "IfAvailable", "Always"].map(needs), [false, false, true]);
  const want = 'want "Never", "IfAvailable", "Always"';
  assert.deepEqual(read({ ...GOOD, interactiveMode: "Maybe" }).problems, [
    `"exec.interactiveMode": found "Maybe", ${want}`,
  ]);
  assert.deepEqual(read({ ...GOOD, interactiveMode: undefined }).problems, [
    `"exec.interactiveMode": found nothing, ${want}`,
  ]);
  const older = { apiVersion: V1BETA1, command: "x", interactiveMode: "Maybe" };
  assert.deepEqual(read(older).problems, [`"exec.interactiveMode": found "Maybe", ${want}`]);
});

Deno.test("readExec() names what is missing or unknown", () => {
  const want = `want "${V1}" or "${V1BETA1}"`;
  assert.deepEqual(read({ interactiveMode: "Never" }), {
    spec: undefined,
    problems: [
      '"exec.command": found nothing, want the name or path of a program',
      `"exec.apiVersion": found nothing, ${want}`,
    ],
  });
  assert.deepEqual(read({ ...GOOD, apiVersion: "v2" }).problems, [`"exec.apiVersion": found "v2", ${want}`]);
  assert.deepEqual(read({ ...GOOD, apiVersion: undefined }).spec, undefined);
  assert.deepEqual(read({ ...GOOD, command: 7 }), {
    spec: undefined,
    problems: ['"exec.command": found a number, want text, put it in quotes'],
  });
  const unnamed = read({ ...GOOD, env: [{ value: "x" }, { name: "A", value: "1" }] });
  assert.deepEqual([unnamed.spec?.env, unnamed.problems], [{ A: "1" }, [
    '"exec.env[0].name": found nothing, want the name of a variable',
  ]]);
});

Deno.test("readExec() tells a plugin of the cluster only if it wants to know", () => {
  const cluster = { server: "https://api.example:6443/" };
  const spec = (exec: Record<string, unknown>, of?: Record<string, unknown>) =>
    read({ ...GOOD, ...exec }, of).spec;
  assert.equal(spec({}, cluster)?.cluster, undefined);
  assert.equal(spec({ provideClusterInfo: true })?.cluster, undefined);
  assert.deepEqual(spec({ provideClusterInfo: true }, cluster)?.cluster, { ...cluster, config: null });
});

Deno.test("readExec() tells a plugin what the kubeconfig says of the cluster", () => {
  const config = (extension: unknown) => [
    { name: "other", extension: { no: 1 } },
    { name: "client.authentication.k8s.io/exec", extension },
  ];
  const told = (cluster: Record<string, unknown>, ca?: string) =>
    read({ ...GOOD, provideClusterInfo: true }, cluster, ca).spec?.cluster;
  const all = {
    server: "https://api.example:6443/base",
    "tls-server-name": "kubernetes",
    "insecure-skip-tls-verify": true,
    "proxy-url": "http://proxy:3128",
  };
  assert.deepEqual(told({ ...all, extensions: config({ audience: "a" }) }, "grüße"), {
    ...all,
    "certificate-authority-data": btoa(String.fromCharCode(...new TextEncoder().encode("grüße"))),
    config: { audience: "a" },
  });
  const least = { server: "https://x", "insecure-skip-tls-verify": false };
  assert.deepEqual(told({ ...least, extensions: config("text") }), { server: "https://x", config: "text" });
  assert.deepEqual(told({}), { server: "https://api.example:6443/", config: null });
});

Deno.test("replacementFor() names the plugin in the place of each provider that Kubernetes has removed", () => {
  assert.deepEqual(["gcp", "azure", "oidc", "other"].map(replacementFor), [
    '"gke-gcloud-auth-plugin"',
    '"kubelogin" of Azure',
    '"kubectl oidc-login" (int128/kubelogin)',
    "your provider's plugin",
  ]);
});
