/**
 * The contract of `/scale`: versions, conflicts and ownership. The scale-down agreement rests on these.
 *
 * @module
 */
import assert from "node:assert/strict";
import { assertStatus, type Clause, type Contract, unchangedInOneTry, uniqueName } from "./target.ts";

const scalePath = (contract: Contract, name: string) => contract.path("statefulsets", name, "scale");

/** A Scale that was read, with another count. */
// deno-lint-ignore no-explicit-any -- whatever the server sent
const withCount = (scale: any, replicas: number) => ({ ...scale, spec: { replicas } });

/** Applies the present count with the version it was read at. After a conflict: reads again, under a new name. */
async function claim(contract: Contract, name: string, count: number) {
  for (let tries = 0; tries < 5; tries++) {
    const { metadata } = await contract.atRest(name);
    const version = metadata.resourceVersion;
    const answer = await contract.applyScale(name, count, { manager: uniqueName("claim"), version });
    if (answer.status === 409) continue;
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return { metadata, applied: answer.body };
  }
  throw new Error("A controller was faster at every try");
}

/** Gives up a manager's share of the count, on condition of the version, and reads again after a conflict. */
async function giveUp(contract: Contract, name: string, manager: string) {
  for (let tries = 0; tries < 5; tries++) {
    const { metadata: before } = await contract.atRest(name);
    const version = before.resourceVersion;
    const answer = await contract.applyScale(name, undefined, { manager, version });
    if (answer.status === 409) continue;
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return { before, given: answer.body };
  }
  throw new Error("A controller was faster at every try");
}

/** Who owns the count, by `managedFields`. */
async function ownersOf(contract: Contract, name: string) {
  const { metadata } = await contract.expect(200, contract.get(contract.path("statefulsets", name)));
  return metadata.managedFields
    .filter((entry: { fieldsV1: { "f:spec"?: { "f:replicas"?: unknown } } }) =>
      entry.fieldsV1["f:spec"]?.["f:replicas"] !== undefined
    )
    .map(({ manager, operation, subresource }: Record<string, string>) => ({
      manager,
      operation,
      subresource,
    }));
}

/** The clauses. */
export const SCALE_CONTRACT: readonly Clause[] = [
  {
    title: "GET /scale shows the version, uid and count of the StatefulSet",
    async run(contract) {
      const { metadata: { name, uid, resourceVersion } } = await contract.statefulSet();
      const scale = await contract.expect(200, contract.get(scalePath(contract, name)));
      assert.equal(scale.apiVersion, "autoscaling/v1");
      assert.equal(scale.kind, "Scale");
      assert.equal(scale.metadata.uid, uid);
      assert.equal(scale.metadata.resourceVersion, resourceVersion);
      assert.equal(scale.spec.replicas ?? 0, 0, "a count of 0 may be left out");
      assert.equal(scale.status.replicas, 0);
      assert.equal(scale.status.selector, `contract=${name}`);
    },
  },
  {
    title: "PUT /scale with the version that was read writes the count, under a new version and generation",
    async run(contract) {
      const before = await contract.statefulSet();
      const { name } = before.metadata;
      const read = await contract.expect(200, contract.get(scalePath(contract, name)));
      const put = await contract.expect(
        200,
        contract.request("PUT", scalePath(contract, name), withCount(read, 1)),
      );
      assert.equal(put.spec.replicas, 1);
      assert.ok(BigInt(put.metadata.resourceVersion) > BigInt(before.metadata.resourceVersion));
      const after = await contract.expect(200, contract.get(contract.path("statefulsets", name)));
      assert.equal(after.spec.replicas, 1);
      assert.equal(after.metadata.generation, before.metadata.generation + 1);
    },
  },
  {
    title: "PUT /scale with a stale version is a 409 Conflict and changes nothing",
    async run(contract) {
      const { metadata: { name } } = await contract.statefulSet();
      const read = await contract.expect(200, contract.get(scalePath(contract, name)));
      await contract.expect(200, contract.applyScale(name, 0, { manager: uniqueName("m") }));
      const refused = await contract.expect(
        409,
        contract.request("PUT", scalePath(contract, name), withCount(read, 3)),
      );
      assertStatus(refused, 409, "Conflict");
      assert.match(refused.message, /Operation cannot be fulfilled on statefulsets\.apps "/);
      const after = await contract.expect(200, contract.get(contract.path("statefulsets", name)));
      assert.equal(after.spec.replicas, 0);
    },
  },
  {
    title: "PUT and merge patch that change nothing leave the version alone",
    async run(contract) {
      const { metadata: { name } } = await contract.statefulSet();
      const path = scalePath(contract, name);
      // Not at 0: a Scale leaves that out, and a PUT then gives up the ownership of the field.
      await contract.expect(200, contract.merge(path, { spec: { replicas: 1 } }));
      await unchangedInOneTry(async () => {
        await contract.atRest(name);
        const read = await contract.expect(200, contract.get(path));
        const { status, body } = await contract.request("PUT", path, read);
        return status === 200 && body.metadata.resourceVersion === read.metadata.resourceVersion;
      });
      await unchangedInOneTry(async () => {
        const read = await contract.expect(200, contract.get(path));
        const merged = await contract.expect(200, contract.merge(path, { spec: { replicas: 1 } }));
        return merged.metadata.resourceVersion === read.metadata.resourceVersion;
      });
    },
  },
  {
    title: "PUT of 0 leaves the count without an owner",
    async run(contract) {
      const { metadata: { name } } = await contract.statefulSet();
      await contract.expect(200, contract.applyScale(name, 1, { manager: uniqueName("m") }));
      assert.equal((await ownersOf(contract, name)).length, 1);
      const path = scalePath(contract, name);
      const { status } = await contract.request("PUT", path, {
        apiVersion: "autoscaling/v1",
        kind: "Scale",
        metadata: { name },
        spec: { replicas: 0 },
      });
      assert.equal(status, 200);
      assert.deepEqual(await ownersOf(contract, name), []);
    },
  },
  {
    title: "merge patch of /scale with a stale version in its body is a 409 Conflict",
    async run(contract) {
      const { metadata: { name, resourceVersion } } = await contract.statefulSet();
      await contract.expect(200, contract.applyScale(name, 0, { manager: uniqueName("m") }));
      const body = { metadata: { resourceVersion }, spec: { replicas: 2 } };
      assertStatus(
        await contract.expect(409, contract.merge(scalePath(contract, name), body)),
        409,
        "Conflict",
      );
    },
  },
  ...[0, 1].flatMap((count): Clause[] => [
    {
      title:
        `apply of an unchanged count of ${count} by a new manager changes the version, not the generation`,
      async run(contract) {
        const { metadata: { name } } = await contract.statefulSet();
        await contract.expect(200, contract.merge(scalePath(contract, name), { spec: { replicas: count } }));
        const { metadata, applied } = await claim(contract, name, count);
        assert.ok(BigInt(applied.metadata.resourceVersion) > BigInt(metadata.resourceVersion));
        const after = await contract.expect(200, contract.get(contract.path("statefulsets", name)));
        assert.ok(BigInt(after.metadata.resourceVersion) >= BigInt(applied.metadata.resourceVersion));
        assert.equal(after.metadata.generation, metadata.generation);
      },
    },
    {
      title: `apply of the same count of ${count} by the same manager again changes nothing`,
      async run(contract) {
        const { metadata: { name } } = await contract.statefulSet();
        const manager = uniqueName("claim");
        await contract.expect(200, contract.applyScale(name, count, { manager }));
        await unchangedInOneTry(async () => {
          const first = await contract.expect(200, contract.get(scalePath(contract, name)));
          const second = await contract.expect(200, contract.applyScale(name, count, { manager }));
          return first.metadata.resourceVersion === second.metadata.resourceVersion;
        });
      },
    },
  ]),
  {
    title: "apply with a stale version in its body is a 409 Conflict, forced or not",
    async run(contract) {
      const { metadata: { name, resourceVersion: version } } = await contract.statefulSet();
      await contract.expect(200, contract.applyScale(name, 0, { manager: uniqueName("m") }));
      for (const force of [true, false]) {
        const claim = { manager: uniqueName("claim"), version, force };
        assertStatus(await contract.expect(409, contract.applyScale(name, 0, claim)), 409, "Conflict");
      }
    },
  },
  {
    title: "apply of another count conflicts with its owner, and takes the field when forced",
    async run(contract) {
      const { metadata: { name } } = await contract.statefulSet();
      await contract.expect(200, contract.applyScale(name, 0, { manager: "first" }));
      const refused = await contract.expect(
        409,
        contract.applyScale(name, 1, { manager: "second", force: false }),
      );
      assertStatus(refused, 409, "Conflict");
      assert.ok(
        refused.details.causes.some((cause: { reason: string; field: string }) =>
          cause.reason === "FieldManagerConflict" && cause.field === ".spec.replicas"
        ),
      );
      const taken = await contract.expect(200, contract.applyScale(name, 1, { manager: "second" }));
      assert.equal(taken.spec.replicas, 1);
    },
  },
  {
    title: "apply to /scale leaves the owner of the count visible in managedFields",
    async run(contract) {
      const { metadata: { name } } = await contract.statefulSet();
      const manager = uniqueName("claim");
      await contract.expect(200, contract.applyScale(name, 1, { manager }));
      assert.deepEqual(await ownersOf(contract, name), [{
        manager,
        operation: "Apply",
        subresource: "scale",
      }]);
    },
  },
  {
    title:
      "apply without a spec gives up the applier's share of the count, and another applier keeps the count",
    async run(contract) {
      const { metadata: { name } } = await contract.statefulSet();
      const [one, two] = [uniqueName("claim"), uniqueName("claim")];
      for (const manager of [one, two]) {
        await contract.expect(200, contract.applyScale(name, 1, { manager }));
      }
      assert.equal((await ownersOf(contract, name)).length, 2);
      const { before, given } = await giveUp(contract, name, one);
      assert.equal(given.spec.replicas, 1);
      assert.ok(BigInt(given.metadata.resourceVersion) > BigInt(before.resourceVersion));
      const after = await contract.expect(200, contract.get(contract.path("statefulsets", name)));
      assert.equal(after.spec.replicas, 1);
      assert.equal(after.metadata.generation, before.generation);
      assert.deepEqual(await ownersOf(contract, name), [{
        manager: two,
        operation: "Apply",
        subresource: "scale",
      }]);
    },
  },
  {
    title: "apply without a spec by the only applier would take the count away, and a dry run says so",
    async run(contract) {
      const { metadata: { name } } = await contract.statefulSet();
      const manager = uniqueName("claim");
      await contract.expect(200, contract.applyScale(name, 1, { manager }));
      const dry = await contract.expect(
        200,
        contract.applyScale(name, undefined, { manager, dryRun: true }),
      );
      assert.equal(dry.spec.replicas ?? 0, 0);
      const after = await contract.expect(200, contract.get(contract.path("statefulsets", name)));
      assert.equal(after.spec.replicas, 1);
    },
  },
  {
    title: "apply without a spec with a stale version in its body is a 409 Conflict",
    async run(contract) {
      const { metadata: { name, resourceVersion: version } } = await contract.statefulSet();
      const [one, two] = [uniqueName("claim"), uniqueName("claim")];
      for (const manager of [one, two]) {
        await contract.expect(200, contract.applyScale(name, 1, { manager }));
      }
      const refused = await contract.expect(
        409,
        contract.applyScale(name, undefined, { manager: one, version }),
      );
      assertStatus(refused, 409, "Conflict");
      assert.equal((await ownersOf(contract, name)).length, 2);
    },
  },
  {
    title: "apply without a field manager is a 422, without a kind a 400",
    async run(contract) {
      const { metadata: { name } } = await contract.statefulSet();
      assertStatus(await contract.expect(422, contract.applyScale(name, 0, {})), 422, "Invalid");
      const path = `${scalePath(contract, name)}?fieldManager=x&force=true`;
      const body = { apiVersion: "autoscaling/v1", metadata: { name }, spec: { replicas: 0 } };
      const answer = contract.request("PATCH", path, body, "application/apply-patch+yaml");
      assertStatus(await contract.expect(400, answer), 400, "BadRequest");
    },
  },
  {
    title: "a negative count is a 422 Invalid that names the field, however it is written",
    async run(contract) {
      const { metadata: { name } } = await contract.statefulSet();
      const path = scalePath(contract, name);
      const read = await contract.expect(200, contract.get(path));
      for (
        const answer of [
          contract.request("PUT", path, withCount(read, -1)),
          contract.merge(path, { spec: { replicas: -1 } }),
          contract.applyScale(name, -1, { manager: "x" }),
        ]
      ) {
        const refused = await contract.expect(422, answer);
        assertStatus(refused, 422, "Invalid");
        assert.match(
          refused.message,
          /spec\.replicas: Invalid value: -1: must be greater than or equal to 0/,
        );
      }
    },
  },
  {
    title: "/scale of a StatefulSet that is not there is a 404 for every verb",
    async run(contract) {
      const path = scalePath(contract, "missing");
      const body = {
        apiVersion: "autoscaling/v1",
        kind: "Scale",
        metadata: { name: "missing" },
        spec: { replicas: 1 },
      };
      for (
        const answer of [
          contract.get(path),
          contract.request("PUT", path, body),
          contract.merge(path, { spec: { replicas: 1 } }),
          contract.applyScale("missing", 1, { manager: "x" }),
        ]
      ) {
        const refused = await contract.expect(404, answer);
        assertStatus(refused, 404, "NotFound");
        assert.equal(refused.message, `statefulsets.apps "missing" not found`);
      }
    },
  },
];
