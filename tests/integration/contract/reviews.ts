/**
 * The contract of what `check` reads: reviews of the caller's own rights, and objects of the whole cluster.
 *
 * @module
 */
import assert from "node:assert/strict";
import { assertStatus, type Clause, uniqueName } from "./target.ts";

const RIGHTS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const USER = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/** The clauses. */
export const REVIEW_CONTRACT: readonly Clause[] = [
  {
    title: "a review of one's own rights allows what the caller may do, subresources and single objects too",
    async run(contract) {
      const { namespace } = contract.target;
      for (
        const attributes of [
          { verb: "list", group: "discovery.k8s.io", resource: "endpointslices" },
          { verb: "patch", group: "apps", resource: "statefulsets", subresource: "scale", name: "a" },
        ]
      ) {
        const review = await contract.expect(
          201,
          contract.request("POST", RIGHTS, {
            apiVersion: "authorization.k8s.io/v1",
            kind: "SelfSubjectAccessReview",
            spec: { resourceAttributes: { namespace, ...attributes } },
          }),
        );
        assert.equal(review.kind, "SelfSubjectAccessReview");
        assert.equal(review.status.allowed, true);
      }
    },
  },
  {
    title: "a review of oneself names the caller",
    async run(contract) {
      const body = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
      const review = await contract.expect(201, contract.request("POST", USER, body));
      assert.equal(review.kind, "SelfSubjectReview");
      assert.ok(review.status.userInfo.username.length > 0);
    },
  },
  {
    title: "an object of the whole cluster is read by its name alone: 404 NotFound without one",
    async run(contract) {
      const name = uniqueName("class");
      const storage = "/apis/storage.k8s.io/v1/storageclasses";
      const absent = await contract.expect(404, contract.get(`${storage}/${name}`));
      assertStatus(absent, 404, "NotFound");
      assert.equal((await contract.expect(200, contract.get(storage))).kind, "StorageClassList");
      const none = await contract.expect(404, contract.get(`/api/v1/namespaces/${name}`));
      assert.equal(none.message, `namespaces "${name}" not found`);
    },
  },
  {
    title: "a list by the name of an object that is absent is empty",
    async run(contract) {
      const path = `${contract.path("statefulsets")}?fieldSelector=metadata.name%3D${uniqueName("none")}`;
      assert.deepEqual((await contract.expect(200, contract.get(path))).items, []);
    },
  },
  {
    title: "an API group that is not served is a 404",
    async run(contract) {
      const path = `/apis/nobody.example.com/v1/namespaces/${contract.target.namespace}/things`;
      const response = await contract.status(path);
      assert.equal(response, 404);
    },
  },
];
