/**
 * Turns errors of the runtime into messages that name the cause and the remedy. Most of these errors have no code, so
 * their text is matched, only here, as observed on Deno 2.9 and 2.6 (rustls, hyper, node:tls).
 *
 * @module
 */
import { codeOf, messageOf, PrivateError, TimeoutError } from "../base/errors.ts";
import type { Connection } from "./connection.ts";

interface Context {
  readonly url: URL;
  readonly connection: Connection;
  /** Text and code of the error. */
  readonly text: string;
}

/** The TLS handshake has failed. The server has read nothing of the request. */
export class HandshakeError extends PrivateError {
  /** Always `HandshakeError`. */
  override readonly name = "HandshakeError";
}

interface Rule {
  readonly pattern: RegExp;
  /** True if other certificates might solve it. */
  readonly isHandshake?: true;
  explain(context: Context): string;
}

const serverNameOf = ({ url, connection }: Context) => connection.serverName ?? url.hostname;

/** The first match counts. */
const RULES: readonly Rule[] = [
  {
    pattern: /proxy authentication required/i,
    explain: ({ connection }) =>
      `the proxy rejected the credentials, check the user and password of ${connection.proxySource ?? "it"}`,
  },
  {
    pattern: /tunnel error|unsuccessful tunnel|proxy refused the tunnel/i,
    explain: () => "the proxy does not connect to it",
  },
  {
    // Deno's fetch as of 2.9, for the ports of https://fetch.spec.whatwg.org/#port-blocking
    pattern: /requests to port \d+ are blocked/i,
    explain: ({ text }) =>
      `Deno's fetch blocks port ${
        /port (\d+)/i.exec(text)?.[1]
      } (as browsers do: it belongs to another protocol), ` +
      "let the API server, or a proxy in front of it, listen on another port",
  },
  {
    pattern: /dns error|ENOTFOUND|EAI_AGAIN|getaddrinfo|failed to lookup address/i,
    explain: ({ url, connection }) =>
      `the name "${connection.proxy?.hostname ?? url.hostname}" cannot be resolved, check it and the DNS`,
  },
  {
    pattern: /connection refused|ECONNREFUSED|actively refused/i,
    explain: ({ connection }) =>
      connection.proxy === undefined
        ? "the connection was refused, check host and port, and that the server runs"
        : "the connection was refused, check that the server and the proxy run",
  },
  {
    pattern: /no route to host|EHOSTUNREACH|network is unreachable|ENETUNREACH/i,
    explain: () => "there is no route to it, check the network, VPN and firewall",
  },
  {
    pattern: /not valid yet/i,
    isHandshake: true,
    explain: () => "the server's certificate is not valid yet, check the clocks of server and client",
  },
  {
    pattern: /invalid peer certificate: (certificate )?expired|CERT_HAS_EXPIRED|certificate has expired/i,
    isHandshake: true,
    explain: (context) =>
      `the server's certificate has expired${expiredAt(context.text)}, renew it on the server`,
  },
  {
    pattern: /not valid for (any )?name|NotValidForName|ERR_TLS_CERT_ALTNAME_INVALID|altnames/i,
    isHandshake: true,
    explain: (context) =>
      `the server's certificate is not for the name "${serverNameOf(context)}"${validNames(context.text)}, ` +
      'set "tls-server-name" of the cluster in the kubeconfig to a name that it is for, or use another server address',
  },
  {
    pattern:
      /UnknownIssuer|UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED|UNABLE_TO_GET_ISSUER|unable to verify the first/i,
    isHandshake: true,
    explain: ({ connection, text }) =>
      `the server's certificate is not signed by ${connection.caSource}` +
      (/UNABLE_TO_VERIFY_LEAF/.test(text) ? ", or it has expired" : "") +
      ", check that this is the right cluster and its certificate authority",
  },
  {
    pattern: /received fatal alert|ALERT_|tlsv1[23]? alert|sslv3 alert/i,
    isHandshake: true,
    explain: ({ text }) =>
      `the server ended the TLS handshake (${alertOf(text)}), ` +
      "check that the client certificate is there, has not expired and is signed for this cluster",
  },
  {
    pattern: /InvalidContentType|ERR_SSL_WRONG_VERSION_NUMBER|wrong version number/i,
    explain: () => 'it does not speak TLS on this port, check the port or use "http://"',
  },
  {
    pattern: /invalid HTTP version parsed/i,
    explain: ({ url }) =>
      url.protocol === "http:"
        ? 'it does not speak plaintext HTTP on this port, use "https://"'
        : "it does not speak HTTP",
  },
  {
    pattern: /invalid peer certificate|BadEncoding/i,
    isHandshake: true,
    explain: ({ connection }) => `the server's certificate cannot be verified with ${connection.caSource}`,
  },
  {
    pattern: /timed out|ETIMEDOUT|timeout/i,
    explain: () => "the connection timed out, check the network, VPN and firewall",
  },
  {
    pattern: /write UNKNOWN|\bUNKNOWN\b/,
    isHandshake: true,
    explain: ({ connection }) =>
      "the TLS handshake failed and this runtime does not say why, " +
      `check the server's certificate against ${connection.caSource} and "tls-server-name", and the client certificate`,
  },
  {
    pattern: /handshake eof|disconnected before secure TLS/i,
    explain: () => "it ended the connection during the TLS handshake, check host and port",
  },
  {
    pattern:
      /error reading a body|ECONNRESET|connection reset|connection closed|broken pipe|EPIPE|ended early|unexpected eof/i,
    explain: () => "it ended the connection",
  },
];

const alertOf = (text: string) => /alert:? ?"?([A-Za-z ]+)/i.exec(text)?.[1]?.trim() ?? "alert";

/** ` at …`, where the text of the runtime says when a certificate has expired. */
export function expiredAt(text: string): string {
  const seconds = /not valid after (\d+)/.exec(text)?.[1];
  return seconds === undefined
    ? ""
    : ` at ${new Date(Number(seconds) * 1000).toISOString().replace(".000Z", "Z")}`;
}

/** The names in the certificate, from the message of rustls or of node. */
export function validNames(text: string): string {
  const rustls = [...text.matchAll(/(?:DnsName\("([^"]+)"\)|IpAddress\(([^)]+)\))/g)].map((m) =>
    m[1] ?? m[2]
  );
  const node = [...text.matchAll(/(?:DNS|IP Address):([^,\s]+)/g)].map((m) => m[1]);
  const names = [...rustls, ...node].slice(0, 6);
  return names.length === 0 ? "" : ` but for ${names.map((name) => `"${name}"`).join(", ")}`;
}

/**
 * An error that says what failed and what to do, with the runtime's error as its cause. Its public message names no
 * file and does not quote the runtime.
 */
export function explain(error: unknown, url: URL, connection: Connection): PrivateError {
  const text = `${messageOf(error)} ${codeOf(error) ?? ""}`;
  const rule = error instanceof TimeoutError ? undefined : RULES.find(({ pattern }) => pattern.test(text));
  const start = `Cannot reach the API server "${url.origin}"${through(connection)}: `;
  const publicConnection = { ...connection, caSource: "the certificate authority that the proxy is given" };
  const what = rule?.explain({ url, connection, text }) ?? messageOf(error);
  const publicly = rule?.explain({ url, connection: publicConnection, text }) ??
    "the request failed, see the log of buildkitd-autoscaler";
  const Class = rule?.isHandshake ? HandshakeError : PrivateError;
  return new Class(start + what, start + publicly, { cause: error });
}

function through({ proxy, proxySource }: Connection): string {
  if (proxy === undefined) return "";
  return ` through the proxy "${proxy.host}"${proxySource === undefined ? "" : ` (${proxySource})`}`;
}
