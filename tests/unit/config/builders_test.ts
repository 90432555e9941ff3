/**
 * Builders, pools and listeners: how they are written, and what the settings make of them.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { builderList, builderNames, doorList, doorName } from "../../../lib/config/builder_list.ts";
import { doorsOf, poolsOf, sharesOf, warmOf } from "../../../lib/config/builders.ts";
import { parseSettings } from "../../../lib/config/parse_settings.ts";
import type { SettingKey, Settings } from "../../../lib/config/settings.ts";

function parse(flags: Partial<Record<SettingKey, string>>): Settings {
  return parseSettings({ flags: new Map(Object.entries(flags)) as Map<SettingKey, string>, variables: {} });
}

Deno.test("builderList takes names, with a pool before them and a Service after them", () => {
  assert.deepEqual(builderList.parse("a, b.c@svc ,arm64/d, gpu/e@f"), [
    { pool: "", name: "a", service: "a-headless" },
    { pool: "", name: "b.c", service: "svc" },
    { pool: "arm64", name: "d", service: "d-headless" },
    { pool: "gpu", name: "e", service: "f" },
  ]);
});

const EXAMPLE = 'a list such as "buildkitd, buildkitd-b2, arm64/buildkitd-arm64@arm64-headless"';
const SUBDOMAIN = 'up to 253 of a-z, 0-9, "-" and ".", with a letter or digit at both ends of each part';
const LABEL = 'up to 63 of a-z, 0-9 and "-", with a letter or digit at both ends';

Deno.test("builderList says what it wants of the first bad entry", () => {
  const wrong: Readonly<Record<string, string>> = {
    "": EXAMPLE,
    "a,": EXAMPLE,
    "a,,b": EXAMPLE,
    "/a": EXAMPLE,
    "a/b/c": EXAMPLE,
    "a@": EXAMPLE,
    "a@b@c": EXAMPLE,
    "a@b/c": EXAMPLE,
    "a,Arm/b,Gpu/c": `the name of a pool, ${LABEL}, instead of "Arm"`,
    "a.b/c": `the name of a pool, ${LABEL}, instead of "a.b"`,
    "arm64/B_": `the name of a StatefulSet, ${SUBDOMAIN}, instead of "B_"`,
  };
  for (const [text, want] of Object.entries(wrong)) {
    assert.equal(builderList.parse(text), undefined, text);
    assert.equal(builderList.want(text), want, text);
  }
});

Deno.test("doorList takes projects, pools, and projects of pools", () => {
  const text = "project team-a=:8401, pool arm64 = [::1]:8373,project  team-b.ci@arm64=10.0.0.1:8402";
  assert.deepEqual(doorList.parse(text), [
    { address: { hostname: "::", port: 8401 }, project: "team-a" },
    { address: { hostname: "::1", port: 8373 }, pool: "arm64" },
    { address: { hostname: "10.0.0.1", port: 8402 }, project: "team-b.ci", pool: "arm64" },
  ]);
  const [first, second, third] = doorList.parse(text)!;
  assert.deepEqual([first, second, third].map((door) => doorName(door!)), [
    "project team-a",
    "pool arm64",
    "project team-b.ci@arm64",
  ]);
});

Deno.test("doorList says what it wants of the first bad entry", () => {
  const example = 'a list such as "project team-a=:8401, pool arm64=:8373, project team-b@arm64=:8402"';
  const wrong: Readonly<Record<string, string>> = {
    "": example,
    "team-a=:1": example,
    "project=:1": example,
    "project a": example,
    "projects a=:1": example,
    "project a@=:1": example,
    "pool a@b=:1": example,
    "project a=:1,": example,
    "project a=:1 pool b=:2": example,
    "project a=:1, project Team_A=:2": `the name of a project, ${SUBDOMAIN}, instead of "Team_A"`,
    "project a@B=:1": `the name of a pool, ${LABEL}, instead of "B"`,
    "pool a.b=:1": `the name of a pool, ${LABEL}, instead of "a.b"`,
    "project a=8401": 'an address such as ":8401" instead of "8401"',
    "pool a=:http": 'an address such as ":8401" instead of ":http"',
    [`project ${"a.".repeat(127)}a=:1`]: `the name of a project, ${SUBDOMAIN}, instead of "${
      "a.".repeat(20)
    }"`,
  };
  for (const [text, want] of Object.entries(wrong)) {
    assert.equal(doorList.parse(text), undefined, text);
    assert.equal(doorList.want(text), want, text);
  }
});

Deno.test("lists of builders and listeners parse what they have formatted", () => {
  const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?$/);
  const option = { noNullPrototype: true, requiredKeys: ["address"] } as const;
  const builders = fc.array(
    fc.record({ pool: fc.oneof(name, fc.constant("")), name, service: name }, { noNullPrototype: true }),
    {
      minLength: 1,
    },
  );
  fc.assert(fc.property(builders, (given) => {
    assert.deepEqual(builderList.parse(builderList.format(given)), given);
  }));
  const address = fc.record({
    hostname: fc.constantFrom("::", "::1", "10.0.0.1", "host"),
    port: fc.nat(65535),
  }, { noNullPrototype: true });
  const door = fc.record({ address, project: name, pool: name }, { ...option, requiredKeys: ["address"] })
    .filter(({ project, pool }) => project !== undefined || pool !== undefined);
  fc.assert(fc.property(fc.array(door, { minLength: 1 }), (given) => {
    assert.deepEqual(doorList.parse(doorList.format(given)), given);
  }));
  assert.deepEqual(builderNames.parse(builderNames.format(["a", "b.c"])), ["a", "b.c"]);
});

Deno.test("poolsOf() is one pool of the one builder, with the defaults, when no builders are given", () => {
  const pool = {
    name: "",
    idleTimeoutMs: 120_000,
    readyWaitTimeoutMs: 300_000,
    queueTimeoutMs: 3_600_000,
    minReplicas: 0,
    sessionsPerReplica: 4,
    maxSessionsPerReplica: 0,
    warm: [],
  };
  const builder = { name: "buildkitd", service: "buildkitd-headless", isCordoned: false };
  assert.deepEqual(poolsOf(parse({})), [{ ...pool, builders: [builder] }]);
  const named = poolsOf(parse({ stsName: "a", headlessServiceName: "b", cordoned: "a" }));
  assert.deepEqual(named[0]!.builders, [{ name: "a", service: "b", isCordoned: true }]);
});

Deno.test("poolsOf() has each pool's builders in their order, with the pool's own values", () => {
  const pools = poolsOf(parse({
    builders: "a, arm64/c@c-svc, b, arm64/d",
    cordoned: "b,d",
    idleTimeoutMs: "5m, arm64=15m",
    readyWaitTimeoutMs: "arm64=1m",
    queueTimeoutMs: "2h",
    maxReplicas: "2",
    minReplicas: "1, arm64=2",
    sessionsPerReplica: "2, arm64=0",
    maxSessionsPerReplica: "arm64=7",
    warm: "Mon 07:00-08:00 UTC=1; arm64/Tue 07:00-08:00 UTC=2; Wed 07:00-08:00 UTC=2",
  }));
  assert.deepEqual(pools.map(({ warm, ...pool }) => ({ ...pool, warm: warm.map(({ days }) => days[0]) })), [
    {
      name: "",
      builders: [
        { name: "a", service: "a-headless", isCordoned: false },
        { name: "b", service: "b-headless", isCordoned: true },
      ],
      idleTimeoutMs: 300_000,
      readyWaitTimeoutMs: 300_000,
      queueTimeoutMs: 7_200_000,
      minReplicas: 1,
      sessionsPerReplica: 2,
      maxSessionsPerReplica: 0,
      warm: [1, 3],
    },
    {
      name: "arm64",
      builders: [
        { name: "c", service: "c-svc", isCordoned: false },
        { name: "d", service: "d-headless", isCordoned: true },
      ],
      idleTimeoutMs: 900_000,
      readyWaitTimeoutMs: 60_000,
      queueTimeoutMs: 7_200_000,
      minReplicas: 2,
      sessionsPerReplica: 0,
      maxSessionsPerReplica: 7,
      warm: [2],
    },
  ]);
});

Deno.test("doorsOf() has the listeners of projects and pools alone", () => {
  assert.deepEqual(doorsOf(parse({})), []);
  const doors = doorsOf(parse({ listeners: "project a=:1" }));
  assert.deepEqual(doors, [{ address: { hostname: "::", port: 1 }, project: "a" }]);
});

Deno.test("sharesOf() gives each builder one replica in their order before a second, and cordoned ones none", () => {
  const builders = ["a", "b", "c", "d"].map((name) => ({ name, service: name, isCordoned: name === "b" }));
  const shares = (count: number, maxReplicas: number) =>
    [...sharesOf(count, builders, maxReplicas)].map(([, n]) => n);
  assert.deepEqual([...sharesOf(1, builders, 1)], [["a", 1], ["b", 0], ["c", 0], ["d", 0]]);
  assert.deepEqual(shares(0, 2), [0, 0, 0, 0]);
  assert.deepEqual(shares(2, 2), [1, 0, 1, 0]);
  assert.deepEqual(shares(4, 2), [2, 0, 1, 1]);
  assert.deepEqual(shares(5, 2), [2, 0, 2, 1]);
  assert.deepEqual(shares(8, 2), [2, 0, 2, 2], "what does not fit is left out");
  const cordoned = builders.map((builder) => ({ ...builder, isCordoned: true }));
  assert.deepEqual([...sharesOf(3, cordoned, 2).values()], [0, 0, 0, 0]);
});

Deno.test("warmOf() gives a builder its share of each window, and none of those that do not want it", () => {
  const [pool] = poolsOf(parse({
    builders: "a,b,c",
    cordoned: "b",
    maxReplicas: "2",
    warm: "Mon 07:00-08:00 UTC=1; Tue 07:00-08:00 UTC=3",
  }));
  const shares = (name: string) => warmOf(pool!, name, 2).map(({ days, count }) => [days[0], count]);
  assert.deepEqual(shares("a"), [[1, 1], [2, 2]]);
  assert.deepEqual(shares("b"), []);
  assert.deepEqual(shares("c"), [[2, 1]]);
});
