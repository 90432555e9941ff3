/**
 * The files of `docs/examples` and the objects in documents are what they claim to be: they can be read, their parts name
 * each other, and custom resources fit the schemas of their definitions. Helm renders their values in `tests/chart`.
 *
 * @module
 */
import assert from "node:assert/strict";
import * as yaml from "js-yaml";
import { type CustomResource, customResourceViolations } from "./custom_resources.ts";
import { documents, fenced } from "./documents.ts";
import { exampleFiles } from "./examples.ts";
import { ROOT } from "./generated.ts";

const all = await documents(ROOT);
const examples = await exampleFiles(ROOT);

/** The documents of one example's YAML. */
// deno-lint-ignore no-explicit-any -- objects and values of several kinds
function load(path: string): any[] {
  const found = examples.find((each) => each.path === `docs/examples/${path}`);
  assert.ok(found !== undefined, path);
  return yaml.loadAll(found.text);
}

Deno.test("examples: the page names every file, and each can be read", () => {
  const page = all.find(({ path }) => path === "docs/examples/README.md")!.text;
  assert.ok(examples.length >= 9, "the examples were found");
  for (const { path, text } of examples) {
    assert.ok(
      page.includes(`](${path.replace("docs/examples/", "")})`),
      `docs/examples/README.md names ${path}`,
    );
    assert.ok(yaml.loadAll(text).length > 0, path);
  }
});

Deno.test("examples: custom resources in examples and documents fit their definitions", () => {
  const texts = [
    ...examples,
    ...all.flatMap(({ path, text }) => fenced(text, "yaml").map((block) => ({ path, text: block }))),
  ];
  const checked = new Set<string>();
  for (const { path, text } of texts) {
    for (const object of yaml.loadAll(text) as CustomResource[]) {
      if (typeof object?.apiVersion !== "string" || object.metadata === undefined) continue;
      const found = customResourceViolations(object);
      if (found === undefined) continue;
      checked.add(object.kind);
      assert.deepEqual(found, [], path);
    }
  }
  assert.deepEqual([...checked].sort(), [
    ...["Application", "EC2NodeClass", "Gateway", "IngressRouteTCP", "NodePool"],
    ...["TCPRoute", "TLSRoute", "VirtualService"],
  ]);
});

Deno.test("customResourceViolations() finds unknown, missing and wrong fields", () => {
  const route = (spec: unknown) =>
    customResourceViolations({ apiVersion: "gateway.networking.k8s.io/v1", kind: "TCPRoute", spec });
  const rules = [{ backendRefs: [{ name: "a", port: 1 }] }];
  assert.deepEqual(route({ rules }), []);
  assert.deepEqual(route({ rules, route: 1 }), ["TCPRoute.spec.route: is unknown"]);
  assert.deepEqual(route({}), ["TCPRoute.spec.rules: is missing"]);
  assert.equal(route({ rules: [{ backendRefs: [{ name: "a", port: 0 }] }] })?.length, 1);
  assert.equal(route({ rules: [{ backendRefs: [{ name: "a", port: "1" }] }] })?.length, 1);
  assert.equal(customResourceViolations({ apiVersion: "v1", kind: "Unheard" }), undefined);
});

/** The projects of an example's values. */
function projectsOf(path: string): { name: string; pool?: string }[] {
  const [{ projects }] = load(path);
  return projects.map((each: string | { name: string; pool: string }) =>
    typeof each === "string" ? { name: each } : each
  );
}

Deno.test("examples: each project of the monorepo has an address for each architecture, which its job dials", () => {
  const [{ jobs: { image } }] = load("monorepo/workflow.yaml");
  const names = new Map(projectsOf("monorepo/values.yaml").map(({ name, pool }) => [name, pool]));
  const [{ buildkitd, pools, autoscaler }] = load("monorepo/values.yaml");
  const built: string[] = image.strategy.matrix.project;
  assert.equal(names.size, 2 * built.length);
  const { endpoint, platforms, append } = image.steps[1].with;
  const [arm] = yaml.load(append) as { endpoint: string; platforms: string }[];
  for (const project of built) {
    const dial = (address: string) =>
      /^tcp:\/\/(.*)\.ci\.svc:8372$/.exec(address.replaceAll("${{ matrix.project }}", project))?.[1];
    assert.equal(names.get(dial(endpoint)!), undefined);
    assert.equal(names.get(dial(arm!.endpoint)!), "arm64");
  }
  const architecture = "kubernetes.io/arch";
  assert.equal(platforms, `linux/${buildkitd.nodeSelector[architecture]}`);
  assert.equal(arm!.platforms, `linux/${pools.arm64.buildkitd.nodeSelector[architecture]}`);
  const queue = /^(\d+)m$/.exec(autoscaler.autoscalerConfig.queueTimeout)![1];
  assert.ok(image["timeout-minutes"] > Number(queue), "a job outlasts the queue");
});

Deno.test("examples: on EKS, buildkitd's pod fits the NodePool and the StorageClass", () => {
  const [nodeClass, nodePool, storageClass] = load("eks-karpenter/nodepool.yaml");
  const [{ buildkitd, autoscaler }] = load("eks-karpenter/values.yaml");
  const { metadata, spec } = nodePool.spec.template;
  assert.equal(spec.nodeClassRef.name, nodeClass.metadata.name);
  assert.equal(buildkitd.persistence.storageClassName, storageClass.metadata.name);
  assert.deepEqual(buildkitd.nodeSelector, metadata.labels);
  for (const { key, effect } of spec.taints) {
    assert.ok(
      buildkitd.tolerations.some((it: { key: string; operator: string; effect: string }) =>
        it.key === key && it.operator === "Exists" && it.effect === effect
      ),
      `a toleration for ${key}`,
    );
  }
  assert.equal(autoscaler.autoscalerConfig.drainTimeout, buildkitd.drain.timeout);
});

Deno.test("examples: runners are called by their name, and may reach the proxy", () => {
  const [runners] = load("actions-runner-controller/runner-values.yaml");
  const [{ jobs }] = load("actions-runner-controller/workflow.yaml");
  assert.equal(jobs.image["runs-on"], runners.runnerScaleSetName);
  const page = all.find(({ path }) => path === "docs/examples/README.md")!.text;
  for (const folder of ["actions-runner-controller", "gitlab-runner"]) {
    const [{ networkPolicy }] = load(`${folder}/values.yaml`);
    const namespace = networkPolicy.clients[0].namespaceSelector.matchLabels["kubernetes.io/metadata.name"];
    assert.match(page, new RegExp(`--namespace ${namespace} --create-namespace`), folder);
  }
});

Deno.test("repo: GitHub can read the forms for issues", async () => {
  const folder = new URL(".github/ISSUE_TEMPLATE/", ROOT);
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name !== "config.yml");
  assert.ok(names.length >= 2, "the forms were found");
  for (const name of names) {
    // deno-lint-ignore no-explicit-any -- a form
    const form = yaml.load(await Deno.readTextFile(new URL(name, folder))) as any;
    assert.ok(form.name !== undefined && form.description !== undefined, name);
    const fields: { type: string; id: string; attributes: { label: string } }[] = form.body;
    for (const { type, attributes: { label } } of fields) {
      assert.match(type, /^(?:textarea|input|dropdown|checkboxes|markdown)$/, name);
      assert.notEqual(label ?? "", "", name);
    }
    assert.equal(
      new Set(fields.map(({ id }) => id)).size,
      fields.length,
      `${name}: each field has its own id`,
    );
  }
});

Deno.test("documents: one address and one version of each action, in documents and examples", () => {
  const texts = [...all, ...examples].filter(({ path }) => path !== "CHANGELOG.md");
  const projects = new Set(projectsOf("monorepo/values.yaml").map(({ name }) => name));
  const versions = new Map<string, Set<string>>();
  for (const { path, text } of texts) {
    for (const [, action, version] of text.matchAll(/\buses: ([\w./-]+)@(\S+)/g)) {
      versions.set(action!, (versions.get(action!) ?? new Set()).add(version!));
    }
    for (const [address] of text.matchAll(/tcp:\/\/[\w.-]*\.svc\b\S*?:\d+/g)) {
      const [, name = ""] = /^tcp:\/\/([\w-]+)\.ci\.svc:8372$/.exec(address) ?? [];
      assert.ok(/^buildkitd(?:-\w+)?$/.test(name) || projects.has(name), `${path}: ${address}`);
    }
  }
  assert.ok(versions.size >= 4, "the actions were found");
  for (const [action, found] of versions) assert.equal(found.size, 1, `${action}: ${[...found].join(", ")}`);
});

Deno.test("documents: installations, images and downloads have the version of deno.json", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const pattern =
    /(?:\/buildkitd-stack --version |\/releases\/download\/v|earthbuild\/buildkitd-autoscaler:|targetRevision )(\d[\w.-]*\w)/g;
  const found = [...all, ...examples].flatMap(({ path, text }) =>
    [...text.matchAll(pattern)].map(([, named]) => `${path}: ${named}`)
  );
  assert.ok(found.length >= 8, "the versions were found");
  assert.deepEqual(found.filter((each) => !each.endsWith(`: ${version}`)), []);
});
