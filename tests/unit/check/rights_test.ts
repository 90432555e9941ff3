/**
 * Which rights the program needs with which settings, and what is said of those that are missing.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Read } from "../../../lib/check/finding.ts";
import { rightsFinding, rightsNeeded, type RightsTo } from "../../../lib/check/rights.ts";

const yes: Read<boolean> = { is: "found", value: true };
const no: Read<boolean> = { is: "found", value: false };
const ONE = {
  builders: [{ name: "builder", pods: ["builder-0"] }],
  portForward: "never",
  events: true,
} as const;
const USER = "system:serviceaccount:ci:proxy";

function needed(resource: string, portForward: "always" | "fallback" | "never" = "never"): RightsTo {
  const found = rightsNeeded({ ...ONE, portForward }).filter(({ rights }) => rights[0].resource === resource);
  assert.equal(found.length, 1);
  return found[0]!;
}

function texts(needs: readonly RightsTo[]): string[] {
  return needs.map(({ rights }) =>
    `${rights.map(({ verb }) => verb)} ${rights[0].group}/${rights[0].resource} ${rights[0].name ?? "*"}`
  );
}

Deno.test("rightsNeeded() has what the documentation grants, by name where a Role can name it", () => {
  assert.deepEqual(texts(rightsNeeded(ONE)), [
    "list,watch apps/statefulsets builder",
    "get,update,patch apps/statefulsets/scale builder",
    "list,watch discovery.k8s.io/endpointslices *",
    "get,list,watch,create,update,delete coordination.k8s.io/leases *",
    "get /pods *",
    "create,patch events.k8s.io/events *",
  ]);
  assert.ok(texts(rightsNeeded({ ...ONE, events: false })).every((text) => !text.includes("/events")));
});

Deno.test("rightsNeeded() asks for each builder, and for tunnels where they are used", () => {
  const builders = [{ name: "a", pods: ["a-0", "a-2"] }, { name: "b", pods: ["b-0"] }];
  const all = rightsNeeded({ builders, portForward: "always", events: true });
  assert.deepEqual(texts(all).filter((text) => /statefulsets |portforward/.test(text)), [
    "list,watch apps/statefulsets a",
    "list,watch apps/statefulsets b",
    "get,create /pods/portforward a-0",
    "get,create /pods/portforward a-2",
    "get,create /pods/portforward b-0",
  ]);
});

Deno.test("rightsFinding() is content when all are there", () => {
  assert.deepEqual(
    rightsFinding(needed("statefulsets/scale"), [yes, yes, yes], { namespace: "ci", user: USER }),
    {
      check: 'rights to statefulsets/scale "builder"',
      result: "ok",
      found: "get, update and patch",
    },
  );
});

Deno.test("rightsFinding() names the missing verbs alone, and the commands that grant them to the caller", () => {
  const to = { namespace: "ci", user: USER };
  const finding = rightsFinding(needed("statefulsets/scale"), [yes, no, no], to);
  const role = "buildkitd-autoscaler-update-patch-statefulsets-scale-builder";
  assert.deepEqual(finding, {
    check: 'rights to statefulsets/scale "builder"',
    result: "failed",
    found: "no right to update, patch",
    want: "get, update and patch",
    fix:
      `kubectl --namespace ci create role ${role} --verb=update,patch --resource=statefulsets.apps/scale ` +
      `--resource-name=builder && kubectl --namespace ci create rolebinding ${role} --role=${role} ` +
      "--serviceaccount=ci:proxy",
  });
  const person = rightsFinding(needed("endpointslices"), [no, no], {
    namespace: "ci",
    user: "o'neill; rm -rf /",
  });
  assert.match(person.fix!, /--resource=endpointslices\.discovery\.k8s\.io /);
  assert.ok(person.fix!.endsWith(` '--user=o'\\''neill; rm -rf /'`), person.fix);
  assert.match(
    rightsFinding(needed("endpointslices"), [no, no], { namespace: "ci", user: undefined }).fix!,
    /--user=USER$/,
  );
});

Deno.test("rightsFinding() only warns of rights that the program can do without", () => {
  const to = { namespace: "ci", user: USER };
  const leases = rightsFinding(needed("leases"), [yes, yes, yes, no, no, no], to);
  assert.equal(leases.result, "warning");
  assert.match(leases.found, /^no right to create, update, delete: the proxy works only while no other/);
  const pods = rightsFinding(needed("pods"), [no], to);
  assert.equal(pods.result, "warning");
  assert.match(pods.fix!, /--resource=pods && /);
  assert.equal(rightsFinding(needed("pods/portforward", "fallback"), [no, no], to).result, "warning");
  assert.equal(rightsFinding(needed("pods/portforward", "always"), [yes, no], to).result, "failed");
});

Deno.test("rightsFinding() has checked nothing where the API server does not tell", () => {
  const to = { namespace: "ci", user: USER };
  const unread: Read<boolean> = { is: "unread", why: "it is busy" };
  assert.deepEqual(rightsFinding(needed("endpointslices"), [yes, unread], to), {
    check: "rights to endpointslices",
    result: "unchecked",
    found: "it is busy",
  });
  assert.equal(rightsFinding(needed("endpointslices"), [no, unread], to).result, "failed");
  assert.equal(rightsFinding(needed("endpointslices"), [yes, { is: "absent" }], to).result, "unchecked");
});

Deno.test("rightsNeeded() of a proxy that only observes has no write of the count", () => {
  const scale = texts(rightsNeeded({ ...ONE, observe: true })).filter((text) => text.includes("/scale"));
  assert.deepEqual(scale, ["get apps/statefulsets/scale builder"]);
});
