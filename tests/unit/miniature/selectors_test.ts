/**
 * Field and label selectors of the miniature API server.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type KubeObject, PODS, STATEFULSETS } from "../../../lib/miniature/objects.ts";
import { parseFieldSelector, parseLabelSelector } from "../../../lib/miniature/selectors.ts";

const object = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "a", namespace: "ns", labels: { app: "x", tier: "" } },
  spec: { nodeName: "n1" },
} as unknown as KubeObject;

Deno.test("parseLabelSelector() understands equality, sets and existence", () => {
  const cases: [string, boolean][] = [
    ["", true],
    ["app=x", true],
    ["app==x", true],
    ["app!=x", false],
    ["other!=x", true],
    ["app=x,tier=", true],
    ["app=x,other=1", false],
    ["app in (w, x)", true],
    ["app notin (w,x)", false],
    ["other notin (w)", true],
    ["app", true],
    ["!app", false],
    ["!other,app in (x),tier", true],
  ];
  for (const [text, wanted] of cases) assert.equal(parseLabelSelector(text)(object), wanted, text);
  assert.throws(() => parseLabelSelector("app in x"), /unable to parse requirement/);
});

Deno.test("parseFieldSelector() selects by name, namespace and the fields of the kind, and by nothing else", () => {
  assert.equal(parseFieldSelector("metadata.name=a,metadata.namespace=ns", PODS).matches(object), true);
  assert.equal(parseFieldSelector("metadata.name=a", PODS).name, "a");
  assert.equal(parseFieldSelector("spec.nodeName!=n1", PODS).matches(object), false);
  assert.throws(
    () => parseFieldSelector("spec.nodeName=n1", STATEFULSETS),
    /"spec.nodeName" is not a known field selector: only "metadata.name", "metadata.namespace"/,
  );
});
