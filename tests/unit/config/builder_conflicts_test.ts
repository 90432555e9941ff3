/**
 * Settings of many builders that do not fit together.
 *
 * @module
 */
import assert from "node:assert/strict";
import { UsageError } from "../../../lib/base/errors.ts";
import { parseSettings } from "../../../lib/config/parse_settings.ts";
import type { SettingKey } from "../../../lib/config/settings.ts";

type Flags = Partial<Record<SettingKey, string>>;

function problemsOf(flags: Flags, variables: Readonly<Record<string, string>> = {}): readonly string[] {
  try {
    parseSettings({ flags: new Map(Object.entries(flags)) as Map<SettingKey, string>, variables });
  } catch (error) {
    assert.ok(error instanceof UsageError);
    return error.problems;
  }
  return [];
}

/** Names of builders. */
function names(count: number): string {
  return Array.from({ length: count }, (_, i) => `b${i}`).join(",");
}

const ACCEPTED: readonly (readonly [what: string, flags: Flags])[] = [
  ["64 builders", { builders: names(64) }],
  ["the first builder's names in the flags of one builder", {
    builders: "gpu/c@s,a",
    stsName: "c",
    headlessServiceName: "s",
  }],
  ["flags of one builder where they are empty", { builders: "a,b", headlessServiceName: "a-headless" }],
  ["a name of 52 characters", { builders: "a".repeat(52) }],
  ["one project in two pools", {
    builders: "a,arm64/b",
    listeners: "project t=:1, project t@arm64=:2, pool arm64=:3",
  }],
  ["listeners on one port of two addresses, and on any free port", {
    listeners: "project a=127.0.0.1:1, project b=127.0.0.2:1, project c=:0, project d=:0",
  }],
  ["as many replicas as the pool may have", {
    builders: "a,b,arm64/c",
    maxReplicas: "3",
    minReplicas: "6,arm64=3",
    warm: "Mon 07:00-08:00 UTC=6; arm64/Mon 07:00-08:00 UTC=3",
  }],
  ["a minimum that the builders that are not cordoned can hold", {
    builders: "a,b,c,arm64/d",
    maxReplicas: "2",
    minReplicas: "4,arm64=0",
    warm: "Mon 07:00-08:00 UTC=4",
    cordoned: "a,d",
  }],
  ["a hard limit of the target", { sessionsPerReplica: "2", maxSessionsPerReplica: "2" }],
  ["a hard limit below the target that nobody gave", { maxSessionsPerReplica: "1" }],
  ["a hard limit without a target", { sessionsPerReplica: "0", maxSessionsPerReplica: "1" }],
  ["a target without a hard limit", { sessionsPerReplica: "9", maxSessionsPerReplica: "0" }],
  ["the one builder cordoned", { cordoned: "buildkitd" }],
];

for (const [what, flags] of ACCEPTED) {
  Deno.test(`parseSettings() takes ${what}`, () => assert.deepEqual(problemsOf(flags), []));
}

const REFUSED: readonly (readonly [what: string, flags: Flags, ...problems: readonly string[]])[] = [
  [
    "a builder twice, in another pool, too",
    { builders: "a,b@b1,a,arm64/b@b2,a@a2" },
    'Cannot use "--builders": found "a" twice, want each StatefulSet once',
    'Cannot use "--builders": found "b" twice, want each StatefulSet once',
  ],
  [
    "one Service for two builders",
    { builders: "a,b@a-headless,c@a-headless" },
    'Cannot use "--builders": found the Service "a-headless" twice, want a headless Service for each builder ' +
    "(name@service)",
  ],
  [
    "more than 64 builders",
    { builders: names(65) },
    'Cannot use "--builders": found 65 builders, want at most 64',
  ],
  [
    "builders of pools alone",
    { builders: "arm64/a,gpu/b" },
    'Cannot use "--builders": found a pool before each builder, want at least one builder without a pool, which serves ' +
    '"--listen-addr"',
  ],
  [
    "a name that Kubernetes can make no pods for",
    { builders: `a,${"b".repeat(53)}` },
    `Cannot use "--builders": found "${
      "b".repeat(53)
    }" of 53 characters, want at most 52, since the labels of a ` +
    "StatefulSet's pods have 11 more",
  ],
  ...[80, 81].map((length) => {
    const name = `${"b.".repeat(length).slice(0, length - 1)}c`;
    return [
      `a name of ${length} characters, of which it shows 80`,
      { builders: `${name}@s` },
      `Cannot use "--builders": found "${name.slice(0, 80)}${
        length > 80 ? "…" : ""
      }" of ${length} characters, want at ` +
      "most 52, since the labels of a StatefulSet's pods have 11 more",
    ] as const;
  }),
  [
    "names that are no Service's",
    { builders: "a.b,c@D" },
    'Cannot use "--builders": found the Service "a.b-headless" of "a.b", want a name of up to 63 of a-z, 0-9 and "-", ' +
    "with a letter or digit at both ends (name@service)",
    'Cannot use "--builders": found the Service "D" of "c", want a name of up to 63 of a-z, 0-9 and "-", with a letter ' +
    "or digit at both ends (name@service)",
  ],
  [
    "flags of one builder that name another one than the first",
    { builders: "a,b", stsName: "b", headlessServiceName: "b-headless" },
    'Cannot use "--sts-name" and "--builders" together: found "b" and, for the first builder, "a", want the same; or ' +
    'leave "--sts-name" out',
    'Cannot use "--headless-service-name" and "--builders" together: found "b-headless" and, for the first builder, ' +
    '"a-headless", want the same; or leave "--headless-service-name" out',
  ],
  [
    "pools that no builder is in",
    {
      builders: "a,arm64/b",
      listeners: "pool arm=:1, project t@amr64=:2, project u@amr64=:3",
      idleTimeoutMs: "1m, arm46=2m",
      readyWaitTimeoutMs: "1m, x=2m",
      queueTimeoutMs: "1m, x=2m",
      minReplicas: "0, x=1",
      sessionsPerReplica: "1, x=2",
      maxSessionsPerReplica: "1, x=1",
      warm: "x/Mon 07:00-08:00 UTC=9",
    },
    'Cannot use "--listeners": found the pool "arm", want a pool of "--builders", such as "arm/buildkitd-arm" there',
    'Cannot use "--listeners": found the pool "amr64", want a pool of "--builders": the nearest is "arm64"',
    'Cannot use "--idle-timeout": found the pool "arm46", want a pool of "--builders": the nearest is "arm64"',
    ...["--ready-wait-timeout", "--queue-timeout", "--min-replicas", "--sessions-per-replica"].map((flag) =>
      `Cannot use "${flag}": found the pool "x", want a pool of "--builders", such as "x/buildkitd-x" there`
    ),
    'Cannot use "--max-sessions-per-replica": found the pool "x", want a pool of "--builders", such as ' +
    '"x/buildkitd-x" there',
    'Cannot use "--warm": found the pool "x", want a pool of "--builders", such as "x/buildkitd-x" there',
  ],
  [
    "a pool where there is one builder",
    { idleTimeoutMs: "arm64=1m" },
    'Cannot use "--idle-timeout": found the pool "arm64", want a pool of "--builders", such as "arm64/buildkitd-arm64" ' +
    "there",
  ],
  [
    "a project and a pool with two listeners",
    {
      builders: "a,arm64/b",
      listeners: "project t=:1, pool arm64=:2, project t=:3, project t@arm64=:5, pool arm64=:4",
    },
    'Cannot use "--listeners": found "project t" twice, want one listener for it',
    'Cannot use "--listeners": found "pool arm64" twice, want one listener for it',
  ],
  [
    "one port for two listeners",
    { listeners: "project a=:1, project b=127.0.0.1:1, project c=:8080, project d=:8081" },
    'Cannot listen on both "--listen-addr" and "project c" of "--listeners": found ":8080" and ":8080", want different ' +
    "ports",
    'Cannot listen on both "--admin-addr" and "project d" of "--listeners": found ":8081" and ":8081", want different ' +
    "ports",
    'Cannot listen on both "project a" of "--listeners" and "project b" of "--listeners": found ":1" and ' +
    '"127.0.0.1:1", want different ports',
  ],
  [
    "the port of TLS for a project",
    { tlsListenAddr: ":8443", tlsCert: "c", tlsKey: "k", listeners: "project a=:8443" },
    'Cannot listen on both "--tls-listen-addr" and "project a" of "--listeners": found ":8443" and ":8443", want ' +
    "different ports",
  ],
  [
    "cordoned builders that there are not",
    { builders: "buildkitd,buildkitd-b2", cordoned: "buildkit-b2, x, buildkitd" },
    'Cannot use "--cordoned": found "buildkit-b2", want the name of a builder: the nearest is "buildkitd-b2"',
    'Cannot use "--cordoned": found "x", want the name of a builder',
  ],
  [
    "a builder that is cordoned twice",
    { builders: "buildkitd,buildkitd-b2", cordoned: "buildkitd-b2,buildkitd-b2" },
    'Cannot use "--cordoned": found "buildkitd-b2" twice, want it once',
  ],
  [
    "more replicas than one builder has",
    { minReplicas: "2", warm: "Mon 07:00-08:00 UTC=2" },
    'Cannot use "--min-replicas": found 2 replicas, want at most 1: "--max-replicas" 1 for one builder',
    'Cannot use "--warm": found 2 replicas, want at most 1: "--max-replicas" 1 for one builder',
  ],
  [
    "more replicas than a pool has",
    {
      builders: "a,arm64/b,arm64/c",
      maxReplicas: "2",
      minReplicas: "2,arm64=5",
      warm: "arm64/Mon 07:00-08:00 UTC=6",
    },
    'Cannot use "--min-replicas" for the pool "arm64": found 5 replicas, want at most 4: "--max-replicas" 2 for each of ' +
    "2 builders",
    'Cannot use "--warm" for the pool "arm64": found 6 replicas, want at most 4: "--max-replicas" 2 for each of 2 ' +
    "builders",
  ],
  [
    "more replicas than the builders that are not cordoned can hold",
    {
      builders: "a,b,arm64/c,arm64/d,arm64/e,s390x/f",
      cordoned: "a,c,f",
      maxReplicas: "2",
      minReplicas: "3,arm64=5",
      warm: "s390x/Mon 07:00-08:00 UTC=1",
    },
    'Cannot use "--min-replicas": found 3 replicas, want at most 2: "--max-replicas" 2 for one builder outside ' +
    '"--cordoned"',
    'Cannot use "--min-replicas" for the pool "arm64": found 5 replicas, want at most 4: "--max-replicas" 2 for each of ' +
    '2 builders outside "--cordoned"',
    'Cannot use "--min-replicas" for the pool "s390x": found 3 replicas, want at most 0: all builders are in "--cordoned"',
    'Cannot use "--warm" for the pool "s390x": found 1 replicas, want at most 0: all builders are in "--cordoned"',
  ],
  [
    "a hard limit below the target",
    { builders: "a,arm64/b", maxSessionsPerReplica: "3, arm64=1", sessionsPerReplica: "arm64=2" },
    'Cannot use "--max-sessions-per-replica" and "--sessions-per-replica" together: found 3 and 4, want the first at ' +
    "least as high as the second",
    'Cannot use "--max-sessions-per-replica" and "--sessions-per-replica" together for the pool "arm64": found 1 and 2, ' +
    "want the first at least as high as the second",
  ],
  [
    "a malformed list of builders, without problems that come of it",
    {
      builders: "a,,b",
      cordoned: "b",
      idleTimeoutMs: "arm64=1m",
      minReplicas: "2",
      sessionsPerReplica: "4",
      maxSessionsPerReplica: "1",
    },
    'Cannot parse "--builders": found "a,,b", want a list such as "buildkitd, buildkitd-b2, ' +
    'arm64/buildkitd-arm64@arm64-headless"',
    'Cannot use "--max-sessions-per-replica" and "--sessions-per-replica" together: found 1 and 4, want the first at ' +
    "least as high as the second",
  ],
  [
    "a malformed name of the one builder, without problems that come of it",
    { stsName: "B", cordoned: "b", minReplicas: "2" },
    'Cannot parse "--sts-name": found "B", want up to 253 of a-z, 0-9, "-" and ".", with a letter or digit at both ends ' +
    "of each part",
  ],
  [
    "a malformed name beside builders, once",
    { builders: "a,b", stsName: "B", cordoned: "c" },
    'Cannot parse "--sts-name": found "B", want up to 253 of a-z, 0-9, "-" and ".", with a letter or digit at both ends ' +
    "of each part",
    'Cannot use "--cordoned": found "c", want the name of a builder',
  ],
  [
    "a malformed count, without problems that come of it",
    { maxReplicas: "501", minReplicas: "9", sessionsPerReplica: "x", maxSessionsPerReplica: "1" },
    'Cannot parse "--max-replicas": found "501", want a whole number from 1 to 500',
    'Cannot parse "--sessions-per-replica": found "x", want a whole number from 0 to 1000000',
  ],
];

for (const [what, flags, ...problems] of REFUSED) {
  Deno.test(`parseSettings() refuses ${what}`, () => assert.deepEqual(problemsOf(flags), problems));
}

Deno.test("parseSettings() compares the variables of one builder with the first of many", () => {
  const variables = {
    AUTOSCALER_BUILDERS: "a,b",
    BUILDKITD_STATEFULSET_NAME: "a",
    BUILDKITD_HEADLESS_SERVICE_NAME: "a-headless",
  };
  assert.deepEqual(problemsOf({}, variables), []);
  assert.equal(problemsOf({}, { ...variables, BUILDKITD_STATEFULSET_NAME: "b" }).length, 1);
  assert.equal(problemsOf({}, { ...variables, BUILDKITD_STATEFULSET_NAME: "buildkitd" }).length, 1);
});

Deno.test("parseSettings() reports all problems of builders together", () => {
  const problems = problemsOf({
    builders: "a,a@b,arm64/c",
    stsName: "b",
    listeners: "project t=:8080, pool gpu=:8080",
    cordoned: "z",
    minReplicas: "9",
    maxSessionsPerReplica: "1",
    sessionsPerReplica: "4, arm64=4",
    queueTimeoutMs: "0s",
  });
  const words = [
    '"--queue-timeout": found "0s"',
    '"--listen-addr" and "project t"',
    '"--listen-addr" and "pool gpu"',
    '"project t" of "--listeners" and "pool gpu"',
    '"a" twice',
    '"--sts-name"',
    'the pool "gpu"',
    '"--cordoned"',
    '"--min-replicas": found 9',
    '"--min-replicas" for the pool "arm64"',
    '"--max-sessions-per-replica" and "--sessions-per-replica" together:',
    '"--max-sessions-per-replica" and "--sessions-per-replica" together for the pool "arm64"',
  ];
  assert.equal(problems.length, words.length, problems.join("\n"));
  for (const word of words) assert.ok(problems.some((problem) => problem.includes(word)), word);
});
