/**
 * Checks that text is PEM certificates or a PEM private key (RFC 7468). The runtime accepts some garbage without an
 * error, and then every handshake fails with a misleading message. Pure. Never quotes key material.
 *
 * @module
 */
import { createPublicKey, type KeyObject, X509Certificate } from "node:crypto";

/** A certificate and its private key, both PEM. */
export interface KeyPair {
  /** The certificate, followed by intermediate certificates. */
  readonly cert: string;
  /** The unencrypted key. */
  readonly key: string;
}

interface Block {
  readonly label: string;
  readonly body: string;
}

function blocksOf(text: string): Block[] {
  const pattern = /-----BEGIN ([A-Z0-9 ]+)-----([^-]*(?:-(?!----)[^-]*)*)-----END \1-----/g;
  return [...text.matchAll(pattern)].map(([, label = "", body = ""]) => ({ label, body }));
}

/** The bytes of a block, or `undefined` if it is not the base64 of one complete DER sequence. */
function derOf({ body }: Block): Uint8Array | undefined {
  let der: Uint8Array;
  try {
    der = Uint8Array.from(atob(body.replace(/\s/g, "")), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
  const [tag, first = 0] = der;
  if (tag !== 0x30) return undefined;
  if (first < 128) return der.length === 2 + first ? der : undefined;
  const width = first & 127;
  let length = 0;
  for (const byte of der.subarray(2, 2 + width)) length = length * 256 + byte;
  return der.length === 2 + width + length ? der : undefined;
}

/** The certificate, if the runtime can read it. One that it cannot read may still be valid; the handshake will show. */
function read(block: Block): X509Certificate | undefined {
  try {
    return new X509Certificate(`-----BEGIN CERTIFICATE-----${block.body}-----END CERTIFICATE-----\n`);
  } catch {
    return undefined;
  }
}

const validTo = (certificate: X509Certificate | undefined): number | undefined => {
  const ms = certificate === undefined ? NaN : Date.parse(certificate.validTo.replace("+00:00", "GMT"));
  return Number.isNaN(ms) ? undefined : ms;
};

const bytesOf = (text: string) => `${new TextEncoder().encode(text).length} bytes`;

type Parsed = { readonly fault: string } | { readonly blocks: readonly Block[] };

function certificateBlocks(text: string): Parsed {
  if (text.trim() === "") return { fault: "found nothing" };
  const all = blocksOf(text);
  const blocks = all.filter(({ label }) => label === "CERTIFICATE");
  if (blocks.length === 0) {
    return all[0] === undefined
      ? { fault: `found ${bytesOf(text)} that are not a PEM certificate` }
      : { fault: `found a PEM block "${all[0].label}"` };
  }
  const broken = blocks.findIndex((block) => derOf(block) === undefined);
  if (broken >= 0) return { fault: `found a PEM certificate that cannot be decoded (number ${broken + 1})` };
  return { blocks };
}

const isoOf = (ms: number) => new Date(ms).toISOString().replace(".000Z", "Z");

/**
 * What is wrong with the certificates of authorities, as `found …`, or `undefined`. A bundle may contain some expired
 * certificates.
 */
export function faultOfCa(text: string, wallMs: number): string | undefined {
  const parsed = certificateBlocks(text);
  if ("fault" in parsed) return parsed.fault;
  const expiries = parsed.blocks.map((block) => validTo(read(block)) ?? Infinity);
  const last = Math.max(...expiries);
  return last < wallMs ? `found a certificate that expired at ${isoOf(last)}` : undefined;
}

/** What is wrong with a client certificate, as `found …`, or `undefined`. */
export function faultOfClientCertificate(text: string, wallMs: number): string | undefined {
  const parsed = certificateBlocks(text);
  if ("fault" in parsed) return parsed.fault;
  if (parsed.blocks.some(isVersion1)) return "found a certificate of X.509 version 1, want version 3";
  const expiry = notAfterMs(text);
  return expiry !== undefined && expiry < wallMs
    ? `found a certificate that expired at ${isoOf(expiry)}`
    : undefined;
}

/**
 * Whether a certificate is of the version without extensions, which `openssl x509 -req` of old makes by default. The
 * runtime's TLS does not know it: Deno 2.6 ends the process on one. It begins with the serial number, later versions with
 * the number of the version (RFC 5280, section 4.1).
 */
function isVersion1(block: Block): boolean {
  const signed = contentOf(contentOf(derOf(block)!));
  return signed[0] === 0x02;
}

/** What is inside an element of DER. */
function contentOf(der: Uint8Array): Uint8Array {
  const first = der[1] ?? 0;
  return der.subarray(2 + (first < 128 ? 0 : first & 127));
}

/** When the first certificate expires, in wall time, if the runtime can read it. */
export function notAfterMs(text: string): number | undefined {
  const first = blocksOf(text).find(({ label }) => label === "CERTIFICATE");
  return first === undefined ? undefined : validTo(read(first));
}

/** The certificates of a text, without those that the runtime cannot read. */
export function certificatesOf(text: string): X509Certificate[] {
  return blocksOf(text).filter(({ label }) => label === "CERTIFICATE").map(read).filter((one) =>
    one !== undefined
  );
}

/** What is wrong with a private key, as `found …`, or `undefined`. */
export function faultOfKey(text: string): string | undefined {
  if (text.trim() === "") return "found nothing";
  const all = blocksOf(text);
  const keys = all.filter(({ label }) => /(^| )PRIVATE KEY$/.test(label));
  const [key] = keys;
  if (key === undefined) {
    return all[0] === undefined
      ? `found ${bytesOf(text)} that are not a PEM private key`
      : `found a PEM block "${all[0].label}"`;
  }
  if (key.label === "ENCRYPTED PRIVATE KEY" || key.body.includes("ENCRYPTED")) {
    return "found an encrypted private key";
  }
  return derOf(key) === undefined ? "found a PEM private key that cannot be decoded" : undefined;
}

/** As {@link faultOfKey}, with what is wanted: `found …, want …`. */
export function faultOfKeyFile(text: string): string | undefined {
  return wanting(faultOfKey(text), "a PEM private key that is not encrypted");
}

/** As {@link faultOfClientCertificate}, with what is wanted: `found …, want …`. */
export function faultOfCertificateFile(text: string, wallMs: number): string | undefined {
  return wanting(faultOfClientCertificate(text, wallMs), "a PEM certificate");
}

/** As {@link faultOfCa}, with what is wanted: `found …, want …`. */
export function faultOfCaFile(text: string, wallMs: number): string | undefined {
  return wanting(faultOfCa(text, wallMs), "PEM certificates of authorities");
}

function wanting(fault: string | undefined, what: string): string | undefined {
  return fault === undefined || fault.includes(", want ") ? fault : `${fault}, want ${what}`;
}

/** Whether each is what the other should be, and not what it should be itself: one file may have both. */
export function isSwapped({ cert, key }: KeyPair): boolean {
  const isCertificate = (text: string) => "blocks" in certificateBlocks(text);
  const isKey = (text: string) => faultOfKey(text) === undefined;
  return isKey(cert) && !isCertificate(cert) && isCertificate(key) && !isKey(key);
}

const spkiOf = (key: KeyObject) => key.export({ type: "spki", format: "der" }).toString("base64");

/** Whether certificate and key certainly do not match. (Deno 2.6 ends the process on such a pair.) */
export function isMismatch({ cert, key }: KeyPair): boolean {
  try {
    return spkiOf(new X509Certificate(cert).publicKey) !== spkiOf(createPublicKey(key));
  } catch {
    return false; // a form that the runtime cannot read here: the handshake will tell
  }
}
