/** Tests of what is said of a failed TLS handshake, with errors as they were recorded. @module */
import assert from "node:assert/strict";
import { describeTlsFault } from "../../../lib/target/tls_errors.ts";

const facts = { serverName: "buildkitd", presents: true };
const coded = (code: string, message: string) => Object.assign(new Error(message), { code });
const invalid = (message: string) => new Deno.errors.InvalidData(message);

/** Of Go's `crypto/tls`, which buildkitd uses, seen through both kinds of TLS on Deno 2.9.6. */
const RECORDED: readonly (readonly [Error, string])[] = [
  [
    invalid("received fatal alert: CertificateRequired"),
    "buildkitd wants a client certificate: set --upstream-tls-cert and --upstream-tls-key",
  ],
  [
    coded("ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "received fatal alert: UnknownCA"),
    "buildkitd does not accept the client certificate of --upstream-tls-cert (UnknownCA): it has to be signed by the CA " +
    "of buildkitd's --tlscacert",
  ],
  [
    coded("ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE", "received fatal alert: BadCertificate"),
    "buildkitd does not accept the client certificate of --upstream-tls-cert (BadCertificate): it has to be signed by " +
    "the CA of buildkitd's --tlscacert",
  ],
  [
    coded("ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED", "received fatal alert: CertificateExpired"),
    "the client certificate of --upstream-tls-cert has expired, says buildkitd",
  ],
  [invalid("received fatal alert: ProtocolVersion"), "buildkitd refused the TLS handshake (ProtocolVersion)"],
  [
    coded("ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE", "received fatal alert: HandshakeFailure"),
    "buildkitd refused the TLS handshake (HandshakeFailure)",
  ],
  [
    coded("UNABLE_TO_VERIFY_LEAF_SIGNATURE", "unable to verify the first certificate"),
    "buildkitd's certificate is not signed by a CA of --upstream-tls-ca, or it has expired",
  ],
  [
    invalid("invalid peer certificate: UnknownIssuer"),
    "buildkitd's certificate is not signed by a CA of --upstream-tls-ca",
  ],
  [
    invalid("invalid peer certificate: BadEncoding"),
    "buildkitd's certificate cannot be verified with --upstream-tls-ca (invalid peer certificate: BadEncoding)",
  ],
  [
    coded("ECONNRESET", "Connection reset by peer (os error 104)"),
    "buildkitd ended the connection during the TLS handshake",
  ],
  [new Error("something new"), "the TLS handshake with buildkitd failed: something new"],
];

Deno.test("describeTlsFault() says what buildkitd refuses, and which setting mends it", () => {
  for (const [error, expected] of RECORDED) assert.equal(describeTlsFault(error, facts), expected);
});

Deno.test("describeTlsFault(): TLS 1.2 asks for a client certificate by another alert", () => {
  assert.equal(
    describeTlsFault(invalid("received fatal alert: HandshakeFailure"), { ...facts, presents: false }),
    "buildkitd wants a client certificate: set --upstream-tls-cert and --upstream-tls-key",
  );
});
