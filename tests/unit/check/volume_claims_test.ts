/**
 * Findings about the claims of a builder's first pod.
 *
 * @module
 */
import assert from "node:assert/strict";
import { claimFinding, neededClaims } from "../../../lib/check/volume_claims.ts";
import type { PersistentVolumeClaim, StorageClass } from "../../../lib/kube/types.ts";
import { absent, found, statefulSet, unread } from "./builders.ts";

const claim = (spec: PersistentVolumeClaim["spec"] = {}, phase?: string): PersistentVolumeClaim => ({
  metadata: { name: "cache" },
  spec,
  ...(phase === undefined ? {} : { status: { phase } }),
});

const storage = (
  name: string,
  { isDefault = false, volumeBindingMode = "Immediate" } = {},
): StorageClass => ({
  metadata: {
    name,
    ...(isDefault ? { annotations: { "storageclass.kubernetes.io/is-default-class": "true" } } : {}),
  },
  provisioner: "example.com/disks",
  volumeBindingMode,
});

const LATE = { volumeBindingMode: "WaitForFirstConsumer" };

Deno.test("neededClaims() has those of templates and those that the pod names, for the first ordinal", () => {
  const set = statefulSet(
    { volumeClaimTemplates: [claim()], ordinals: { start: 3 } },
    { volumes: [{ name: "a", persistentVolumeClaim: { claimName: "shared" } }, { name: "b", emptyDir: {} }] },
  );
  assert.deepEqual(neededClaims(set).map(({ name, template }) => [name, template !== undefined]), [
    ["cache-builder-3", true],
    ["shared", false],
  ]);
  assert.deepEqual(neededClaims(statefulSet()), []);
});

/** The finding about a claim that is there or not, of a template, where these classes are. */
function finding(
  read: Parameters<typeof claimFinding>[2],
  classes: readonly StorageClass[],
  spec: PersistentVolumeClaim["spec"] = {},
) {
  return claimFinding({ name: "cache-builder-0", template: claim(spec) }, "ci", read, found(classes));
}

Deno.test("claimFinding() is content with a bound claim, whatever else there is", () => {
  const bound = finding(found(claim({ volumeName: "pv-1" }, "Bound")), []);
  assert.deepEqual([bound.result, bound.found], ["ok", "bound to volume pv-1"]);
});

Deno.test("claimFinding() wants a StorageClass that can make the volume", () => {
  assert.equal(finding(absent, [storage("fast", { isDefault: true })]).result, "ok");
  assert.equal(finding(absent, [storage("fast")], { storageClassName: "fast" }).result, "ok");
  const none = finding(absent, [storage("fast")]);
  assert.equal(none.result, "warning");
  assert.match(none.fix!, /^kubectl patch storageclass fast '--patch=\{"metadata":\{"annotations":/);
  assert.match(finding(absent, []).fix!, /storageclass NAME/);
  const other = finding(absent, [storage("fast", { isDefault: true })], { storageClassName: "slow" });
  assert.equal(
    other.found,
    'made with the first pod; there is no StorageClass "slow", so somebody has to make its volume',
  );
  assert.equal(finding(absent, [], { storageClassName: "" }).result, "unchecked");
});

Deno.test("claimFinding() lets a claim wait for its first pod, and no longer", () => {
  const pending = found(claim({ storageClassName: "fast" }, "Pending"));
  assert.equal(finding(pending, [storage("fast", LATE)]).result, "ok");
  const stuck = finding(pending, [storage("fast")]);
  assert.equal(stuck.result, "warning");
  assert.equal(stuck.fix, "kubectl --namespace ci describe persistentvolumeclaim cache-builder-0");
});

Deno.test("claimFinding() finds lost and deleted claims, and those that nobody makes", () => {
  assert.equal(finding(found(claim({}, "Lost")), []).found, "its volume is lost");
  const going = { ...claim({}, "Bound"), metadata: { deletionTimestamp: "2026-11-26T10:00:00Z" } };
  assert.equal(finding(found(going), []).found, "it is being deleted");
  const named = { name: "shared", template: undefined };
  assert.equal(claimFinding(named, "ci", absent, found([])).result, "failed");
});

Deno.test("claimFinding() has checked nothing that may not be read", () => {
  assert.equal(finding(unread, []).result, "unchecked");
  const template = claim();
  assert.deepEqual(claimFinding({ name: "a", template }, "ci", absent, unread), {
    check: 'volume claim "a"',
    result: "unchecked",
    found: "made with the first pod; no right to get it",
  });
});
