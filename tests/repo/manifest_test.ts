/**
 * `docs/manifest.yaml` is right where a test without a cluster can tell: its parts fit together, and the program would
 * take its settings. That an API server takes it is a matter of the end-to-end suite.
 *
 * @module
 */
import assert from "node:assert/strict";
import * as yaml from "js-yaml";
import { parseSettings } from "../../lib/config/parse_settings.ts";
import { SETTINGS } from "../../lib/config/settings.ts";
import { commandsOf, documents } from "./documents.ts";
import { ROOT } from "./generated.ts";

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  // deno-lint-ignore no-explicit-any -- manifests of several kinds
  readonly [field: string]: any;
}

const manifests = yaml.loadAll(
  await Deno.readTextFile(new URL("docs/manifest.yaml", ROOT)),
) as Manifest[];

function find(kind: string, name: string): Manifest {
  const found = manifests.find((each) => each.kind === kind && each.metadata.name === name);
  assert.ok(found !== undefined, `${kind} ${name}`);
  return found;
}

const PROXY = "buildkitd";
const deployment = find("Deployment", PROXY);
const pod = deployment.spec.template;
const container = pod.spec.containers[0];
const statefulSet = find("StatefulSet", "buildkitd");
const COMPONENT = "app.kubernetes.io/component";

function variables(): Record<string, string> {
  const env: { name: string; value?: string; valueFrom?: { fieldRef: { fieldPath: string } } }[] =
    container.env;
  return Object.fromEntries(env.map(({ name, value, valueFrom }) => {
    if (valueFrom === undefined) return [name, value!];
    assert.equal(valueFrom.fieldRef.fieldPath, "metadata.namespace");
    return [name, deployment.metadata.namespace];
  }));
}

Deno.test("repo: the manifest's Role is the one that the end-to-end suite grants, for its StatefulSet, and the optional rule", async () => {
  const fixture = await Deno.readTextFile(new URL("tests/e2e/scenario.ts", ROOT));
  const literal = /DOCUMENTED_RULES: readonly RbacRule\[\] = (\[[\s\S]*?\n\]);/.exec(fixture)?.[1];
  assert.ok(literal !== undefined, "the fixture's rules were found");
  const optional = { apiGroups: [""], resources: ["pods"], verbs: ["get"] };
  // Those on StatefulSets are for the one.
  const documented = (yaml.load(literal) as { apiGroups: string[] }[]).map((rule) =>
    rule.apiGroups.includes("apps") ? { ...rule, resourceNames: [statefulSet.metadata.name] } : rule
  );
  assert.deepEqual(find("Role", PROXY).rules, [...documented, optional]);
});

Deno.test("repo: the manifest is all in one namespace, and the rights are the proxy's", () => {
  const { metadata: { name: namespace } } = find("Namespace", "ci");
  for (const { kind, metadata } of manifests) {
    if (kind !== "Namespace") assert.equal(metadata.namespace, namespace, `${kind} ${metadata.name}`);
  }
  const binding = find("RoleBinding", PROXY);
  assert.equal(binding.roleRef.name, find("Role", PROXY).metadata.name);
  assert.deepEqual(binding.subjects, [{
    kind: "ServiceAccount",
    name: pod.spec.serviceAccountName,
    namespace,
  }]);
  assert.ok(find("ServiceAccount", pod.spec.serviceAccountName));
});

Deno.test("repo: the manifest's Services select the proxy and buildkitd, each by the port it listens on", () => {
  const { [COMPONENT]: component, ...labels } = pod.metadata.labels;
  assert.equal(component, "autoscaler");
  assert.deepEqual(deployment.spec.selector.matchLabels, labels);
  assert.deepEqual(find("Service", "buildkitd").spec.selector, labels);
  const { spec: { selector, template, serviceName } } = statefulSet;
  assert.deepEqual(selector.matchLabels, template.metadata.labels);
  assert.notDeepEqual(template.metadata.labels, labels);
  const headless = find("Service", serviceName);
  assert.deepEqual(headless.spec.selector, template.metadata.labels);
  assert.equal(headless.spec.clusterIP, "None");
  const services = [["buildkitd", container], [serviceName, template.spec.containers[0]]] as const;
  for (const [name, { ports }] of services) {
    const [{ targetPort, appProtocol }] = find("Service", name).spec.ports;
    assert.ok(ports.some((each: { name: string }) => each.name === targetPort), name);
    assert.equal(appProtocol, "tcp");
  }
});

Deno.test("repo: the documents' commands select the manifest's pods of the proxy by the chart's label", async () => {
  const commands = (await documents(ROOT)).filter(({ path }) => !path.startsWith("helm/"))
    .flatMap(({ text }) => commandsOf(text))
    .filter((command) => /^kubectl .*=autoscaler\b/.test(command));
  assert.ok(commands.length >= 1, "a command was found");
  for (const command of commands) {
    const [, key, value] = / (?:-l|--selector) (\S+)=(\S+)/.exec(command)!;
    assert.equal(pod.metadata.labels[key!], value, command);
  }
});

Deno.test("repo: the manifest's variables are settings that name its StatefulSet, Service and ports", () => {
  const settings = parseSettings({ flags: new Map(), variables: variables() });
  assert.equal(settings.stsName, statefulSet.metadata.name);
  assert.equal(settings.stsNamespace, statefulSet.metadata.namespace);
  assert.equal(settings.headlessServiceName, statefulSet.spec.serviceName);
  const ports: { name: string; containerPort: number }[] = container.ports;
  const port = (name: string) => ports.find((each) => each.name === name)?.containerPort;
  assert.equal(port("tcp-buildkit"), settings.listenAddr === "off" ? undefined : settings.listenAddr.port);
  assert.equal(port("http-admin"), settings.adminAddr.port);
  for (const probe of [container.livenessProbe, container.readinessProbe]) {
    assert.equal(probe.httpGet.port, "http-admin");
  }
  const daemon = statefulSet.spec.template.spec.containers[0];
  assert.equal(daemon.ports[0].containerPort, settings.targetPort);
  assert.ok(daemon.args.includes(`tcp://0.0.0.0:${settings.targetPort}`));
});

Deno.test("repo: the manifest gives a drain its whole time, and leaves the replicas to the program", () => {
  const longestMs = [SETTINGS.shutdownDelayMs, SETTINGS.drainTimeoutMs]
    .reduce((sum, { type, default: preset }) => sum + type.parse(preset ?? "")!, 0);
  assert.ok(pod.spec.terminationGracePeriodSeconds * 1000 > longestMs);
  assert.equal(statefulSet.spec.replicas, undefined);
});
