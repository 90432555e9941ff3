/**
 * Reads the `cluster` object of a kubeconfig: the server and how to connect. Also reads fields that hold base64 or name
 * a file.
 *
 * @module
 */
import { dirname, resolve } from "node:path";
import type { LoadPorts } from "./cluster_parts.ts";
import { type Connection, needsTls, runtimeFault } from "./connection.ts";
import type { FieldReader } from "./fields.ts";
import { readFault } from "./machine.ts";
import { faultOfCa } from "./pem.ts";

/** Server and connection of one cluster entry. */
export interface ClusterEntry {
  /** The API server's base URL. */
  readonly server: URL;
  /** How to connect. */
  readonly connection: Connection;
}

/** Resolves a path in a kubeconfig, which is relative to the kubeconfig. */
export function resolvePath(reader: FieldReader, path: string): string {
  return resolve(dirname(reader.file), path);
}

/** Text from a base64 field, or from a file that a field names. */
export interface Content {
  /** The field that it comes from. */
  readonly field: string;
  /** The text. */
  readonly text: string;
  /** The file, if it comes from one. */
  readonly path: string | undefined;
}

/**
 * The content of `<name>-data` (base64), or else of the file that `<name>` names. Adds a problem and returns
 * `undefined` if it cannot be read or `fault` rejects it.
 */
export async function readContent(
  reader: FieldReader,
  name: string,
  wanted: string,
  fault: (text: string) => string | undefined,
  ports: LoadPorts,
): Promise<Content | undefined> {
  const field = `${name}-data`;
  if (reader.has(field)) {
    const base64 = reader.text(field);
    if (base64 === undefined) return undefined;
    const text = decodeBase64(base64);
    const found = text === undefined ? "found invalid base64" : fault(text);
    if (found === undefined && text !== undefined) return { field, text, path: undefined };
    reader.problem(field, `${found}, want base64 of ${wanted}`);
    return undefined;
  }
  const relative = reader.text(name);
  if (relative === undefined) return undefined;
  const path = resolvePath(reader, relative);
  let found: string | undefined;
  try {
    const text = await ports.machine.readText(path);
    found = fault(text);
    if (found === undefined) return { field: name, text, path };
  } catch (error) {
    found = readFault(error);
  }
  reader.problem(name, `file "${path}": ${found}, want ${wanted}`);
  return undefined;
}

function decodeBase64(base64: string): string | undefined {
  try {
    const bytes = Uint8Array.from(atob(base64.replace(/\s/g, "")), (char) => char.charCodeAt(0));
    return new TextDecoder().decode(bytes);
  } catch {
    return undefined;
  }
}

/** Reads a cluster entry. Adds problems and returns `undefined` if there is no usable server. */
export async function readCluster(reader: FieldReader, ports: LoadPorts): Promise<ClusterEntry | undefined> {
  const server = readUrl(reader, "server", ["https:", "http:"], "https://203.0.113.1:6443");
  const proxy = readUrl(reader, "proxy-url", ["http:", "https:", "socks5:"], "http://proxy.example:3128");
  const insecure = reader.flag("insecure-skip-tls-verify");
  const serverName = reader.text("tls-server-name");
  const ca = await readContent(
    reader,
    "certificate-authority",
    "a PEM certificate",
    (text) => faultOfCa(text, ports.clock.wallMs()),
    ports,
  );
  if (insecure && (reader.has("certificate-authority") || reader.has("certificate-authority-data"))) {
    reader.problem(
      "insecure-skip-tls-verify",
      "found true beside a certificate authority, want only one of them",
    );
  }
  if (!reader.has("server")) {
    reader.problem("server", 'found nothing, want a URL such as "https://203.0.113.1:6443"');
  }
  if (server === undefined) return undefined;
  const secure = server.protocol === "https:";
  const path = `field "${reader.path}.${ca?.field ?? "certificate-authority-data"}" of "${reader.file}"`;
  const connection: Connection = {
    ca: ca?.text,
    caSource: ca === undefined
      ? `an authority that this machine trusts (${path} is not set)`
      : `the authority in ${path}`,
    proxy,
    proxySource: proxy && '"proxy-url" of the kubeconfig',
    serverName: secure && serverName !== server.hostname ? serverName : undefined,
    insecure: secure && insecure,
    repeatsHeaders: false,
  };
  return { server, connection };
}

/** Adds a problem if the program cannot make such a connection. */
export function checkTransport(
  cluster: FieldReader,
  user: FieldReader | undefined,
  connection: Connection,
  denoVersion: string,
): void {
  const { proxy, insecure, serverName } = connection;
  if (!needsTls(connection)) return;
  const fault = runtimeFault(connection, denoVersion);
  if (fault !== undefined) {
    if (insecure) cluster.problem("insecure-skip-tls-verify", fault);
    if (serverName !== undefined) cluster.problem("tls-server-name", fault);
    if (connection.repeatsHeaders) {
      user?.problem("as-groups", `found several groups or values, which ${fault}`);
    }
  }
  if (proxy !== undefined && proxy.protocol !== "http:") {
    cluster.problem(
      "proxy-url",
      `found a proxy of type "${proxy.protocol.slice(0, -1)}" together with "tls-server-name", ` +
        '"insecure-skip-tls-verify" or several "as-groups", which is not supported, want an "http" proxy',
    );
  }
}

function readUrl(
  reader: FieldReader,
  name: string,
  protocols: readonly string[],
  example: string,
): URL | undefined {
  const text = reader.text(name);
  if (text === undefined) return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const want = `want a URL such as "${example}"`;
  if (url === undefined || !protocols.includes(url.protocol) || url.hostname === "") {
    reader.problem(
      name,
      `found no URL that starts with ${protocols.map((p) => `"${p}//"`).join(" or ")}, ${want}`,
    );
    return undefined;
  }
  if (name === "server" && (url.username !== "" || url.search !== "" || url.hash !== "")) {
    reader.problem(name, `found a URL with credentials or a query, ${want}`);
    return undefined;
  }
  return url;
}
