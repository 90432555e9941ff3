/**
 * The rights that the chart grants: each one is used, none is missing, none more is granted than is used, and taking any
 * one away shows.
 *
 * The API server's audit log says what the program asked for. A right that the chart did not grant would show as a
 * refusal, one that nothing needs as one that was never used.
 *
 * @module
 */

import assert from "node:assert/strict";
import { CHART } from "./helm.ts";
import type { KubeObject } from "./kube_api.ts";
import { quick, RELEASE, type Release, releaseScenario } from "./release.ts";
import { until } from "./waiting.ts";

interface Role extends KubeObject {
  readonly rules: readonly {
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
    readonly resourceNames?: readonly string[];
  }[];
}

/** One verb on one resource. */
interface Right {
  readonly verb: string;
  readonly group: string;
  /** With its subresource: `statefulsets/scale`. */
  readonly resource: string;
  /** The one object that it is for, if not all. */
  readonly name: string | undefined;
}

async function role(release: Release): Promise<Role> {
  const [found, ...others] = await release.list<Role>("/apis/rbac.authorization.k8s.io/v1 roles");
  assert.ok(found !== undefined && others.length === 0, "the chart has one Role");
  return found;
}

function rightsOf({ rules }: Role): readonly Right[] {
  return rules.flatMap(({ apiGroups, resources, verbs, resourceNames = [undefined] }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        resourceNames.flatMap((name) => verbs.map((verb) => ({ verb, group, resource, name })))
      )
    )
  );
}

const text = ({ verb, group, resource }: Omit<Right, "name">) => `${verb} ${group}/${resource}`;

/** Each right that the program has asked for in the namespace. */
async function used(release: Release): Promise<ReadonlySet<string>> {
  const requests = await release.plane.requestsBy(await release.programUser());
  return new Set(requests.map(({ verb, objectRef: { apiGroup = "", resource = "", subresource } = {} }) => {
    return text({ verb, group: apiGroup, resource: subresource ? `${resource}/${subresource}` : resource });
  }));
}

releaseScenario(
  "every right that the chart grants is used, and none is missing",
  { split: true },
  async (release) => {
    const split = { separateNamespace: release.autoscalerNamespace, namespace: { create: true } };
    release.kubelet.behaviour.start.shut();
    // With a pod that stays, however long it takes until the client's time is up.
    await release.helm.run(
      ["install", RELEASE, CHART, "--namespace", release.namespace],
      quick({ ...split, autoscalerConfig: { readyWaitTimeout: "3s", minReplicas: 1 } }),
    );
    // Binding a pod sets its condition PodScheduled, so the condition of the test has to come after.
    const pod = await until(
      "a bound pod of buildkitd",
      async () => (await release.pods("StatefulSet")).find(({ spec }) => spec.nodeName !== undefined),
    );
    await release.api.patch(`/api/v1/namespaces/${release.namespace}/pods/${pod.metadata.name}/status`, {
      status: {
        conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: "no CPU" }],
      },
    });
    const late = await (await release.build()).result();
    assert.match(late.output, /did not become ready in 3s: pod \S+ is Pending: Unschedulable: no CPU/);
    release.phase("a client whose time is up");
    release.kubelet.behaviour.start.open();
    await release.upgrade(quick({ ...split, replicaCount: 2 }), "--wait");
    await release.untilCount(0);
    await release.watch();
    await (await release.build()).finish();
    await release.timeline.settle([0, 1, 0]);
    // What the proxy that scales down did before continues a series of Events.
    await (await release.build()).finish();
    await release.timeline.settle([0, 1, 0, 1, 0]);
    release.phase("two replicas, two builds");
    const rights = rightsOf(await role(release));
    const { metadata } = await release.statefulSet();
    for (const { group, name } of rights) assert.equal(name, group === "apps" ? metadata.name : undefined);
    const granted = rights.map(text).sort();
    let seen: readonly string[] = [];
    await until("every granted right to be used", async () => {
      seen = [...await used(release)].sort();
      return granted.every((right) => seen.includes(right));
    }, { explain: () => `never used: ${granted.filter((right) => !seen.includes(right)).join(", ")}` });
    assert.deepEqual(seen, granted);
    assert.deepEqual(await release.plane.refusedTo(await release.programUser()), []);
  },
);

/** Lets the Role have these rules, and waits until the API server goes by them. */
async function setRules(
  release: Release,
  rules: Role["rules"],
  right: Right,
  wanted: boolean,
): Promise<void> {
  const { metadata } = await role(release);
  await release.api.patch(
    `/apis/rbac.authorization.k8s.io/v1/namespaces/${release.namespace}/roles/${metadata.name}`,
    { rules },
  );
  const user = await release.programUser();
  const [resource, subresource] = right.resource.split("/");
  await until(`the right to ${text(right)} to be ${wanted}`, async () => {
    const review = await release.api.create<{ status: { allowed: boolean } }>(
      "/apis/authorization.k8s.io/v1/subjectaccessreviews",
      {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SubjectAccessReview",
        spec: {
          user,
          resourceAttributes: {
            namespace: release.namespace,
            ...{ verb: right.verb, group: right.group, name: right.name, resource, subresource },
          },
        },
      },
    );
    return review.status.allowed === wanted;
  });
}

/** The program is not ready without these: it could not do its work at all. */
const NEEDED_TO_BE_READY = ["statefulsets", "statefulsets/scale", "endpointslices"];

releaseScenario("each right that is taken away is named in the log", {}, async (release) => {
  await release.install(quick({ autoscalerConfig: { shutdownDelay: "0s" } }));
  const { rules } = await role(release);
  let pod = (await release.untilEndpoints(1))[0]!.pod;
  // Nothing is done with pods and Events at the start. The test above shows that they are used.
  const rights = rightsOf(await role(release)).filter(({ resource }) =>
    !["pods", "events"].includes(resource)
  );
  assert.ok(rights.length >= 13, `${rights.length} rights`);
  for (const right of rights) {
    const sinceTime = new Date().toISOString();
    const less = rules.map((rule) =>
      rule.resources.includes(right.resource)
        ? { ...rule, verbs: rule.verbs.filter((verb) => verb !== right.verb) }
        : rule
    );
    await setRules(release, less, right, false);
    const before = pod;
    pod = await release.replaceAutoscaler(before);
    const names = [right.verb, right.resource, right.group, "Role"];
    // A record is deleted by a proxy that leaves, everything else is asked for by one that comes.
    const asks = right.verb === "delete" ? before : pod;
    await until(`a log record that names the right to ${text(right)}`, async () => {
      return (await release.records(asks)).some(({ time, level, cause }) =>
        time > sinceTime && ["warn", "error"].includes(level) &&
        names.every((name) => String(cause).includes(name))
      );
    }, { explain: () => release.report() });
    if (NEEDED_TO_BE_READY.includes(right.resource)) {
      const { status } = await release.probe(pod, 8081, "/readyz");
      assert.equal(status, 503, `ready without the right to ${text(right)}`);
    }
  }
  release.phase(`${rights.length} rights`);
  await setRules(release, rules, rights.at(-1)!, true);
  // Records that could not be renewed or deleted keep the builder until they expire, so it does not go here.
  await (await release.build()).finish();
});

releaseScenario(
  "laptopRole lets a group run the program, and tunnel to the pods of buildkitd only",
  {},
  async (release) => {
    const { namespace } = release;
    await release.helm.run(["install", RELEASE, CHART, "--namespace", namespace], {
      autoscaler: { replicaCount: 0 },
      laptopRole: { create: true, group: "platform-team" },
    });
    const { metadata: { name } } = await release.statefulSet();
    const allows = async (
      verb: string,
      group: string,
      resource: string,
      object: string,
      team = "platform-team",
    ) => {
      const [kind, subresource] = resource.split("/");
      const resourceAttributes = { namespace, verb, group, resource: kind, subresource, name: object };
      const review = await release.api.create<{ status: { allowed: boolean } }>(
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        {
          apiVersion: "authorization.k8s.io/v1",
          kind: "SubjectAccessReview",
          spec: { user: "somebody", groups: [team], resourceAttributes },
        },
      );
      return review.status.allowed;
    };
    const roles = await release.list<Role>("/apis/rbac.authorization.k8s.io/v1 roles");
    const [own, laptop] = ["-autoscaler", "-laptop"].map((end) =>
      roles.find(({ metadata }) => metadata.name.endsWith(end))!
    );
    for (const right of rightsOf(own!)) {
      await until(
        `the right to ${text(right)}`,
        () => allows(right.verb, right.group, right.resource, right.name ?? "a"),
      );
    }
    assert.equal(rightsOf(laptop!).length, rightsOf(own!).length + 2);
    for (const verb of ["get", "create"]) {
      assert.ok(await allows(verb, "", "pods/portforward", `${name}-0`));
      assert.ok(!await allows(verb, "", "pods/portforward", "another-pod"));
      assert.ok(!await allows(verb, "", "pods/portforward", `${name}-0`, "another-team"));
      assert.ok(!await allows(verb, "", "pods/exec", `${name}-0`));
    }
  },
);
