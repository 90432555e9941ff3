/**
 * Whole programs without access to Leases: one that is alone goes on and says so; beside a living one it ends.
 *
 * @module
 */
import assert from "node:assert/strict";
import { FatalError } from "../../../lib/base/errors.ts";
import type { PolicyRule } from "../../../lib/miniature/access.ts";
import { FRAME } from "../../../lib/miniature/stub_http2.ts";
import { RIGHTS_PATIENCE_MS } from "../../../lib/ha/alone.ts";
import { within } from "../../support/deadline.ts";
import { call, Http2Client, literalFields, OPENING, SETTINGS_ACK } from "../../support/http2_client.ts";
import { IDLE_MS, Stage } from "./stage.ts";

const RULES: readonly PolicyRule[] = [
  { apiGroups: ["apps"], resources: ["statefulsets"], verbs: ["list", "watch"] },
  { apiGroups: ["apps"], resources: ["statefulsets/scale"], verbs: ["get", "update", "patch"] },
  { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
];
const LOOK: PolicyRule = {
  apiGroups: ["coordination.k8s.io"],
  resources: ["leases"],
  verbs: ["get", "list", "watch"],
};

const ALL: PolicyRule = { ...LOOK, verbs: [...LOOK.verbs, "create", "update", "delete"] };

function stageWith(rules: readonly PolicyRule[]): Stage {
  return new Stage({
    before: ({ cluster: { api: { access } } }) => {
      access.tokens.set("poor", "poor").set("rich", "rich");
      access.rules.set("poor", rules);
    },
  });
}

for (const [what, rules] of [["none", RULES], ["to look only", [...RULES, LOOK]]] as const) {
  Deno.test(`a program without rights to Leases (${what}) and without others goes on alone, says so, and scales down`, async () => {
    await using stage = stageWith(rules);
    const program = await stage.startOnly("a", { token: "poor" });
    await program.logged("join_failed");
    await stage.pass(RIGHTS_PATIENCE_MS);
    await program.logged("ready");
    await program.logged("leases_forbidden");
    assert.match((await program.admin("/healthz?verbose")).text, /alone/);
    await program.warm();
    await stage.pass(IDLE_MS + 60_000);
    await program.until("no pod", () => stage.world.cluster.replicas === 0);
    using client = await program.connect();
    assert.equal(await client.echo("cold"), "cold");
    assert.deepEqual(stage.leases, []);
  });
}

Deno.test("a program that gets the rights to Leases shortly after its start joins, and is never alone", async () => {
  await using stage = stageWith(RULES);
  const program = await stage.startOnly("a", { token: "poor" });
  await program.logged("join_failed");
  stage.world.cluster.api.access.rules.set("poor", [...RULES, ALL]);
  await stage.pass(5_000);
  await program.settled();
  assert.equal(stage.records.length, 1);
  assert.equal(program.log.of("leases_forbidden").length, 0);
});

Deno.test("a program with read-only access to Leases exits while another proxy is alive", async () => {
  await using stage = stageWith([...RULES, LOOK]);
  const rich = await stage.startOnly("a", { token: "rich" });
  await rich.settled();
  using client = await rich.connect();
  assert.equal(await client.echo("hello"), "hello");
  const poor = await stage.startOnly("b", { token: "poor" });
  const ended = assert.rejects(poor.exited, (error) => {
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      if (cause instanceof FatalError) return /without access to Leases/.test(cause.message);
    }
    return false;
  });
  using held = await Http2Client.connect(poor.address);
  await held.send(OPENING, SETTINGS_ACK, ...call(1));
  assert.equal((await held.next())?.type, FRAME.settings);
  await poor.held(1);
  await stage.pass(60_000, "a");
  const answer = await held.next();
  assert.match(
    decodeURIComponent(literalFields(answer!.payload)["grpc-message"]!),
    /without access to Leases/,
  );
  held.close();
  await within(ended, "the end of the poor one");
  stage.forget("b");
  assert.equal(poor.log.of("ready").length, 0);
  assert.equal(await client.echo("still"), "still");
  assert.equal(stage.world.cluster.replicas, 1);
});
