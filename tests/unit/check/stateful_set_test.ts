/**
 * Findings about a StatefulSet and the port of its pods.
 *
 * @module
 */
import assert from "node:assert/strict";
import { portFinding, statefulSetFinding } from "../../../lib/check/stateful_set.ts";
import { absent, BUILDER, found, statefulSet, unread } from "./builders.ts";

Deno.test("statefulSetFinding() tells its count, that there is none, that it goes, or that it cannot be read", () => {
  const there = statefulSetFinding(
    BUILDER,
    found(statefulSet({}, {}, { status: { replicas: 1, readyReplicas: 1 } })),
  );
  assert.deepEqual([there.result, there.found], ["ok", "replicas 0, 1 ready"]);
  const none = statefulSetFinding(BUILDER, absent);
  assert.deepEqual([none.result, none.found], ["failed", 'none of this name in namespace "ci"']);
  assert.equal(none.fix, "kubectl get statefulsets --all-namespaces");
  const metadata = { deletionTimestamp: "2026-11-26T10:00:00Z" };
  assert.equal(statefulSetFinding(BUILDER, found(statefulSet({}, {}, { metadata }))).result, "failed");
  assert.equal(statefulSetFinding(BUILDER, unread).result, "unchecked");
});

/** A container with these arguments, and these declared ports. */
function container(args: readonly string[], ...ports: number[]) {
  const containers = [{ name: "a", args, ports: ports.map((containerPort) => ({ containerPort })) }];
  return portFinding(BUILDER, statefulSet({}, { containers }));
}

Deno.test("portFinding() believes the address that buildkitd is told, then the declared ports", () => {
  assert.equal(container([], 8372).result, "ok");
  assert.equal(container(["--addr", "tcp://0.0.0.0:8372"]).result, "ok");
  assert.equal(container(["--addr=tcp://[::]:8372"], 1234).result, "ok");
  const elsewhere = container(["--addr=tcp://0.0.0.0:1234", "--addr=unix:///run/buildkit.sock"], 8372);
  assert.equal(elsewhere.result, "failed");
  assert.equal(elsewhere.found, "its containers are told to listen on 1234");
  assert.equal(elsewhere.fix, "set --target-port=1234 (BUILDKITD_TARGET_PORT)");
  const sidecar = { name: "b", args: ["--target=tcp://metrics:9000"] };
  const buildkitd = { name: "a", ports: [{ containerPort: 8372 }] };
  const both = statefulSet({}, { containers: [buildkitd, sidecar] });
  assert.equal(portFinding(BUILDER, both).result, "ok", "what a sidecar connects to is no port of buildkitd");
  const declared = container([], 1234, 5);
  assert.deepEqual([declared.result, declared.found], ["warning", "its containers declare 1234 and 5"]);
  assert.equal(container([]).result, "unchecked");
  assert.equal(portFinding(BUILDER, {}).result, "unchecked");
});
