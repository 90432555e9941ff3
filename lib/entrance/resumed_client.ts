/**
 * Whether a client that resumes a TLS session may still come in. The runtime takes it without looking at its certificate
 * again, keeps sessions for all servers of the process, and has no way to switch that off (seen on Deno 2.9.6): so a
 * certificate would outlive its own end, and the authority that has signed it. What the first handshake has verified in
 * full, such as what the certificate is for, needs no second look. Pure.
 *
 * @module
 */
import { X509Certificate } from "node:crypto";
import { certificatesOf } from "../kube/pem.ts";

/** Longer chains are not followed. */
const LONGEST_CHAIN = 10;

/** A certificate as the runtime gives it: of a chain, each is issued by the next, and the last one by itself or nobody. */
export interface PresentedCertificate {
  /** DER. */
  readonly raw?: Uint8Array;
  /** The next one. */
  readonly issuerCertificate?: PresentedCertificate;
}

/** The client's certificate, and those of the authorities between it and the last one, as it has presented them. */
export function chainOf(presented: PresentedCertificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next: PresentedCertificate | undefined = presented;
  while (next?.raw !== undefined && chain.length < LONGEST_CHAIN) {
    chain.push(new X509Certificate(next.raw as never));
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
  }
  return chain;
}

/** Whether the first certificate is valid at this time, and signed by one of the authorities, over others of the chain. */
export function isStillTrusted(
  chain: readonly X509Certificate[],
  authorities: string,
  wallMs: number,
): boolean {
  const trusted = certificatesOf(authorities);
  for (const [i, certificate] of chain.entries()) {
    if (!isValidAt(certificate, wallMs)) return false;
    if (trusted.some((authority) => isSame(certificate, authority) || isIssuedBy(certificate, authority))) {
      return true;
    }
    const issuer = chain[i + 1];
    if (issuer === undefined || !issuer.ca || !isIssuedBy(certificate, issuer)) return false;
  }
  return false;
}

/** Dates that cannot be read are no valid ones. */
function isValidAt({ validFrom, validTo }: X509Certificate, wallMs: number): boolean {
  return Date.parse(validFrom) <= wallMs && wallMs <= Date.parse(validTo);
}

function isSame(one: X509Certificate, other: X509Certificate): boolean {
  return one.fingerprint256 === other.fingerprint256;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
