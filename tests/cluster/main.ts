/**
 * A real Kubernetes of one node on this machine, without any download and without a way out:
 *
 *     deno task cluster up      brings it up, or starts what is missing, and says how to reach it
 *     deno task cluster down    ends it and removes all that it has made
 *
 * etcd, kube-apiserver, kube-controller-manager, kube-scheduler, containerd, kubelet, kube-proxy, CoreDNS, volumes by
 * local-path-provisioner, and a registry. Only the API server is reached from this machine, at a port of 127.0.0.1.
 * Needs root. Exit codes: 0 done, 1 failed, 2 wrong usage.
 *
 * @module
 */

import { dirname } from "node:path";
import { end } from "./namespace.ts";
import { FOLDER, KUBECONFIG } from "./place.ts";
import { clusterPrograms, up } from "./up.ts";

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

async function bringUp(): Promise<void> {
  const startedMs = performance.now();
  const step = (line: string) =>
    say(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  await up(step);
  step("up");
  const program = await clusterPrograms(() => {});
  const folders = new Set(["kubectl", "helm"].map((name) => dirname(program(name))));
  say(`
Use it:
  export KUBECONFIG=${KUBECONFIG}
  export PATH=${[...folders].join(":")}:$PATH
  kubectl get pods --all-namespaces

The image of this checkout is registry.example.com/team/buildkitd-autoscaler:dev. Logs are in
${FOLDER}/*.log. "deno task cluster down" ends it all.`);
}

async function main(): Promise<number> {
  const [verb] = Deno.args;
  if (verb !== "up" && verb !== "down") {
    say(`Cannot do "${Deno.args.join(" ")}": want "up" or "down"`);
    return 2;
  }
  try {
    await (verb === "up" ? bringUp() : end());
    return 0;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return 1;
  }
}

Deno.exit(await main());
