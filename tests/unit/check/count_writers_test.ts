/**
 * Findings about others that write the count.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type ScaledObject, type Scalers, writerFindings } from "../../../lib/check/count_writers.ts";
import type { HorizontalPodAutoscaler } from "../../../lib/kube/types.ts";
import { absent, BUILDER, faults, found, statefulSet, unread } from "./builders.ts";

const NOBODY: Scalers = { autoscalers: found([]), scaledObjects: absent };

function owner(manager: string, operation: "Apply" | "Update", subresource?: string) {
  const fieldsV1 = { "f:spec": { "f:replicas": {} } };
  const time = "2026-11-26T10:00:00Z";
  return { manager, operation, time, fieldsV1, ...(subresource === undefined ? {} : { subresource }) };
}

function writers(metadata: object, scalers: Scalers = NOBODY, builder = BUILDER) {
  return writerFindings(builder, statefulSet({}, {}, { metadata }), scalers);
}

Deno.test("writerFindings() does not mind proxies, nor who has set the count once", () => {
  const own = [
    owner("buildkitd-autoscaler", "Update", "scale"),
    owner("buildkitd-autoscaler-x-1", "Apply", "scale"),
  ];
  const labels = { fieldsV1: { "f:metadata": {} }, manager: "argocd", operation: "Apply" };
  assert.deepEqual(writers({ managedFields: [...own, labels] }), [{
    check: 'replica count of "builder"',
    result: "ok",
    found: "only the autoscaler sets it",
  }]);
  const [once] = writers({ managedFields: [owner("kubectl", "Update", "scale"), owner("helm", "Update")] });
  assert.equal(once?.result, "ok");
  assert.equal(
    once?.found,
    "set by kubectl at 2026-11-26T10:00:00Z and helm at 2026-11-26T10:00:00Z, which does not repeat it",
  );
  assert.equal(writers({})[0]?.result, "ok");
});

Deno.test("writerFindings() warns of manifests with replicas that are applied again", () => {
  const managedFields = [owner("argocd-controller", "Apply")];
  const [applied] = writers({ managedFields });
  assert.equal(applied?.result, "warning");
  assert.match(applied?.found ?? "", /^argocd-controller applies a manifest with replicas/);
  const key = "kubectl.kubernetes.io/last-applied-configuration";
  const [last] = writers({ annotations: { [key]: '{"spec":{"replicas":0}}' } });
  assert.match(last?.found ?? "", /^it was made with kubectl apply from a manifest with replicas/);
  for (const manifest of ['{"spec":{}}', "{}", "null", "no JSON"]) {
    assert.deepEqual(faults(writers({ annotations: { [key]: manifest } })), []);
  }
  const ofChart = { "helm.sh/chart": "buildkitd-stack-2.0.0" };
  const byHelm = { managedFields: [owner("helm", "Apply")] };
  assert.deepEqual(faults(writers({ ...byHelm, labels: ofChart })), []);
  assert.equal(writers({ ...byHelm, labels: { "helm.sh/chart": "buildkit-1.0.0" } })[0]?.result, "warning");
});

function hpa(spec: Partial<NonNullable<HorizontalPodAutoscaler["spec"]>>): HorizontalPodAutoscaler {
  return {
    metadata: { name: "by-cpu" },
    spec: { scaleTargetRef: { kind: "StatefulSet", name: "builder" }, maxReplicas: 3, ...spec },
  };
}

const UP_ONLY = { behavior: { scaleDown: { selectPolicy: "Disabled" } } };

Deno.test("writerFindings() lets an HPA scale up only, up to the same maximum", () => {
  const many = { ...BUILDER, maxReplicas: 3 };
  const of = (one: HorizontalPodAutoscaler) => writers({}, { ...NOBODY, autoscalers: found([one]) }, many);
  assert.deepEqual(faults(of(hpa(UP_ONLY))), []);
  const [cuts] = of(hpa({}));
  assert.equal(cuts?.result, "failed");
  assert.equal(
    cuts?.fix,
    "kubectl --namespace ci patch horizontalpodautoscaler by-cpu --type=merge " +
      `'--patch={"spec":{"behavior":{"scaleDown":{"selectPolicy":"Disabled"}}}}'`,
  );
  assert.match(of(hpa({ ...UP_ONLY, maxReplicas: 2 }))[0]?.fix ?? "", /\{"spec":\{"maxReplicas":3\}\}/);
  for (
    const scaleTargetRef of [{ kind: "StatefulSet", name: "web" }, { kind: "Deployment", name: "builder" }]
  ) {
    assert.deepEqual(faults(of(hpa({ scaleTargetRef }))), []);
  }
});

Deno.test("writerFindings() wants no ScaledObject of KEDA", () => {
  const of = (scaleTargetRef: NonNullable<ScaledObject["spec"]>["scaleTargetRef"]) =>
    writers({}, {
      ...NOBODY,
      scaledObjects: found([{ metadata: { name: "q" }, spec: { scaleTargetRef: scaleTargetRef! } }]),
    });
  assert.deepEqual(faults(of({ name: "builder" })), []);
  assert.equal(
    of({ kind: "StatefulSet", name: "builder" })[0]?.fix,
    "kubectl --namespace ci delete scaledobject q",
  );
});

Deno.test("writerFindings() names what could not be read, beside what was found", () => {
  const findings = writers({}, { autoscalers: unread, scaledObjects: unread });
  assert.deepEqual(findings.map(({ result }) => result), ["ok", "unchecked"]);
  assert.match(findings[1]!.found, /^HorizontalPodAutoscalers \(.*\) and ScaledObjects of KEDA \(.*\)$/);
});
