/**
 * Findings about the files that TLS is made with. Pure.
 *
 * @module
 */
import { notAfterMs } from "../kube/pem.ts";
import { failed, type Finding, ok, warning } from "./finding.ts";

/** Certificates that expire sooner than this are told of, in ms. */
const SOON_MS = 14 * 24 * 60 * 60 * 1000;

/** One use of TLS. */
export interface TlsUse {
  /** What it is for. */
  readonly check: string;
  /** All that is wrong with its files. */
  readonly problems: readonly string[];
  /** The texts of its certificates, by their flags. */
  readonly certificates: readonly (readonly [flag: string, pem: string])[];
}

const MEND = "renew the certificate, and put it in place of the file; the program reads it again";

/** The finding for one use of TLS. */
export function tlsFindings({ check, problems, certificates }: TlsUse, wallMs: number): readonly Finding[] {
  const findings: Finding[] = problems.map((problem) =>
    failed(check, problem, "files that can be used", "correct the file, or the flag that names it")
  );
  const dated = certificates.flatMap(([flag, pem]) => {
    const ms = notAfterMs(pem);
    return ms === undefined ? [] : [{ flag, ms }];
  });
  for (const { flag, ms } of dated) {
    if (ms >= wallMs + SOON_MS) continue;
    const at = new Date(ms).toISOString().replace(".000Z", "Z");
    const want = "a certificate that is valid for two more weeks";
    // What has expired may be among the problems already.
    if (ms >= wallMs) {
      findings.push(warning(check, `the certificate of ${flag} expires at ${at}`, want, MEND));
    } else if (problems.length === 0) {
      findings.push(failed(check, `the certificate of ${flag} has expired at ${at}`, want, MEND));
    }
  }
  if (findings.length > 0) return findings;
  const first = dated.toSorted((a, b) => a.ms - b.ms)[0];
  const until = first === undefined ? "" : `, valid until ${new Date(first.ms).toISOString().slice(0, 10)}`;
  return [ok(check, `files can be used${until}`)];
}
