/**
 * The whole program: each missing right keeps it unready and is named with its rule; once granted, it goes on.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { PolicyRule } from "../../../lib/miniature/access.ts";
import { JumpClock } from "../../support/jump_clock.ts";
import { startProgram } from "../../support/program.ts";

const TOKEN = "token-of-the-proxy";

const RULES: readonly PolicyRule[] = [
  { apiGroups: ["apps"], resources: ["statefulsets"], verbs: ["list", "watch"] },
  { apiGroups: ["apps"], resources: ["statefulsets/scale"], verbs: ["get", "update", "patch"] },
  { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
];

/** Without these a program waits for 15 s before it goes on alone; they are tested in `../proxies/rights_test.ts`. */
const LEASES: PolicyRule = {
  apiGroups: ["coordination.k8s.io"],
  resources: ["leases"],
  verbs: ["get", "list", "watch", "create", "update", "delete"],
};

/** Longer than a program pauses before it tries again after two or three refusals, shorter than any deadline. */
const LONGEST_PAUSE_MS = 6_000;

for (const [i, { apiGroups: [group], resources: [resource], verbs }] of RULES.entries()) {
  for (const verb of verbs) {
    Deno.test(`program: without the right to ${verb} ${resource} it is unready, says so, and goes on once it has it`, async () => {
      const without = [
        LEASES,
        ...RULES.map((rule, at) =>
          at === i ? { ...rule, verbs: rule.verbs.filter((other) => other !== verb) } : rule
        ),
      ];
      const clock = new JumpClock();
      await using program = await startProgram({
        clock,
        token: TOKEN,
        before: ({ cluster: { api: { access } } }) => {
          access.tokens.set(TOKEN, "proxy");
          access.rules.set("proxy", without);
        },
      });
      const rule = `the missing rule in a Role of namespace "default" is apiGroups: ["${group}"], ` +
        `resources: ["${resource}"], verbs: ["${verb}"]`;
      await program.until(
        "the rule in the log",
        () =>
          program.log.records.some(({ level, fields }) =>
            level === "warn" && String(fields["cause"]).includes(rule)
          ),
      );
      const [record] = program.log.records.filter(({ fields }) => String(fields["cause"]).includes(rule));
      assert.match(
        String(record!.fields["cause"]),
        new RegExp(`^Cannot ${verb} ${resource}.*: no permission`),
      );
      // Everything else has succeeded by now, and it is still not ready.
      if (resource !== "statefulsets/scale") {
        await program.until(
          "the rights on the scale",
          () => program.metrics.value("api_requests_total", { verb: "update" }) >= 1,
        );
      }
      await program.until(
        "a second failure",
        () => program.metrics.value("api_errors_total", { verb: verb as "get", code: "403" }) >= 2,
      );
      assert.equal(program.log.of("ready").length, 0);
      const { status, text } = await program.admin("/readyz");
      assert.equal(status, 503, "unready");
      assert.ok(text.startsWith("cluster: ") && text.includes(rule), text);
      assert.equal((await program.admin("/livez")).status, 200);
      program.cluster.api.access.rules.set("proxy", [...RULES, LEASES]);
      clock.jump(LONGEST_PAUSE_MS);
      using client = await program.connect();
      assert.equal(await client.echo("hello"), "hello");
      await program.logged("ready");
      assert.deepEqual(await program.admin("/readyz"), { status: 200, text: "ok" });
      assert.ok(!JSON.stringify(program.log.records).includes(TOKEN), "the token is in no record");
    });
  }
}

Deno.test("program: a missing right names the namespace of the credentials if that is another one", async () => {
  await using program = await startProgram({
    token: TOKEN,
    home: "ci",
    before: ({ cluster: { api: { access } } }) => {
      access.tokens.set(TOKEN, "proxy");
      access.rules.set("proxy", []);
    },
  });
  const ofStatefulSets = () =>
    program.log.of("watch_failed").find(({ fields }) => fields["resource"] === "statefulsets");
  await program.until("the fault of that watch", () => ofStatefulSets() !== undefined);
  assert.match(
    String(ofStatefulSets()?.fields["cause"]),
    /verbs: \["list"\]; the namespace of the kubeconfig's context is "ci"$/,
  );
});

Deno.test("program: rejected credentials are reported and never shown", async () => {
  await using program = await startProgram({
    token: TOKEN,
    before: ({ cluster: { api: { access } } }) => void access.tokens.set("another-token", "proxy"),
  });
  const { cause } = await program.logged("api_access_failed");
  assert.match(
    String(cause),
    /^Cannot use the API server "http.*": the API server does not accept the credentials \(HTTP 401/,
  );
  assert.equal((await program.admin("/readyz")).status, 503);
  program.cluster.api.access.tokens.set(TOKEN, "proxy");
  await program.logged("ready");
  assert.equal(program.log.records.filter(({ level }) => level === "warn").length, 1, "it is said once");
  assert.ok(!JSON.stringify(program.log.records).includes(TOKEN), "the token is in no record");
});
