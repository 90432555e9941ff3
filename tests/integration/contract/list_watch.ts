/**
 * The contract of list and watch.
 *
 * @module
 */
import assert from "node:assert/strict";
import { assertStatus, type Clause, next, uniqueName } from "./target.ts";

/** The clauses. */
export const LIST_WATCH_CONTRACT: readonly Clause[] = [
  {
    title: "a list has a version of its own, no older than its items', and is selected by field and by label",
    async run(contract) {
      const label = uniqueName("l");
      const one = await contract.statefulSet({ contract: label });
      await contract.statefulSet();
      const path = contract.path("statefulsets");
      for (
        const selector of [
          `fieldSelector=metadata.name%3D${one.metadata.name}`,
          `labelSelector=contract%3D${label}`,
          `labelSelector=contract+in+(${label},other)`,
        ]
      ) {
        const list = await contract.expect(200, contract.get(`${path}?${selector}`));
        assert.equal(list.kind, "StatefulSetList");
        assert.deepEqual(
          list.items.map((item: { metadata: { name: string } }) => item.metadata.name),
          [one.metadata.name],
        );
        assert.ok(BigInt(list.metadata.resourceVersion) >= BigInt(one.metadata.resourceVersion));
      }
    },
  },
  {
    title:
      "a watch from a list's version tells every later change once, in order, and nothing of other names",
    async run(contract) {
      const { metadata: { name } } = await contract.statefulSet();
      const fieldSelector = `metadata.name=${name}`;
      const path = contract.path("statefulsets");
      const list = await contract.expect(
        200,
        contract.get(`${path}?${new URLSearchParams({ fieldSelector })}`),
      );
      const versions: string[] = [];
      for (const manager of ["first", "second", "third"]) {
        const applied = await contract.expect(200, contract.applyScale(name, 0, { manager }));
        versions.push(applied.metadata.resourceVersion);
        await contract.statefulSet();
      }
      await contract.expect(200, contract.request("DELETE", `${path}/${name}`));
      const { resourceVersion } = list.metadata;
      const watch = await contract.watch(path, { fieldSelector, resourceVersion });
      for (const version of versions) {
        const { type, object } = await next(watch);
        assert.equal(type, "MODIFIED");
        assert.equal(object.metadata.name, name);
        assert.equal(object.metadata.resourceVersion, version);
      }
      // With the default propagation a controller manager may first mark the object; the end is the same.
      let line = await next(watch);
      while (line.type === "MODIFIED") line = await next(watch);
      assert.equal(line.type, "DELETED");
      assert.ok(BigInt(line.object.metadata.resourceVersion) > BigInt(versions.at(-1)!));
    },
  },
  {
    title: "a watch without a version begins with the objects as they are",
    async run(contract) {
      const { metadata: { name, resourceVersion } } = await contract.statefulSet();
      const fieldSelector = `metadata.name=${name}`;
      const watch = await contract.watch(contract.path("statefulsets"), { fieldSelector });
      const { type, object } = await next(watch);
      assert.equal(type, "ADDED");
      assert.equal(object.metadata.resourceVersion, resourceVersion);
    },
  },
  ...(["leases", "endpointslices"] as const).map((kind): Clause => ({
    title: `a list and a watch of ${kind} by "label in (…)" have the objects of each value, and no others`,
    async run(contract) {
      const [one, two, other] = [uniqueName("a"), uniqueName("b"), uniqueName("c")];
      const key = kind === "leases" ? "contract" : "kubernetes.io/service-name";
      const make = (value: string) =>
        kind === "leases"
          ? contract.lease({ [key]: value, kind: "proxy" })
          : contract.endpointSlice(value, { kind: "proxy" });
      const first = await make(one);
      const unwanted = await make(other);
      const second = await make(two);
      const path = contract.path(kind);
      const labelSelector = `${key} in (${one},${two}),kind=proxy`;
      const list = await contract.expect(
        200,
        contract.get(`${path}?${new URLSearchParams({ labelSelector })}`),
      );
      const namesOf = (items: readonly { metadata: { name: string } }[]) =>
        items.map(({ metadata }) => metadata.name).sort();
      assert.deepEqual(namesOf(list.items), namesOf([first, second]));

      const { resourceVersion } = list.metadata;
      const watch = await contract.watch(path, { labelSelector, resourceVersion });
      const touch = ({ metadata: { name } }: typeof first, labels: Record<string, string | null>) =>
        contract.expect(200, contract.merge(`${path}/${name}`, { metadata: { labels } }));
      await touch(unwanted, { touched: "yes" });
      await touch(second, { touched: "yes" });
      await touch(first, { [key]: two });
      await touch(first, { [key]: other });
      await touch(unwanted, { [key]: one });
      const lines = [await next(watch), await next(watch), await next(watch), await next(watch)];
      assert.deepEqual(lines.map(({ type, object }) => [type, object.metadata.name]), [
        ["MODIFIED", second.metadata.name],
        ["MODIFIED", first.metadata.name],
        ["DELETED", first.metadata.name],
        ["ADDED", unwanted.metadata.name],
      ]);
    },
  })),
  {
    title: "a watch that sees none of the changes gets a bookmark: a version to resume from, and no object",
    async run(contract) {
      const { metadata: { name, resourceVersion } } = await contract.statefulSet();
      const path = contract.path("statefulsets");
      const fieldSelector = `metadata.name=${name}`;
      // A real server sends one 2 s before the time-out, and none that is no newer than where the watch began.
      const query = { fieldSelector, resourceVersion, allowWatchBookmarks: "true", timeoutSeconds: "5" };
      const bookmarks = await contract.watch(path, query);
      await contract.statefulSet();
      const { type, object } = await next(bookmarks);
      assert.equal(type, "BOOKMARK");
      assert.equal(object.kind, "StatefulSet");
      assert.equal(object.metadata.name, undefined);
      const bookmark = object.metadata.resourceVersion;
      assert.ok(BigInt(bookmark) > BigInt(resourceVersion));
      const watch = await contract.watch(path, { fieldSelector, resourceVersion: bookmark });
      const applied = await contract.expect(200, contract.applyScale(name, 0, { manager: "later" }));
      const line = await next(watch);
      assert.equal(line.type, "MODIFIED");
      assert.equal(line.object.metadata.resourceVersion, applied.metadata.resourceVersion);
    },
  },
  {
    title: "timeoutSeconds ends a watch cleanly",
    async run(contract) {
      const { metadata: { name, resourceVersion } } = await contract.statefulSet();
      const query = { fieldSelector: `metadata.name=${name}`, resourceVersion, timeoutSeconds: "1" };
      const watch = await contract.watch(contract.path("statefulsets"), query);
      assert.deepEqual(await watch.next(), { done: true, value: undefined });
    },
  },
  {
    title: "a watch from a version that is no longer kept is told 410 Expired",
    needs: "expiredVersion",
    async run(contract) {
      await contract.statefulSet();
      const resourceVersion = contract.target.expiredVersion!;
      const watch = await contract.watch(contract.path("statefulsets"), { resourceVersion });
      const { type, object } = await next(watch);
      assert.equal(type, "ERROR");
      assertStatus(object, 410, "Expired");
      assert.match(object.message, /too old resource version: \d+ \(\d+\)/);
      assert.equal((await watch.next()).done, true);
    },
  },
  {
    title: "a write to /status changes the version, neither the generation nor the spec",
    async run(contract) {
      const before = await contract.statefulSet();
      const path = contract.path("statefulsets", before.metadata.name);
      const body = {
        ...before,
        spec: { ...before.spec, replicas: 5 },
        status: { ...before.status, replicas: 0, readyReplicas: 0, collisionCount: 7 },
      };
      const after = await contract.expect(200, contract.request("PUT", `${path}/status`, body));
      assert.equal(after.spec.replicas, 0);
      assert.equal(after.status.collisionCount, 7);
      assert.equal(after.metadata.generation, before.metadata.generation);
      assert.ok(BigInt(after.metadata.resourceVersion) > BigInt(before.metadata.resourceVersion));
    },
  },
  {
    title: "what is not there is a 404 Status, object and path",
    async run(contract) {
      const missing = await contract.expect(404, contract.get(contract.path("statefulsets", "missing")));
      assertStatus(missing, 404, "NotFound");
      assert.equal(missing.message, `statefulsets.apps "missing" not found`);
      assert.deepEqual(missing.details, { name: "missing", group: "apps", kind: "statefulsets" });
    },
  },
];
