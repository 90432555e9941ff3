/**
 * `kubectl describe statefulset` tells what the program did, and why: a real kubectl shows the Events that a real
 * kube-apiserver has taken.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { kubeconfig } from "./kube_api.ts";
import { noted } from "./kubelet.ts";
import { type Cluster, DOCUMENTED_RULES, GET_PODS, scenario } from "./scenario.ts";
import { programPath } from "./surroundings.ts";
import { until } from "./waiting.ts";

/** As the scheduler says it. */
const UNSCHEDULABLE = {
  type: "PodScheduled",
  status: "False",
  reason: "Unschedulable",
  message: "0/3 nodes are available: 3 Insufficient cpu.",
};

/** What a command of kubectl prints. */
async function kubectl({ namespace, folder, api: { access } }: Cluster, ...args: string[]): Promise<string> {
  const file = join(folder, "admin.kubeconfig");
  await Deno.writeTextFile(file, kubeconfig(access));
  const { success, stdout, stderr } = await new Deno.Command(programPath("kubectl"), {
    args: ["--kubeconfig", file, "--namespace", namespace, ...args],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** The program's lines below "Events:". */
async function described(cluster: Cluster): Promise<readonly string[]> {
  const text = await kubectl(cluster, "describe", "statefulset", "buildkitd");
  const [, events = ""] = text.split(/^Events:/m);
  return events.split("\n").filter((line) => line.includes("buildkitd-autoscaler"));
}

/** Waits until kubectl shows a line that matches each expression, in any order, and prints them. */
async function untilDescribed(cluster: Cluster, ...wanted: readonly RegExp[]): Promise<void> {
  let lines: readonly string[] = [];
  await until("kubectl describe to tell it all", async () => {
    lines = await described(cluster);
    return wanted.every((each) => lines.some((line) => each.test(line)));
  }, { pollMs: 500, explain: () => lines.join("\n") });
  Deno.stdout.writeSync(new TextEncoder().encode(`\n${lines.join("\n")}\n`));
}

scenario(
  "kubectl describe tells of cold starts and idle scale-downs, and counts what repeats",
  {},
  async (cluster) => {
    const program = await (await cluster.startProgram({ "idle-timeout": "1s" })).untilReady();
    await (await cluster.build(program)).finish();
    await cluster.timeline.settle([0, 1, 0]);
    await untilDescribed(
      cluster,
      / Normal +ScaledUp .* Scaled from 0 to 1: 1 held session$/,
      / Normal +ColdStartEnded .* A pod was ready \d+s after a client had called for it$/,
      / Normal +ScaledDown .* Scaled from 1 to 0: nothing has been in use for 1s$/,
    );
    await (await cluster.build(program)).finish();
    await cluster.timeline.settle([0, 1, 0, 1, 0]);
    await untilDescribed(cluster, / ScaledUp +\S+ \(x2 over /, / ScaledDown +\S+ \(x2 over /);
    const selector = "--field-selector=reportingComponent=buildkitd-autoscaler";
    const selected = (await kubectl(cluster, "get", "events", "--no-headers", selector)).trim().split("\n");
    assert.equal(selected.length, (await described(cluster)).length);
    assert.equal(await program.stop(), 0);
    assert.deepEqual(await cluster.plane.refusedTo(cluster.programUser), []);
  },
);

scenario(
  "kubectl describe tells why a start is slow and stuck, and that it has recovered",
  {},
  async (cluster) => {
    await cluster.setRules([...DOCUMENTED_RULES, GET_PODS], { allowed: true });
    const program = await (await cluster.startProgram({ "ready-wait-timeout": "70s" })).untilReady();
    cluster.kubelet.behaviour.start.shut();
    noted(cluster.kubelet, "bound").then(() =>
      cluster.api.patch(`/api/v1/namespaces/${cluster.namespace}/pods/buildkitd-0/status`, {
        status: { conditions: [UNSCHEDULABLE] },
      })
    ).catch(() => {});
    const build = await cluster.build(program);
    const why = "pod buildkitd-0 is Pending: Unschedulable: 0/3 nodes are available: 3 Insufficient cpu";
    await untilDescribed(
      cluster,
      new RegExp(` Warning +ColdStartSlow .* ${why} `),
      new RegExp(` Warning +BuilderStuck .* Stuck: ${why} `),
    );
    cluster.kubelet.behaviour.start.open();
    await build.finish();
    await untilDescribed(cluster, / Normal +BuilderRecovered .* No pod is awaited for long any more$/);
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "kubectl describe names the right to scale that is missing, and then says that it is there",
  {},
  async (cluster) => {
    const rules = DOCUMENTED_RULES.map((rule) =>
      rule.resources.includes("statefulsets/scale") ? { ...rule, verbs: ["get", "update"] } : rule
    );
    await cluster.setRules(rules, { allowed: false });
    const program = await cluster.startProgram();
    await untilDescribed(
      cluster,
      / Warning +RightsNotConfirmed .*resources: \["statefulsets\/scale"\], verbs: \["patch"\]/,
    );
    await cluster.setRules(DOCUMENTED_RULES, { allowed: true });
    await program.untilReady();
    await untilDescribed(cluster, / Normal +RightsConfirmed /);
    assert.equal(await program.stop(), 0);
  },
);

scenario(
  "without the right to create Events a build is served, one request is refused, and the log says so once",
  {},
  async (cluster) => {
    const rules = DOCUMENTED_RULES.filter(({ resources }) => !resources.includes("events"));
    await cluster.setRules(rules, { allowed: false });
    const program = await (await cluster.startProgram({ "idle-timeout": "1s" })).untilReady();
    await (await cluster.build(program)).finish();
    await cluster.timeline.settle([0, 1, 0]);
    const { level, cause } = await program.waitForRecord(
      "the missing right",
      ({ code }) => code === "event_write_failed",
    );
    assert.equal(level, "warn");
    const rule = 'apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch"]';
    assert.ok(`${cause}`.includes(rule), `${cause}`);
    assert.equal(await program.stop(), 0);
    assert.equal((await cluster.plane.refusedTo(cluster.programUser)).length, 1);
    assert.deepEqual(await described(cluster), []);
  },
);
