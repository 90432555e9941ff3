/**
 * Reads the `user` object of a kubeconfig: tokens, client certificates, passwords, `exec` plugins, impersonation. As in
 * kubectl, the first of `tokenFile`, `token`, password and `exec` is used.
 *
 * @module
 */
import { CachedFile } from "./cached_file.ts";
import { ClientCertificateFiles } from "./client_certificate.ts";
import type { LoadPorts } from "./cluster_parts.ts";
import { basic, bearer, combined, type Credentials, fixed, isToken, tokenFile } from "./credentials.ts";
import { ExecPlugin } from "./exec_plugin.ts";
import type { FieldReader } from "./fields.ts";
import { type ClusterEntry, type Content, readContent, resolvePath } from "./kubeconfig_connection.ts";
import { readExec, replacementFor } from "./kubeconfig_exec.ts";
import { faultOfClientCertificate, faultOfKey, isMismatch } from "./pem.ts";

/** How to authenticate. */
export interface UserEntry {
  /** The source of its credentials. */
  readonly credentials: Credentials;
  /** Whether it has any credentials. */
  readonly hasCredentials: boolean;
  /** Whether it repeats headers: see {@link HttpRequest}. */
  readonly repeatsHeaders: boolean;
}

/** Reads a user entry. Problems are added through its reader. */
export async function readUser(
  user: FieldReader,
  cluster: FieldReader | undefined,
  entry: ClusterEntry | undefined,
  ports: LoadPorts,
): Promise<UserEntry> {
  const impersonation = readImpersonation(user);
  const certificate = await readClientCertificate(user, ports);
  const header = await readHeader(user, cluster, entry, ports);
  const parts = [fixed({ headers: impersonation }), certificate, header].filter((part) => part !== undefined);
  return {
    credentials: combined(parts),
    hasCredentials: certificate !== undefined || header !== undefined ||
      Object.keys(impersonation).length > 0,
    repeatsHeaders: Object.values(impersonation).some((value) => value.includes("\n")),
  };
}

async function readHeader(
  user: FieldReader,
  cluster: FieldReader | undefined,
  entry: ClusterEntry | undefined,
  ports: LoadPorts,
): Promise<Credentials | undefined> {
  const provider = user.object("auth-provider");
  if (provider !== undefined) {
    const name = provider.text("name") ?? "";
    user.problem(
      "auth-provider",
      `found "${name}", which Kubernetes has removed, want "exec" with ${replacementFor(name)}`,
    );
  }
  const exec = user.object("exec");
  const plugin = exec && readExec(exec, cluster, entry);
  const token = user.text("token")?.trim();
  if (token !== undefined && !isToken(token)) {
    user.problem("token", "found blanks or control characters, want a token");
  }
  const username = user.text("username");
  const password = user.text("password") ?? "";
  if (username?.includes(":")) user.problem("username", 'found a name with ":", want one without');
  const hasToken = user.has("token") || user.has("tokenFile");
  if (hasToken && username !== undefined) {
    user.problem("username", "found a user name beside a token, want only one of them");
  }
  const path = user.text("tokenFile");
  if (path !== undefined) return await readTokenFile(user, resolvePath(user, path), ports);
  if (token !== undefined) return fixed(bearer(token));
  if (username !== undefined) return fixed(basic(username, password));
  return plugin && new ExecPlugin(plugin, ports);
}

async function readTokenFile(user: FieldReader, path: string, ports: LoadPorts): Promise<Credentials> {
  const fault = (text: string) => isToken(text) ? undefined : "found no token, want one line of text";
  const file = new CachedFile({ ...ports, path, what: "token file", fault });
  await file.read().catch((error: Error) => user.problem("tokenFile", error.message));
  return tokenFile(file);
}

async function readClientCertificate(user: FieldReader, ports: LoadPorts): Promise<Credentials | undefined> {
  const certFault = (text: string) => faultOfClientCertificate(text, ports.clock.wallMs());
  const [certField, keyField] = ["client-certificate", "client-key"];
  const given = (name: string) => user.has(name) || user.has(`${name}-data`);
  if (given(certField) !== given(keyField)) {
    const [has, lacks] = given(certField) ? [certField, keyField] : [keyField, certField];
    user.problem(lacks, `found nothing beside "${has}", want "${lacks}" or "${lacks}-data"`);
  }
  const cert = await readContent(user, certField, "a PEM certificate that is still valid", certFault, ports);
  const key = await readContent(user, keyField, "a PEM private key that is not encrypted", faultOfKey, ports);
  if (cert === undefined || key === undefined) return undefined;
  if (isMismatch({ cert: cert.text, key: key.text })) {
    user.problem(cert.field, `found a certificate for another key than the one of "${key.field}"`);
    return undefined;
  }
  if (cert.path === undefined && key.path === undefined) {
    return fixed({ headers: {}, clientCertificate: { cert: cert.text, key: key.text } });
  }
  return new ClientCertificateFiles(
    cachedContent(cert, "client certificate", certFault, ports),
    cachedContent(key, "client key", faultOfKey, ports),
  );
}

/** A file, or a fixed text in its place. */
function cachedContent(
  { path, text }: Content,
  what: string,
  fault: (text: string) => string | undefined,
  ports: LoadPorts,
): CachedFile {
  const machine = path === undefined
    ? { ...ports.machine, readText: () => Promise.resolve(text) }
    : ports.machine;
  return new CachedFile({ ...ports, machine, path: path ?? "", what, fault });
}

/** `Impersonate-*` (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation). */
function readImpersonation(user: FieldReader): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  const add = (field: string, name: string, values: readonly string[]) => {
    if (values.some((value) => !/^[\x20-\x7e]+$/.test(value))) {
      user.problem(field, "found characters that cannot be sent in a header, want printable ASCII");
    } else if (values.length > 0) {
      headers[name] = values.join("\n");
    }
  };
  const as = user.text("as");
  if (as !== undefined) add("as", "impersonate-user", [as]);
  const uid = user.text("as-uid");
  if (uid !== undefined) add("as-uid", "impersonate-uid", [uid]);
  add("as-groups", "impersonate-group", user.texts("as-groups"));
  const extra = user.object("as-user-extra");
  for (const key of Object.keys(extra?.fields ?? {})) {
    add(
      `as-user-extra.${key}`,
      `impersonate-extra-${encodeURIComponent(key.toLowerCase())}`,
      extra!.texts(key),
    );
  }
  if (as === undefined && Object.keys(headers).length > 0) {
    user.problem(
      "as",
      'found nothing beside "as-uid", "as-groups" or "as-user-extra", want the user to act as',
    );
  }
  return headers;
}
