/**
 * The cluster's certificates, tokens and kubeconfigs.
 *
 * Every user has a token. Certificates are for the API server and for its calls to the kubelet.
 *
 * @module
 */

import { makeCa } from "../integration/kube/certificates.ts";
import { exists, run } from "../../.ci/commands.ts";
import { apiPort } from "./namespace.ts";
import { API_ENDPOINT, at, KUBECONFIG, NODE, NODE_ADDRESS, SERVICES } from "./place.ts";

/** The users of the API server, by the name of their kubeconfig: name and group. */
const USERS = {
  admin: ["admin", "system:masters"],
  "kube-controller-manager": ["system:kube-controller-manager", ""],
  "kube-scheduler": ["system:kube-scheduler", ""],
  "kube-proxy": ["system:kube-proxy", ""],
  kubelet: [`system:node:${NODE}`, "system:nodes"],
} as const;

/** The path of the kubeconfig of a part of the cluster, for use inside. */
export function kubeconfigOf(user: keyof typeof USERS): string {
  return at(`${user}.kubeconfig`);
}

/** A kubeconfig in JSON, which is YAML too. */
function kubeconfig(server: string, caPem: string, token: string): string {
  const name = "buildkitd-autoscaler-cluster";
  return JSON.stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      "current-context": name,
      contexts: [{ name, context: { cluster: name, user: name, namespace: "default" } }],
      clusters: [{
        name,
        cluster: { server, "certificate-authority-data": new TextEncoder().encode(caPem).toBase64() },
      }],
      users: [{ name, user: { token } }],
    },
    null,
    2,
  );
}

/** Writes all of them, if they were not written before. */
export async function writeCredentials(): Promise<void> {
  if (await exists(KUBECONFIG)) return;
  const ca = await makeCa({ commonName: "cluster" });
  await Deno.writeTextFile(at("ca.crt"), ca.cert);
  const api = await ca.issue({
    commonName: "kube-apiserver",
    dnsNames: [
      "kubernetes",
      "kubernetes.default",
      "kubernetes.default.svc",
      "kubernetes.default.svc.cluster.local",
    ],
    ipAddresses: [NODE_ADDRESS, SERVICES.api, "127.0.0.1"],
  });
  const toKubelet = await ca.issue({ commonName: "kube-apiserver-kubelet-client" });
  for (const [name, { cert, key }] of Object.entries({ api, "api-to-kubelet": toKubelet })) {
    await Deno.writeTextFile(at(`${name}.crt`), cert);
    await Deno.writeTextFile(at(`${name}.key`), key, { mode: 0o600 });
  }
  await run("openssl", ["genrsa", "-out", at("service-accounts.key"), "2048"]);
  const tokens: string[] = [];
  for (const [file, [name, group]] of Object.entries(USERS)) {
    const token = crypto.randomUUID();
    tokens.push(`${token},${name},${name},"${group}"`);
    await Deno.writeTextFile(
      kubeconfigOf(file as keyof typeof USERS),
      kubeconfig(`https://${API_ENDPOINT}`, ca.cert, token),
      { mode: 0o600 },
    );
    if (file === "admin") {
      const outside = kubeconfig(`https://127.0.0.1:${await apiPort()}`, ca.cert, token);
      await Deno.writeTextFile(KUBECONFIG, outside, { mode: 0o600 });
    }
  }
  await Deno.writeTextFile(at("tokens.csv"), `${tokens.join("\n")}\n`, { mode: 0o600 });
}
