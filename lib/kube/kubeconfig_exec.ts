/**
 * The `exec` part of a kubeconfig's user.
 *
 * @module
 */
import { sep } from "node:path";
import type { ClusterEntry } from "./kubeconfig_connection.ts";
import { resolvePath } from "./kubeconfig_connection.ts";
import { asFields, type FieldReader, type Fields } from "./fields.ts";
import type { ExecSpec } from "./exec_plugin.ts";

const GROUP = "client.authentication.k8s.io";
const VERSIONS = [`${GROUP}/v1`, `${GROUP}/v1beta1`];
const MODES = ["Never", "IfAvailable", "Always"];

/** Reads `exec`. Adds problems and returns `undefined` if it cannot be used. */
export function readExec(
  reader: FieldReader,
  cluster: FieldReader | undefined,
  entry: ClusterEntry | undefined,
): ExecSpec | undefined {
  const command = reader.text("command");
  if (!reader.has("command")) reader.problem("command", "found nothing, want the name or path of a program");
  const apiVersion = reader.text("apiVersion");
  if (apiVersion === undefined || !VERSIONS.includes(apiVersion)) {
    const found = apiVersion === undefined ? "nothing" : `"${apiVersion}"`;
    const advice = apiVersion === `${GROUP}/v1alpha1`
      ? " (Kubernetes has removed it: update the plugin)"
      : "";
    reader.problem("apiVersion", `found ${found}${advice}, want "${VERSIONS.join('" or "')}"`);
  }
  const mode = reader.text("interactiveMode");
  const modeIsMissing = mode === undefined && apiVersion === VERSIONS[0];
  if (modeIsMissing || (mode !== undefined && !MODES.includes(mode))) {
    const found = mode === undefined ? "nothing" : `"${mode}"`;
    reader.problem("interactiveMode", `found ${found}, want "${MODES.join('", "')}"`);
  }
  const env: Record<string, string> = {};
  for (const variable of reader.objects("env")) {
    const name = variable.text("name");
    if (name === undefined) variable.problem("name", "found nothing, want the name of a variable");
    else env[name] = variable.text("value") ?? "";
  }
  const args = reader.texts("args");
  const installHint = reader.text("installHint");
  const tellsCluster = reader.flag("provideClusterInfo");
  if (command === undefined || apiVersion === undefined) return undefined;
  return {
    // As in kubectl: a name is looked up in PATH, a path is relative to the kubeconfig.
    command: command.includes(sep) || command.includes("/") ? resolvePath(reader, command) : command,
    args,
    env,
    apiVersion,
    installHint,
    needsTerminal: mode === "Always",
    cluster: tellsCluster && cluster !== undefined && entry !== undefined
      ? clusterInfo(cluster, entry)
      : undefined,
  };
}

/** `spec.cluster` of the ExecCredential that a plugin is given. */
function clusterInfo(reader: FieldReader, { server, connection }: ClusterEntry): Fields {
  const extension = reader.objects("extensions").find(({ fields }) => fields.name === `${GROUP}/exec`);
  const config = extension?.fields.extension;
  const ca = connection.ca;
  return {
    server: reader.text("server") ?? server.href,
    ...(reader.has("tls-server-name") ? { "tls-server-name": reader.text("tls-server-name") } : {}),
    ...(reader.flag("insecure-skip-tls-verify") ? { "insecure-skip-tls-verify": true } : {}),
    ...(ca === undefined ? {} : { "certificate-authority-data": encodeBase64(ca) }),
    ...(reader.has("proxy-url") ? { "proxy-url": reader.text("proxy-url") } : {}),
    config: asFields(config) ?? config ?? null,
  };
}

function encodeBase64(text: string): string {
  return btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(""));
}

/** The plugin that replaces an auth provider that Kubernetes has removed. */
export function replacementFor(provider: string): string {
  const plugins: Readonly<Record<string, string>> = {
    gcp: '"gke-gcloud-auth-plugin"',
    azure: '"kubelogin" of Azure',
    oidc: '"kubectl oidc-login" (int128/kubelogin)',
  };
  return plugins[provider] ?? "your provider's plugin";
}
