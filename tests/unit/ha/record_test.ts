/** Tests of what a record says, and of what is made of one that says something else. @module */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  keptOf,
  leaseMetadata,
  leaseName,
  parseRecord,
  type RecordBody,
  recordKey,
  recordKeyOf,
  recordLease,
  recordSelector,
  recordsSelector,
} from "../../../lib/ha/record.ts";
import type { Lease } from "../../../lib/kube/types.ts";
import { parseLabelSelector } from "../../../lib/miniature/selectors.ts";
import { BUSY, leaseOf, TARGET, versionOf } from "../../support/ha.ts";

const PREFIX = "buildkitd-autoscaler.earthbuild.dev";

const bodies = fc.record({
  inUse: fc.array(fc.record({ ordinal: fc.nat(9), busy: fc.boolean(), idleMs: fc.nat() }), { maxLength: 3 }),
  needing: fc.nat(99),
  neededMs: fc.option(fc.nat()),
  knowsForMs: fc.nat(),
  answers: fc.dictionary(fc.stringMatching(/^[a-z0-9]{12}$/), fc.nat()),
  announcement: fc.option(
    fc.record({ generation: fc.nat(), below: fc.nat(9), version: fc.stringMatching(/^[1-9][0-9]{0,25}$/) }),
  ),
}) as fc.Arbitrary<RecordBody>;

Deno.test("parseRecord() reads what recordLease() writes", () => {
  fc.assert(fc.property(bodies, fc.integer({ min: 1, max: 3600 }), (made, seconds) => {
    const body: RecordBody = JSON.parse(JSON.stringify(made)); // plain objects
    const lease = recordLease(TARGET, {
      identity: "abc",
      podUid: "pod",
      expiryMs: seconds * 1000,
      renewed: "2024-01-01T00:00:00.000000Z",
      body,
    });
    const read = parseRecord(JSON.parse(JSON.stringify(lease)), TARGET);
    assert.deepEqual({ ...read, lease: undefined }, {
      lease: undefined,
      identity: "abc",
      podUid: "pod",
      expiryMs: seconds * 1000,
      body,
    });
  }));
});

Deno.test("parseRecord() rounds an expiry up, so that no proxy counts as dead too early", () => {
  assert.equal(parseRecord(leaseOf("a", BUSY, { expiryMs: 10_001 }), TARGET)?.expiryMs, 11_000);
});

Deno.test("parseRecord() ignores the record of another StatefulSet of the same name, and one without labels", () => {
  assert.equal(parseRecord(leaseOf("a", BUSY, { target: { ...TARGET, uid: "sts-0" } }), TARGET), undefined);
  assert.equal(parseRecord({ metadata: { name: "x" }, spec: {} }, TARGET), undefined);
  assert.equal(parseRecord({}, TARGET), undefined);
});

function withRecord(text: string | undefined, format: string | undefined = "1"): Lease {
  const lease = leaseOf("a");
  const annotations = {
    ...(format === undefined ? {} : { [`${PREFIX}/format`]: format }),
    ...(text === undefined ? {} : { [`${PREFIX}/record`]: text }),
  };
  return { ...lease, metadata: { ...lease.metadata, annotations } };
}

Deno.test("parseRecord() keeps a record that it cannot read, with nothing that it says", () => {
  const good = JSON.stringify(BUSY);
  assert.notEqual(parseRecord(withRecord(good), TARGET)?.body, undefined);
  const cases: readonly Lease[] = [
    withRecord(good, "2"),
    withRecord(good, ""),
    withRecord(undefined),
    withRecord(""),
    withRecord("{"),
    withRecord("null"),
    withRecord("[]"),
    withRecord('"text"'),
    withRecord("{}"),
    ...[
      { inUse: null },
      { inUse: [null] },
      { inUse: [{ ordinal: -1, busy: true, idleMs: 0 }] },
      { inUse: [{ ordinal: 0.5, busy: true, idleMs: 0 }] },
      { inUse: [{ ordinal: 0, busy: "yes", idleMs: 0 }] },
      { inUse: [{ ordinal: 0, busy: false, idleMs: -1 }] },
      { inUse: [{ ordinal: 0, busy: false, idleMs: "1" }] },
      { needing: -1 },
      { needing: null },
      { neededMs: "1" },
      { knowsForMs: -1 },
      { answers: null },
      { answers: { other: "1" } },
      { announcement: {} },
      { announcement: { generation: 1, below: -1, version: "1" } },
      { announcement: { generation: 1, below: 0, version: 1 } },
      { announcement: undefined },
      { announcement: 1 },
      { announcement: { generation: 0.5, below: 0, version: "1" } },
      { announcement: { generation: 1, below: 0.5, version: "1" } },
      { announcement: { generation: 1, below: null, version: "1" } },
      { answers: 5 },
      { answers: { other: 0.5 } },
      { answers: { other: 1, another: -1 } },
      { inUse: {} },
      { inUse: [{ ordinal: 0, busy: true }] },
      { inUse: [{ busy: true, idleMs: 0 }] },
      { inUse: [...BUSY.inUse, { ordinal: 1, idleMs: 0 }] },
      { needing: 0.5 },
      { neededMs: -1 },
      { neededMs: undefined },
      { knowsForMs: null },
    ].map((change) => withRecord(JSON.stringify({ ...BUSY, ...change }))),
  ];
  for (const lease of cases) {
    const read = parseRecord(lease, TARGET);
    assert.equal(read?.identity, "a");
    assert.equal(read?.body, undefined, JSON.stringify(lease.metadata?.annotations));
  }
});

Deno.test("parseRecord() reads a record whose numbers are all zero, and one with fields that it does not know", () => {
  const zero: RecordBody = {
    inUse: [{ ordinal: 0, busy: false, idleMs: 0 }],
    needing: 0,
    neededMs: 0,
    knowsForMs: 0,
    answers: { other: 0 },
    announcement: { generation: 0, below: 0, version: "0" },
  };
  assert.deepEqual(parseRecord(withRecord(JSON.stringify(zero)), TARGET)?.body, zero);
  const newer = { ...zero, more: true };
  assert.deepEqual(parseRecord(withRecord(JSON.stringify(newer)), TARGET)?.body, newer);
});

Deno.test("parseRecord() finds any JSON either readable or not, and never throws", () => {
  fc.assert(fc.property(fc.json(), (text) => void parseRecord(withRecord(text), TARGET)));
});

Deno.test("parseRecord() takes a record that does not say how long it is good for to be good for an hour", () => {
  const { metadata } = leaseOf("a");
  assert.equal(parseRecord({ metadata: metadata! }, TARGET)?.expiryMs, 3_600_000);
  assert.equal(parseRecord({ metadata: metadata!, spec: {} }, TARGET)?.identity, metadata?.name);
});

Deno.test("recordLease(): names and labels stay within the limits of the API, whatever the StatefulSet is called", () => {
  // RFC 1123 subdomains, as a StatefulSet may be called.
  const names = fc.array(fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/), {
    minLength: 1,
    maxLength: 8,
  })
    .map((parts) => parts.join(".").slice(0, 253).replace(/[^a-z0-9]+$/, ""));
  const check = (name: string) => {
    const target = { ...TARGET, name };
    const { metadata } = leaseOf("abcdefghijkl", BUSY, { target });
    assert.ok(metadata!.name!.length <= 253, metadata!.name);
    assert.match(metadata!.name!, /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);
    assert.doesNotMatch(metadata!.name!, /\.-|-\.|\.\./, "no part of a name may begin or end with a dash");
    for (const [key, value] of Object.entries(metadata!.labels!)) {
      assert.ok(key.split("/")[1]!.length <= 63);
      assert.ok(value.length <= 63, value);
      assert.match(value, /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/);
    }
    const wanted = recordSelector(target).split(",").map((pair) => pair.split("="));
    for (const [key, value] of wanted) assert.equal(metadata!.labels![key!], value);
  };
  fc.assert(fc.property(names, check), { numRuns: 500 });
  for (const length of [1, 60, 63, 64, 200, 230, 240, 250, 253]) check("b".repeat(length));
  for (const length of [64, 230, 253]) check(`${"b.".repeat(length / 2 - 1)}bb`);
});

Deno.test("leaseName() and recordSelector() never change: during an upgrade proxies of both versions have to find the same Leases", () => {
  const b = (length: number) => "b".repeat(length);
  // The numbers are FNV-1a of the whole name, in 32 bits.
  const leases: readonly (readonly [name: string, lease: string])[] = [
    ["b", "b-x"],
    [b(251), `${b(251)}-x`],
    [b(252), `${b(229)}-09204645-x`],
    [`${b(228)}.-cc${"d".repeat(21)}`, `${b(228)}-07f0f4d2-x`],
  ];
  for (const [name, lease] of leases) assert.equal(leaseName(name, "x"), lease);
  const labels: readonly (readonly [name: string, label: string])[] = [
    ["b", "b"],
    [b(63), b(63)],
    [b(64), `${b(50)}-d237d5c5`],
    [`${b(64)}151`, `${b(50)}-0f4dcbce`],
    [`${b(48)}-.c${"d".repeat(30)}`, `${b(48)}-49a40483`],
  ];
  for (const [name, label] of labels) {
    assert.equal(recordSelector({ name }), `${PREFIX}/statefulset=${label},${PREFIX}/kind=proxy`);
  }
  assert.deepEqual(leaseMetadata(TARGET, "lease", "election"), {
    name: "lease",
    namespace: "n",
    labels: {
      "app.kubernetes.io/managed-by": "buildkitd-autoscaler",
      [`${PREFIX}/kind`]: "election",
      [`${PREFIX}/statefulset`]: "buildkitd",
      [`${PREFIX}/statefulset-uid`]: "sts-1",
    },
    ownerReferences: [{ apiVersion: "apps/v1", kind: "StatefulSet", name: "buildkitd", uid: "sts-1" }],
  });
  const { metadata, spec } = leaseOf("a", BUSY, { podUid: "pod-a" });
  assert.equal(metadata?.name, "buildkitd-proxy-a");
  assert.deepEqual(metadata?.annotations, {
    [`${PREFIX}/format`]: "1",
    [`${PREFIX}/record`]: JSON.stringify(BUSY),
    [`${PREFIX}/pod-uid`]: "pod-a",
  });
  assert.deepEqual(spec, {
    holderIdentity: "a",
    leaseDurationSeconds: 300,
    renewTime: "2024-01-01T00:00:00.000000Z",
  });
});

Deno.test("recordLease(): long names that differ only in the end do not share a Lease or a label", () => {
  const [a, b] = ["a", "b"].map((end) =>
    leaseOf("x", BUSY, { target: { ...TARGET, name: "b".repeat(252) + end } })
  );
  assert.notEqual(a!.metadata!.name, b!.metadata!.name);
  assert.notDeepEqual(a!.metadata!.labels, b!.metadata!.labels);
});

Deno.test("recordLease() and the election's Lease are owned by the StatefulSet, and only the record is found by its selector", () => {
  const election = leaseMetadata(TARGET, leaseName(TARGET.name, "autoscaler-leader"), "election");
  const owner = { apiVersion: "apps/v1", kind: "StatefulSet", name: TARGET.name, uid: TARGET.uid };
  assert.deepEqual(election.ownerReferences, [owner]);
  assert.deepEqual(leaseOf("a").metadata!.ownerReferences, [owner]);
  assert.notEqual(election.labels![`${PREFIX}/kind`], leaseOf("a").metadata!.labels![`${PREFIX}/kind`]);
});

Deno.test("parseRecord() passes over numbers of sessions that are none: the agreement does not depend on them", () => {
  const good = { ...BUSY, sessions: { 0: 3 }, queuedMs: 0 };
  assert.deepEqual(parseRecord(withRecord(JSON.stringify(good)), TARGET)?.body, good);
  for (const sessions of [null, 3, { 0: -1 }, { 0: 0.5 }, { x: 1 }, { 0: "1" }]) {
    const { body } = parseRecord(withRecord(JSON.stringify({ ...good, sessions })), TARGET)!;
    assert.deepEqual(body, { ...BUSY, queuedMs: 0 }, JSON.stringify(sessions));
  }
  for (const queuedMs of [null, -1, "1"]) {
    const { body } = parseRecord(withRecord(JSON.stringify({ ...good, queuedMs })), TARGET)!;
    assert.deepEqual(body, { ...BUSY, sessions: { 0: 3 } }, JSON.stringify(queuedMs));
  }
});

Deno.test("recordsSelector() finds the records of all, and recordKeyOf() tells whose each is", () => {
  const targets = ["b", "c".repeat(64)].map((name) => ({ ...TARGET, name }));
  const matches = parseLabelSelector(recordsSelector(targets.map(({ name }) => name)));
  for (const target of [...targets, TARGET]) {
    const lease = leaseOf("a", BUSY, { target });
    assert.equal(matches(lease as never), target !== TARGET, target.name);
    assert.equal(recordKeyOf(lease), recordKey(target));
  }
  assert.equal(recordsSelector(["b"]), recordSelector({ name: "b" }));
  assert.equal(recordKeyOf({}), undefined);
});

Deno.test("keptOf() keeps what a record says and what deletes it, and nothing that is longer than a proxy writes it", () => {
  const big = "x".repeat(1_000_000);
  const { metadata, spec } = versionOf(leaseOf("a", BUSY, { podUid: "pod" }), 5);
  const lease = { metadata: { ...metadata, labels: { ...metadata!.labels, big } }, spec: spec! };
  assert.deepEqual(parseRecord(keptOf(lease), TARGET), parseRecord(lease, TARGET));
  assert.equal(recordKeyOf(keptOf(lease)), recordKey(TARGET));
  assert.deepEqual(keptOf(lease).metadata!.uid, "uid-1");
  const forged: Lease = {
    metadata: {
      ...metadata,
      managedFields: [{ manager: big }],
      annotations: Object.fromEntries(
        [...Object.keys(metadata!.annotations!), "big"].map((name) => [name, big]),
      ),
    },
    spec: { ...spec, holderIdentity: big },
  };
  assert.ok(JSON.stringify(keptOf(forged)).length < 1_000);
  assert.equal(parseRecord(forged, TARGET)!.body, undefined);
  // 500 pods, which is the most that a proxy may start, with sessions on each.
  const inUse = Array.from(
    { length: 500 },
    (_, ordinal) => ({ ordinal, busy: false, idleMs: 12_345_678.123456 }),
  );
  const sessions = Object.fromEntries(inUse.map(({ ordinal }) => [ordinal, 1_000]));
  const full = { ...BUSY, inUse, sessions };
  assert.deepEqual(parseRecord(leaseOf("a", full), TARGET)!.body, full);
});
