/**
 * Findings about the headless Service and its EndpointSlices.
 *
 * @module
 */
import assert from "node:assert/strict";
import { serviceFindings, slicesFinding } from "../../../lib/check/headless_service.ts";
import { absent, BUILDER, faults, found, service, statefulSet, unread } from "./builders.ts";

const DNS = { ...BUILDER, usesDns: true };

Deno.test("serviceFindings() is content with a headless Service that selects the pods", () => {
  assert.deepEqual(serviceFindings(BUILDER, service(), statefulSet()).map(({ result }) => result), ["ok"]);
  const byNumber = service({ ports: [{ port: 8372 }] });
  assert.deepEqual(faults(serviceFindings(DNS, byNumber, statefulSet())), []);
  assert.deepEqual(faults(serviceFindings(BUILDER, unread, statefulSet())), [
    'unchecked Service "builder-headless": no right to get it',
  ]);
});

Deno.test("serviceFindings() makes a missing Service, or names the one that the StatefulSet has", () => {
  const [none] = serviceFindings(BUILDER, absent, statefulSet());
  assert.equal(none?.result, "failed");
  assert.equal(
    none?.fix,
    "kubectl --namespace ci create service clusterip builder-headless --clusterip=None --tcp=8372 && " +
      "kubectl --namespace ci set selector service builder-headless app=builder",
  );
  const [other] = serviceFindings(BUILDER, absent, statefulSet({ serviceName: "pods" }));
  assert.match(other?.found ?? "", /; that of StatefulSet "builder" is "pods"$/);
  assert.equal(other?.fix, "set --headless-service-name=pods");
  // Perhaps the namespace is the wrong one.
  assert.deepEqual(faults(serviceFindings(BUILDER, absent, undefined)), [
    'unchecked Service "builder-headless": none of this name in namespace "ci"; StatefulSet "builder" is not known',
  ]);
});

Deno.test("serviceFindings() wants clusterIP None: for pods' names, else only as advice", () => {
  const withIp = service({ clusterIP: "10.98.0.9" });
  const [byName] = serviceFindings(DNS, withIp, statefulSet());
  assert.deepEqual([byName?.result, byName?.found], ["failed", "the cluster IP 10.98.0.9"]);
  assert.match(byName?.fix ?? "", /^delete the Service and create it again, headless/);
  const [byAddress] = serviceFindings(BUILDER, withIp, statefulSet());
  assert.equal(byAddress?.result, "warning");
  assert.match(
    byAddress?.fix ?? "",
    /^kubectl --namespace ci create service clusterip builder-headless-headless .* # then set --headless-service-name=/,
  );
  assert.equal(
    serviceFindings(BUILDER, service({ type: "ExternalName" }), statefulSet())[0]?.result,
    "failed",
  );
});

Deno.test("serviceFindings() wants the Service that names the pods, with --upstream dns", () => {
  const other = statefulSet({ serviceName: "pods" });
  assert.deepEqual(faults(serviceFindings(BUILDER, service(), other)), []);
  assert.deepEqual(faults(serviceFindings(DNS, service(), other)), [
    'failed Service "builder-headless": StatefulSet "builder" names its pods by the Service "pods"',
  ]);
});

Deno.test("serviceFindings() wants a selector that every pod meets", () => {
  assert.deepEqual(
    faults(serviceFindings(BUILDER, service({ selector: { tier: "ci" } }), statefulSet())),
    [],
  );
  for (const selector of [{ app: "another" }, { app: "builder", more: "x" }, {}]) {
    const findings = serviceFindings(BUILDER, service({ selector }), statefulSet());
    assert.equal(faults(findings).length, 1, JSON.stringify(selector));
    assert.equal(
      findings[0]?.fix,
      "kubectl --namespace ci set selector service builder-headless app=builder",
    );
  }
  const [unknown] = serviceFindings(BUILDER, service({ selector: { app: "another" } }), undefined);
  assert.equal(unknown?.result, "unchecked");
});

Deno.test("serviceFindings() warns of ports that lead elsewhere", () => {
  for (const [port, shown] of [[1234, "1234"], ["tcp-other", "tcp-other"]] as const) {
    const findings = serviceFindings(
      BUILDER,
      service({ ports: [{ port: 8372, targetPort: port as number }] }),
      statefulSet(),
    );
    assert.deepEqual(findings.map(({ result }) => result), ["warning"]);
    assert.match(findings[0]!.found, new RegExp(`^ports of the pods: ${shown};`));
  }
  assert.match(serviceFindings(BUILDER, service({ ports: [] }), statefulSet())[0]!.found, /^no port;/);
});

Deno.test("slicesFinding() wants slices, and the pods that are ready", () => {
  const slice = (...pods: string[]) => ({
    addressType: "IPv4",
    endpoints: pods.map((name, i) => ({
      addresses: [`10.0.0.${i + 1}`],
      targetRef: { kind: "Pod", name, uid: name },
    })),
  });
  const ready = statefulSet({}, {}, { status: { replicas: 1, readyReplicas: 1 } });
  assert.deepEqual(faults([slicesFinding(BUILDER, found([slice("builder-0")]), ready)]), []);
  assert.deepEqual(faults([slicesFinding(BUILDER, found([slice()]), statefulSet())]), []);
  assert.deepEqual(faults([slicesFinding(BUILDER, found([]), statefulSet())]).length, 1);
  const [wrong] = [slicesFinding(BUILDER, found([slice("another-0")]), ready)];
  assert.equal(wrong.found, 'no pod of StatefulSet "builder", which has 1 ready');
  assert.equal(wrong.fix, "kubectl --namespace ci set selector service builder-headless app=builder");
  assert.equal(slicesFinding(BUILDER, unread, undefined).result, "unchecked");
  assert.equal(slicesFinding(BUILDER, absent, statefulSet()).result, "failed");
  assert.deepEqual(faults([slicesFinding(BUILDER, absent, undefined)]), [
    'unchecked EndpointSlices of Service "builder-headless": none; StatefulSet "builder" is not known',
  ]);
});
