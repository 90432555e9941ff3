/**
 * The names in a client's certificate, read from its DER bytes. The runtime's `X509Certificate` is no help: it gives
 * alternative names as one text, in which a comma in a name is not escaped (CVE-2021-44532), and says nothing of kinds such
 * as registeredID (seen on Deno 2.9.6). Whoever calls this has verified the certificate. Pure.
 *
 * @see https://www.rfc-editor.org/rfc/rfc5280 sections 4.1 and 4.2.1.6
 * @module
 */
import { formatIpv4, formatIpv6 } from "./proxy_header.ts";

/** Whom a certificate was made out to. */
export interface CertificateNames {
  /** DNS names, addresses, URIs and mail addresses of the subject alternative name. */
  readonly alternative: readonly string[];
  /** The last common name of the subject; none in a certificate with alternative names of any kind (RFC 6125, section 6.4.4). */
  readonly common: string | undefined;
}

/**
 * The name by which a client is let in: with a list, the first of its names that is listed. `undefined` when no name is
 * listed.
 */
export function acceptedName(
  { alternative, common }: CertificateNames,
  allowed: readonly string[] | undefined,
): string | undefined {
  const names = common === undefined ? alternative : [common];
  return allowed === undefined ? names[0] ?? "" : names.find((name) => allowed.includes(name));
}

/** The names for a message, not endless. */
export function describeNames({ alternative, common }: CertificateNames): string {
  const names = common === undefined ? alternative : [common];
  return names.slice(0, 5).map((name) => JSON.stringify(name.slice(0, 100))).join(", ") || "no name";
}

/** One element of DER. */
interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
}

const SEQUENCE = 0x30;
const OID = 0x06;
const OCTET_STRING = 0x04;
/** `[3] EXPLICIT`: the extensions of a certificate. */
const EXTENSIONS = 0xa3;
/** `[0] EXPLICIT`: the version of a certificate, which may be missing. */
const VERSION = 0xa0;
/** 2.5.4.3 */
const COMMON_NAME = "550403";
/** 2.5.29.17 */
const SUBJECT_ALTERNATIVE_NAME = "551d11";

/**
 * The names of a certificate in DER.
 *
 * @throws Error when the bytes are no certificate
 */
export function namesOf(certificate: Uint8Array): CertificateNames {
  const [outer] = elementsOf(certificate);
  const [signed] = elementsOf(contentOf(outer, SEQUENCE));
  const fields = elementsOf(contentOf(signed, SEQUENCE));
  // Version, serial number, algorithm, issuer, validity, subject.
  const subject = fields[fields[0]?.tag === VERSION ? 5 : 4];
  const extensions = fields.find(({ tag }) => tag === EXTENSIONS);
  const alternative = extensions && alternativeNames(extensions.content);
  return {
    alternative: alternative ?? [],
    common: alternative === undefined ? commonName(contentOf(subject, SEQUENCE)) : undefined,
  };
}

function commonName(subject: Uint8Array): string | undefined {
  return elementsOf(subject)
    .flatMap(({ content }) => elementsOf(content))
    .map(({ content }) => elementsOf(content))
    .filter(([type]) => type?.tag === OID && hexOf(type.content) === COMMON_NAME)
    .flatMap(([, value]) => value === undefined ? [] : [textOf(value)])
    .at(-1);
}

/** Nothing if there is no such extension. */
function alternativeNames(extensions: Uint8Array): string[] | undefined {
  const [list] = elementsOf(extensions);
  const found = elementsOf(contentOf(list, SEQUENCE))
    .map(({ content }) => elementsOf(content))
    .filter(([type]) => type?.tag === OID && hexOf(type.content) === SUBJECT_ALTERNATIVE_NAME);
  if (found.length === 0) return undefined;
  return found.flatMap((fields) => {
    const [names] = elementsOf(contentOf(fields.at(-1), OCTET_STRING));
    return elementsOf(contentOf(names, SEQUENCE)).flatMap(generalName);
  });
}

/** Kinds of names that nobody could list as text are left out. */
function generalName({ tag, content }: Element): string[] {
  switch (tag & 0x1f) {
    case 1: // rfc822Name
    case 2: // dNSName
    case 6: // uniformResourceIdentifier
      return [String.fromCharCode(...content)];
    case 7: // iPAddress
      if (content.byteLength === 4) return [formatIpv4(content)];
      return content.byteLength === 16 ? [formatIpv6(content)] : [];
    default:
      return [];
  }
}

/** The elements that the bytes consist of. */
function elementsOf(bytes: Uint8Array): Element[] {
  const elements: Element[] = [];
  for (let rest = bytes; rest.byteLength > 0;) {
    const [tag = 0, first = 0] = rest;
    const width = first < 0x80 ? 0 : first & 0x7f;
    let length = width === 0 ? first : 0;
    for (const byte of rest.subarray(2, 2 + width)) length = length * 256 + byte;
    const start = 2 + width;
    if (rest.byteLength < start || width > 4 || length > rest.byteLength - start) {
      throw new Error("Cannot read a certificate: found broken DER");
    }
    elements.push({ tag, content: rest.subarray(start, start + length) });
    rest = rest.subarray(start + length);
  }
  return elements;
}

function contentOf(element: Element | undefined, tag: number): Uint8Array {
  if (element?.tag !== tag) throw new Error(`Cannot read a certificate: want an element with tag ${tag}`);
  return element.content;
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** BMPString has two bytes a character; the other types of strings are, or include, ASCII. No mark is left out of them. */
function textOf({ tag, content }: Element): string {
  return new TextDecoder(tag === 0x1e ? "utf-16be" : "utf-8", { ignoreBOM: true }).decode(content);
}
