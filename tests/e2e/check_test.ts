/**
 * `check` against a real kube-apiserver: healthy clusters, each kind of fault, missing rights. Where a finding names a
 * command, the command is run as it stands, by a shell and the real kubectl, and mends the fault.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import type { Finding } from "../../lib/check/finding.ts";
import { kubeconfig } from "./kube_api.ts";
import { runCommand } from "./program.ts";
import { type Cluster, scenario } from "./scenario.ts";

/** The text of the report, for a look at it. */
function show(title: string, text: string): void {
  if (Deno.env.get("SHOW_REPORTS")) console.log(`--- ${title}\n${text}---`);
}

interface Report {
  readonly code: number;
  readonly findings: readonly Finding[];
}

/** Writes a kubeconfig that may do everything. */
async function adminKubeconfig(cluster: Cluster): Promise<string> {
  const path = join(cluster.folder, "admin.kubeconfig");
  await Deno.writeTextFile(path, kubeconfig(cluster.api.access));
  return path;
}

async function check(
  cluster: Cluster,
  flags: Readonly<Record<string, string>> = {},
  as: "admin" | "program" = "admin",
): Promise<Report> {
  const path = as === "admin" ? await adminKubeconfig(cluster) : cluster.kubeconfigPath;
  const given = { "sts-namespace": cluster.namespace, kubeconfig: path, upstream: "slices", ...flags };
  const args = ["check", ...Object.entries(given).flatMap(([name, value]) => [`--${name}`, value])];
  show(args.join(" "), (await runCommand(args)).stdout);
  const { code, stdout, stderr } = await runCommand([...args, "--output", "json"]);
  assert.equal(stderr, "");
  const { healthy, findings } = JSON.parse(stdout);
  assert.equal(code, healthy ? 0 : 1, stdout);
  assert.equal(await cluster.replicas(), 0);
  return { code, findings };
}

function only(findings: readonly Finding[], result: Finding["result"]): readonly Finding[] {
  return findings.filter((finding) => finding.result === result);
}

scenario("check finds no fault in a cluster without one, and only reads", {}, async (cluster) => {
  const program = await (await cluster.startProgram()).untilReady();
  const before = (await cluster.plane.requestsBy("admin")).length;
  const admin = await check(cluster);
  assert.deepEqual(only(admin.findings, "failed"), []);
  assert.deepEqual(only(admin.findings, "warning"), []);
  assert.equal(admin.code, 0);
  const asProgram = await check(cluster, {}, "program");
  assert.deepEqual(only(asProgram.findings, "failed"), []);
  assert.ok(before > 0);
  assert.equal(await program.stop(), 0);
});
