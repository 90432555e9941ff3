/**
 * Helm takes what the documents tell people to give it: every example of a values file, and the arguments of every
 * command. What they show of the chart is what it renders.
 *
 * @module
 */
import assert from "node:assert/strict";
import { load } from "js-yaml";
import { commandsOf, documents, fenced } from "../repo/documents.ts";
import { valuesFile } from "../repo/values.ts";
import { CHART, Helm } from "./helm.ts";

// deno-lint-ignore no-explicit-any -- parts of objects
type Tree = any;

const helm = await Helm.of("helm");
const all = await documents(new URL("../../", import.meta.url));

Deno.test("documents: helm renders every example of a values file", async () => {
  const examples = all.flatMap(({ path, text }) =>
    fenced(text, "yaml").flatMap((block) => valuesFile(block)).map((values) => ({ path, values }))
  );
  assert.ok(examples.length >= 5, "the examples were found");
  for (const { path, values } of examples) {
    await helm.template(values).catch((error) => {
      throw new Error(`${path}: ${JSON.stringify(values)}`, { cause: error });
    });
  }
  await assert.rejects(helm.template({ autoscaler: { replicas: 2 } }), "a name that is not there is refused");
});

Deno.test("documents: helm renders what the commands set, at the address that the documents speak of", async () => {
  const commands = all.filter(({ path }) => !path.startsWith("helm/")).flatMap(({ text }) => commandsOf(text))
    .filter((command) => /^helm (?:install|upgrade) buildkitd-stack /.test(command));
  assert.ok(commands.length >= 4, "the commands were found");
  for (const command of commands) {
    const set = [...command.matchAll(/--set (\S+)/g)].flatMap(([, pairs]) => ["--set", pairs!]);
    const release = ["buildkitd-stack", CHART, "--namespace", "ci", ...set];
    const { success, stdout, stderr } = await helm.run("template", ...release);
    assert.ok(success, `${command}\n${stderr}`);
    if (!command.startsWith("helm install")) continue;
    const notes = await helm.run("install", ...release, "--dry-run=client");
    assert.match(notes.stdout, /tcp:\/\/buildkitd\.ci\.svc:8372/, command);
    assert.match(stdout, /^ {2}name: buildkitd-stack-buildkitd$/m, command);
  }
});

Deno.test("documents: in front of a buildkitd of one's own, the proxy has the name that the documents speak of", async () => {
  const commands = all.flatMap(({ text }) => commandsOf(text))
    .filter((command) => command.startsWith("helm install buildkitd-front "));
  assert.ok(commands.length >= 2, "the commands were found");
  for (const command of commands) {
    const set = [...command.matchAll(/--set (\S+)/g)].flatMap(([, pairs]) => ["--set", pairs!]);
    const release = ["buildkitd-front", CHART, "--namespace", "ci", ...set];
    const { success, stdout, stderr } = await helm.run("install", ...release, "--dry-run=client");
    assert.ok(success, `${command}\n${stderr}`);
    assert.match(stdout, /tcp:\/\/buildkitd-front\.ci\.svc:8372/, command);
    assert.match(stdout, /^kind: Deployment\nmetadata:\n {2}name: buildkitd-front$/m, command);
  }
});

/** An expression without the labels that limit it to one release's targets. */
function forAllTargets(expression: string): string {
  return expression.replace(/,?\b(?:namespace|job)="[^"]*"/g, "").replaceAll("{}", "");
}

Deno.test("documents: the alerts for people without the chart are the chart's, with its defaults", async () => {
  const text = await Deno.readTextFile(
    new URL("../../docs/examples/prometheus/alerts.yaml", import.meta.url),
  );
  const metrics = { serviceMonitor: { enabled: true }, prometheusRule: { enabled: true } };
  const rule = [...(await helm.objects({ autoscaler: { metrics } })).values()]
    .find(({ kind }) => kind === "PrometheusRule")!;
  const conditions = ({ groups: [{ rules }] }: Tree) =>
    rules.map((each: Tree) => {
      const { namespace: _, job, ...labels } = each.labels;
      assert.ok(job, "each alert says which job it is about");
      return { ...each, expr: forAllTargets(each.expr), labels, annotations: undefined };
    });
  const made = conditions(rule.spec);
  assert.ok(made.length >= 10, "the alerts were found");
  assert.deepEqual(conditions(load(text)), made);
});
