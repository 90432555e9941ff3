/** Tests of what is set for one of several builders, and of what follows from it in the whole program. @module */
import assert from "node:assert/strict";
import { poolsOf } from "../../../lib/config/builders.ts";
import { parseSettings } from "../../../lib/config/parse_settings.ts";
import { capacityOf, targetSettingsOf } from "../../../lib/target/target_settings.ts";
import { VirtualProgram } from "../../support/virtual_program.ts";

Deno.test("targetSettingsOf(): a builder is the only one where its pool has no other", () => {
  const flags = new Map([["builders", "b1,arm64/b2,arm64/b3"]] as const);
  const settings = parseSettings({ flags, variables: {} });
  const only = poolsOf(settings).flatMap((pool) =>
    pool.builders.map((builder) => {
      const { stsName, isOnly } = targetSettingsOf(settings, pool, builder);
      return [stsName, isOnly];
    })
  );
  assert.deepEqual(only, [["b1", true], ["b2", false], ["b3", false]]);
});

Deno.test("capacityOf(): sessions spread over pods as they do over builders", () => {
  const limits = { maxReplicas: 2, sessionsPerReplica: 4, maxSessionsPerReplica: 0 };
  const spread = (["affinity", "packed", "least-sessions", "round-robin"] as const).map((placement) =>
    capacityOf({ ...limits, placement }).spread
  );
  assert.deepEqual(spread, ["lowest", "lowest", "least", "turn"]);
});

for (const builders of [["b1"], ["b1", "b2"]] as [string, ...string[]][]) {
  Deno.test(`program with --builders ${builders}: the awaited pod is asked for where its clients could go elsewhere`, async () => {
    await using program = new VirtualProgram({ builders, cluster: { probeMs: () => 3_600_000 } });
    await program.start();
    const client = await program.call();
    await program.pass(10_000);
    assert.equal(program.metrics.value("sessions_held"), 1);
    const asked = program.cluster.api.requests.some(({ verb, subject }) =>
      verb === "get" && subject === "v1/pods"
    );
    assert.equal(asked, builders.length > 1);
    client.close();
  });
}
