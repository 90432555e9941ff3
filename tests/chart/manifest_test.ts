/**
 * `docs/manifest.yaml` treats a proxy as the chart does where builds depend on it: its probes, and the token that it asks
 * for.
 *
 * @module
 */
import assert from "node:assert/strict";
import { loadAll } from "js-yaml";
import { SETTINGS } from "../../lib/config/settings.ts";
import { Helm, type KubeObject } from "./helm.ts";

// deno-lint-ignore no-explicit-any -- parts of objects
type Tree = any;

/** The pod of the proxy. */
function podOf(objects: readonly KubeObject[]): Tree {
  return objects.find(({ kind }) => kind === "Deployment")!.spec.template.spec;
}

const manifest = new URL("../../docs/manifest.yaml", import.meta.url);
const ours = podOf(loadAll(await Deno.readTextFile(manifest)) as KubeObject[]);
const charts = podOf([...(await (await Helm.of("helm")).objects({})).values()]);

Deno.test("chart: the manifest's probes are the chart's", () => {
  for (const probe of ["livenessProbe", "readinessProbe", "startupProbe"]) {
    assert.deepEqual(ours.containers[0][probe], charts.containers[0][probe], probe);
  }
  assert.ok(ours.containers[0].livenessProbe.failureThreshold > 0, "there is one");
});

Deno.test("chart: the manifest mounts the chart's token, for five times the grace period and the record's expiry", () => {
  const token = ({ volumes }: Tree) => volumes[0].projected.sources[0].serviceAccountToken;
  const { terminationGracePeriodSeconds, volumes } = structuredClone(ours);
  const { recordExpiryMs: { type, default: preset } } = SETTINGS;
  assert.ok(
    token(ours).expirationSeconds >= 5 * (terminationGracePeriodSeconds + type.parse(preset ?? "")! / 1000),
  );
  token({ volumes }).expirationSeconds = token(charts).expirationSeconds;
  assert.deepEqual(volumes, charts.volumes);
  assert.deepEqual(ours.containers[0].volumeMounts, charts.containers[0].volumeMounts);
  assert.equal(ours.automountServiceAccountToken, false);
  assert.equal(charts.automountServiceAccountToken, false);
});
