/**
 * The documented rights are enough, and each one that is missing is named to whoever reads the log.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DOCUMENTED_RULES, type RbacRule, scenario } from "./scenario.ts";

scenario("with exactly the documented rights no request is refused", {}, async (cluster) => {
  const program = await (await cluster.startProgram({ "idle-timeout": "1s" })).untilReady();
  await (await cluster.build(program)).finish();
  await cluster.timeline.settle([0, 1, 0]);
  assert.equal(await program.stop(), 0);
  assert.deepEqual(await cluster.plane.refusedTo(cluster.programUser), []);
  const requests = await cluster.plane.requestsBy(cluster.programUser);
  assert.ok(
    requests.some((request) => request.requestURI.includes("/scale")),
    "the audit log shows its requests",
  );
});

/** The rules, those on StatefulSets for one of them only. */
function forOne(statefulSet: string): RbacRule[] {
  return DOCUMENTED_RULES.map((rule) => {
    const named = { ...rule, resourceNames: [statefulSet] };
    return rule.apiGroups.includes("apps") ? named : rule;
  });
}

scenario("rights to the one StatefulSet are enough, and those to another are not", {}, async (cluster) => {
  await cluster.setRules(forOne("another"), { allowed: false });
  const program = await cluster.startProgram({ "idle-timeout": "1s" });
  await program.waitForRecord(
    "the missing right to list statefulsets",
    (record) => /Cannot list statefulsets/.test(JSON.stringify(record)),
  );
  await cluster.setRules(forOne("buildkitd"), { allowed: false });
  const refused = async () => (await cluster.plane.refusedTo(cluster.programUser)).length;
  await program.untilReady();
  const before = await refused();
  await (await cluster.build(program)).finish();
  await cluster.timeline.settle([0, 1, 0]);
  assert.equal(await refused(), before);
  assert.equal(await program.stop(), 0);
});

function without(resource: string, verb: string): RbacRule[] {
  return DOCUMENTED_RULES.map((rule) =>
    rule.resources.includes(resource)
      ? { ...rule, verbs: rule.verbs.filter((other) => other !== verb) }
      : rule
  );
}

const MISSING = [
  { group: "apps", resource: "statefulsets", verb: "list" },
  { group: "apps", resource: "statefulsets", verb: "watch" },
  { group: "discovery.k8s.io", resource: "endpointslices", verb: "list" },
  { group: "discovery.k8s.io", resource: "endpointslices", verb: "watch" },
] as const;

for (const { group, resource, verb } of MISSING) {
  scenario(
    `without the right to ${verb} ${resource} the program stays up, unready, and names it`,
    {},
    async (cluster) => {
      await cluster.setRules(without(resource, verb), { allowed: false });
      const program = await cluster.startProgram({ "idle-timeout": "2s" });
      const record = await program.waitForRecord(`the missing right to ${verb} ${resource}`, (candidate) => {
        const text = JSON.stringify(candidate);
        return [verb, resource, group, "Role"].every((word) => text.includes(word)) &&
          /forbidden|permission/i.test(text);
      });
      assert.ok(["warn", "error"].includes(record.level), JSON.stringify(record));
      assert.equal((await program.probe("/livez")).status, 200);
      assert.equal((await program.probe("/readyz")).status, 503);
      await cluster.setRules(DOCUMENTED_RULES, { allowed: true });
      await program.untilReady();
      await (await cluster.build(program)).finish();
      assert.equal(await program.stop(), 0);
    },
  );
}

for (const verb of ["get", "patch"] as const) {
  scenario(
    `without the right to ${verb} statefulsets/scale a held build waits, and the log names it`,
    {},
    async (cluster) => {
      await cluster.setRules(without("statefulsets/scale", verb), { allowed: false });
      const program = await cluster.startProgram({ "idle-timeout": "2s" });
      const build = await cluster.build(program);
      const record = await program.waitForRecord(
        `the missing right to ${verb} statefulsets/scale`,
        (candidate) => {
          const text = JSON.stringify(candidate);
          return [verb, "statefulsets/scale", "Role"].every((word) => text.includes(word));
        },
      );
      assert.ok(["warn", "error"].includes(record.level), JSON.stringify(record));
      assert.equal((await program.probe("/livez")).status, 200);
      assert.equal(build.ended, false);
      await cluster.setRules(DOCUMENTED_RULES, { allowed: true });
      await build.finish();
      assert.equal(await program.stop(), 0);
    },
  );
}
