/**
 * The contract of Leases: what leader election and the proxies' records rely on.
 *
 * @module
 */
import assert from "node:assert/strict";
import { assertStatus, type Clause, next, uniqueName } from "./target.ts";

/** The clauses. */
export const LEASE_CONTRACT: readonly Clause[] = [
  {
    title: "a Lease that exists cannot be created again: 409 AlreadyExists",
    async run(contract) {
      const { metadata: { name }, spec } = await contract.lease();
      const body = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name }, spec };
      const refused = await contract.expect(409, contract.request("POST", contract.path("leases"), body));
      assertStatus(refused, 409, "AlreadyExists");
      assert.equal(refused.message, `leases.coordination.k8s.io "${name}" already exists`);
    },
  },
  {
    title: "of two updates of one version, the second is a 409 Conflict",
    async run(contract) {
      const lease = await contract.lease();
      const path = contract.path("leases", lease.metadata.name);
      const by = (holderIdentity: string) => ({ ...lease, spec: { ...lease.spec, holderIdentity } });
      const won = await contract.expect(200, contract.request("PUT", path, by("b")));
      assert.ok(BigInt(won.metadata.resourceVersion) > BigInt(lease.metadata.resourceVersion));
      assertStatus(await contract.expect(409, contract.request("PUT", path, by("c"))), 409, "Conflict");
      assert.equal((await contract.expect(200, contract.get(path))).spec.holderIdentity, "b");
    },
  },
  {
    title: "an update of a Lease must say its version: 422 without",
    async run(contract) {
      const { metadata: { name }, spec } = await contract.lease();
      const body = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name }, spec };
      const refused = await contract.expect(
        422,
        contract.request("PUT", contract.path("leases", name), body),
      );
      assertStatus(refused, 422, "Invalid");
    },
  },
  {
    title: "an update with the uid of a Lease that was deleted is a 409 Conflict, and creates nothing",
    async run(contract) {
      const lease = await contract.lease();
      const path = contract.path("leases", lease.metadata.name);
      await contract.expect(200, contract.request("DELETE", path));
      assertStatus(await contract.expect(409, contract.request("PUT", path, lease)), 409, "Conflict");
      await contract.expect(404, contract.get(path));
    },
  },
  {
    title: "an update without the uid of a Lease that was deleted creates a new one",
    async run(contract) {
      const lease = await contract.lease();
      const path = contract.path("leases", lease.metadata.name);
      await contract.expect(200, contract.request("DELETE", path));
      const { uid, ...metadata } = lease.metadata;
      const made = await contract.expect(201, contract.request("PUT", path, { ...lease, metadata }));
      assert.notEqual(made.metadata.uid, uid);
    },
  },
  {
    title: "a patch of a Lease changes what it names, and a stale version in it is a 409",
    async run(contract) {
      const lease = await contract.lease();
      const path = contract.path("leases", lease.metadata.name);
      const patched = await contract.expect(200, contract.merge(path, { spec: { holderIdentity: "b" } }));
      assert.equal(patched.spec.leaseDurationSeconds, 15);
      const { resourceVersion } = lease.metadata;
      const stale = contract.merge(path, { metadata: { resourceVersion }, spec: { holderIdentity: "c" } });
      assertStatus(await contract.expect(409, stale), 409, "Conflict");
    },
  },
  {
    title: "a delete can be bound to a version and to a uid",
    async run(contract) {
      const lease = await contract.lease();
      const path = contract.path("leases", lease.metadata.name);
      const { uid, resourceVersion: stale } = lease.metadata;
      const { metadata } = await contract.expect(
        200,
        contract.merge(path, { spec: { holderIdentity: "b" } }),
      );
      const remove = (preconditions: Record<string, string>) =>
        contract.request("DELETE", path, { apiVersion: "v1", kind: "DeleteOptions", preconditions });
      assertStatus(await contract.expect(409, remove({ resourceVersion: stale })), 409, "Conflict");
      const otherUid = "11111111-1111-4111-8111-111111111111";
      assertStatus(await contract.expect(409, remove({ uid: otherUid })), 409, "Conflict");
      await contract.expect(200, remove({ uid, resourceVersion: metadata.resourceVersion }));
      assertStatus(await contract.expect(404, remove({})), 404, "NotFound");
    },
  },
  {
    title: "a watch by label sees an object whose label goes as DELETED, and as ADDED when it comes back",
    async run(contract) {
      const label = uniqueName("l");
      const lease = await contract.lease({ contract: label });
      const path = contract.path("leases");
      const { name, resourceVersion } = lease.metadata;
      const watch = await contract.watch(path, { labelSelector: `contract=${label}`, resourceVersion });
      await contract.expect(
        200,
        contract.merge(`${path}/${name}`, { metadata: { labels: { contract: null } } }),
      );
      const back = { metadata: { labels: { contract: label } } };
      await contract.expect(200, contract.merge(`${path}/${name}`, back));
      assert.equal((await next(watch)).type, "DELETED");
      assert.equal((await next(watch)).type, "ADDED");
    },
  },
];
