/**
 * What a failed connection means and what to do about it. The runtime's errors mostly carry no code, so this is the one
 * place where their text is matched: as seen on Deno 2.9 and 2.6 (rustls, hyper, node:tls).
 *
 * @module
 */
import { codeOf, ExplainedError, messageOf, TimeoutError } from "../base/errors.ts";
import type { Connection } from "./connection.ts";

interface Context {
  readonly url: URL;
  readonly connection: Connection;
  /** Text and code of the error. */
  readonly text: string;
}

interface Rule {
  readonly pattern: RegExp;
  explain(context: Context): string;
}

const serverNameOf = ({ url, connection }: Context) => connection.serverName ?? url.hostname;

/** In this order: the first that matches wins. */
const RULES: readonly Rule[] = [
  {
    pattern: /proxy authentication required/i,
    explain: () => 'the proxy wants other credentials, check the user and password of "proxy-url"',
  },
  {
    pattern: /tunnel error|unsuccessful tunnel|proxy refused the tunnel/i,
    explain: ({ connection }) => `the proxy${at(connection.proxy)} does not connect to it`,
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
        : `the connection was refused, check that the server and the proxy${at(connection.proxy)} run`,
  },
  {
    pattern: /no route to host|EHOSTUNREACH|network is unreachable|ENETUNREACH/i,
    explain: () => "there is no route to it, check the network, VPN and firewall",
  },
  {
    pattern: /not valid yet/i,
    explain: () => "the server's certificate is not valid yet, check the clocks of server and client",
  },
  {
    pattern: /invalid peer certificate: (certificate )?expired|CERT_HAS_EXPIRED|certificate has expired/i,
    explain: (context) =>
      `the server's certificate has expired${expiredAt(context.text)}, renew it on the server`,
  },
  {
    pattern: /not valid for (any )?name|NotValidForName|ERR_TLS_CERT_ALTNAME_INVALID|altnames/i,
    explain: (context) =>
      `the server's certificate is not for the name "${serverNameOf(context)}"${validNames(context.text)}, ` +
      'set "tls-server-name" of the cluster in the kubeconfig to a name that it is for, or use another server address',
  },
  {
    pattern:
      /UnknownIssuer|UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED|UNABLE_TO_GET_ISSUER|unable to verify the first/i,
    explain: ({ connection, text }) =>
      `the server's certificate is not signed by ${connection.caSource}` +
      (/UNABLE_TO_VERIFY_LEAF/.test(text) ? ", or it has expired" : "") +
      ", check that this is the right cluster and its certificate authority",
  },
  {
    pattern: /received fatal alert|ALERT_|tlsv1[23]? alert|sslv3 alert/i,
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
        ? 'it does not speak plain HTTP on this port, use "https://"'
        : "it does not speak HTTP",
  },
  {
    pattern: /invalid peer certificate|BadEncoding/i,
    explain: ({ connection }) => `the server's certificate cannot be verified with ${connection.caSource}`,
  },
  {
    pattern: /timed out|ETIMEDOUT|timeout/i,
    explain: () => "the connection timed out, check the network, VPN and firewall",
  },
  {
    pattern: /write UNKNOWN|\bUNKNOWN\b/,
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

const at = (proxy: URL | undefined) => proxy === undefined ? "" : ` "${proxy.host}"`;

const alertOf = (text: string) => /alert:? ?"?([A-Za-z ]+)/i.exec(text)?.[1]?.trim() ?? "alert";

function expiredAt(text: string): string {
  const seconds = /not valid after (\d+)/.exec(text)?.[1];
  return seconds === undefined
    ? ""
    : ` at ${new Date(Number(seconds) * 1000).toISOString().replace(".000Z", "Z")}`;
}

/** The names that the certificate is for, in either runtime's words. */
function validNames(text: string): string {
  const rustls = [...text.matchAll(/(?:DnsName\("([^"]+)"\)|IpAddress\(([^)]+)\))/g)].map((m) =>
    m[1] ?? m[2]
  );
  const node = [...text.matchAll(/(?:DNS|IP Address):([^,\s]+)/g)].map((m) => m[1]);
  const names = [...rustls, ...node].slice(0, 6);
  return names.length === 0 ? "" : ` but for ${names.map((name) => `"${name}"`).join(", ")}`;
}

/** An error that says what failed and what to do, with the runtime's error as its cause. */
export function explain(error: unknown, url: URL, connection: Connection): Error {
  const text = `${messageOf(error)} ${codeOf(error) ?? ""}`;
  const rule = error instanceof TimeoutError ? undefined : RULES.find(({ pattern }) => pattern.test(text));
  const what = rule?.explain({ url, connection, text }) ?? messageOf(error);
  const message = `Cannot reach the API server "${url.origin}": ${what}`;
  return rule === undefined
    ? new Error(message, { cause: error })
    : new ExplainedError(message, { cause: error });
}
