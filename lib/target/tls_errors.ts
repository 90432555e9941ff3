/**
 * What a failed TLS handshake with buildkitd means, and what to do about it. The runtime's errors mostly carry no code, so
 * their text is matched: as seen on Deno 2.9 and 2.6, of its own TLS and of `node:tls`. Names no file. Pure.
 *
 * @module
 */
import { codeOf, messageOf } from "../base/errors.ts";
import { expiredAt, validNames } from "../kube/http_errors.ts";

/** What the handshake was made with. */
export interface HandshakeFacts {
  /** The name that was expected. */
  readonly serverName: string;
  /** Whether a client's certificate was presented. */
  readonly presents: boolean;
}

interface Rule {
  readonly pattern: RegExp;
  explain(facts: HandshakeFacts, text: string): string;
}

/** In this order: the first that matches wins. */
const RULES: readonly Rule[] = [
  {
    pattern: /not valid yet/i,
    explain: () => "buildkitd's certificate is not valid yet: check the clocks of both machines",
  },
  {
    pattern: /invalid peer certificate: (certificate )?expired|CERT_HAS_EXPIRED/i,
    explain: (_, text) =>
      `buildkitd's certificate has expired${expiredAt(text)}: renew it, and restart buildkitd`,
  },
  {
    pattern: /not valid for (any )?name|NotValidForName|ERR_TLS_CERT_ALTNAME_INVALID/i,
    explain: ({ serverName }, text) =>
      `buildkitd's certificate is not for "${serverName}"${validNames(text)}: ` +
      "set --upstream-tls-server-name to a name that it is for",
  },
  {
    pattern: /UnknownIssuer|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER|SELF_SIGNED/,
    explain: (_, text) =>
      "buildkitd's certificate is not signed by a CA of --upstream-tls-ca" +
      (UNKNOWN_ISSUER.test(text) ? ", or it has expired" : ""),
  },
  {
    pattern: /alert: ?(CertificateRequired|HandshakeFailure)/i,
    explain: ({ presents }, text) =>
      presents && /HandshakeFailure/i.test(text)
        ? `buildkitd refused the TLS handshake (${alertOf(text)})`
        : "buildkitd wants a client certificate: set --upstream-tls-cert and --upstream-tls-key",
  },
  {
    pattern: /alert: ?CertificateExpired/i,
    explain: () => "the client certificate of --upstream-tls-cert has expired, says buildkitd",
  },
  {
    pattern:
      /alert: ?(UnknownCA|BadCertificate|UnsupportedCertificate|CertificateUnknown|CertificateRevoked|AccessDenied)/i,
    explain: (_, text) =>
      `buildkitd does not accept the client certificate of --upstream-tls-cert (${alertOf(text)}): ` +
      "it has to be signed by the CA of buildkitd's --tlscacert",
  },
  {
    pattern: /received fatal alert/i,
    explain: (_, text) => `buildkitd refused the TLS handshake (${alertOf(text)})`,
  },
  {
    pattern: /InvalidContentType|ERR_SSL_WRONG_VERSION_NUMBER/i,
    explain: () =>
      "buildkitd does not speak TLS on this port: give it a certificate (--tlscert, --tlskey), or start the proxy " +
      "without --upstream-tls-ca",
  },
  {
    pattern:
      /unexpected (end of file|eof)|without sending TLS close_notify|ECONNRESET|ECONNABORTED|EPIPE|connection was closed/i,
    explain: () => "buildkitd ended the connection during the TLS handshake",
  },
  {
    pattern: /invalid peer certificate/i,
    explain: (_, text) => `buildkitd's certificate cannot be verified with --upstream-tls-ca (${text})`,
  },
];

/** `node:tls` says this of an expired certificate as well. */
export const UNKNOWN_ISSUER = /UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER|SELF_SIGNED/;

const alertOf = (text: string) => /alert: ?([A-Za-z]+)/.exec(text)?.[1] ?? "alert";

/** The error in words for the log and for clients. */
export function describeTlsFault(error: unknown, facts: HandshakeFacts): string {
  const text = [codeOf(error), messageOf(error)].filter(Boolean).join(" ");
  const rule = RULES.find(({ pattern }) => pattern.test(text));
  return rule?.explain(facts, text) ??
    `the TLS handshake with buildkitd failed: ${messageOf(error)}`;
}
