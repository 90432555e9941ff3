/**
 * Test certificates, made when a test asks for them, so that no private key is committed and nothing expires. A tiny
 * DER writer (X.690) and X.509 v3 (RFC 5280) with ECDSA P-256 keys; for tests only.
 *
 * @module
 */

/** A certificate and its key, both PEM. */
export interface TestCertificate {
  /** PEM, `CERTIFICATE`. */
  readonly cert: string;
  /** PEM, `PRIVATE KEY` (PKCS #8). */
  readonly key: string;
}

/** A certificate that can sign others. */
export interface TestCa extends TestCertificate {
  /** Signs a certificate. */
  issue(options: IssueOptions): Promise<TestCertificate>;
  /** Signs one of an authority below this one, or of somebody who only behaves like one. */
  issueCa(options: IssueOptions, isCa?: boolean): Promise<TestCa>;
}

/** What a certificate says. */
export interface IssueOptions {
  /** The subject's common name. */
  readonly commonName: string;
  /** Subject alternative names that are DNS names. */
  readonly dnsNames?: readonly string[];
  /** Subject alternative names that are IPv4 addresses. */
  readonly ipAddresses?: readonly string[];
  /** Subject alternative names that are URIs. */
  readonly uris?: readonly string[];
  /** Subject alternative names that are mail addresses. */
  readonly mailAddresses?: readonly string[];
  /** Subject alternative names of other kinds, in DER. */
  readonly otherNames?: readonly Uint8Array[];
  /** Default: a day ago. */
  readonly notBefore?: Date;
  /** Default: in ten years. */
  readonly notAfter?: Date;
}

const DAY_MS = 86_400_000;

function tlv(tag: number, ...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const head = length < 128
    ? [tag, length]
    : length < 256
    ? [tag, 0x81, length]
    : [tag, 0x82, length >> 8, length & 255];
  const bytes = new Uint8Array(head.length + length);
  bytes.set(head);
  let offset = head.length;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

const bytes = (...values: number[]) => new Uint8Array(values);
const utf8 = (text: string) => new TextEncoder().encode(text);
const sequence = (...parts: Uint8Array[]) => tlv(0x30, ...parts);

function oid(text: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const out = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 127];
    for (let left = arc >> 7; left > 0; left >>= 7) groups.unshift((left & 127) | 128);
    out.push(...groups);
  }
  return tlv(0x06, bytes(...out));
}

/** An ASN.1 INTEGER from unsigned bytes. */
function integer(value: Uint8Array): Uint8Array {
  let start = 0;
  while (start < value.length - 1 && value[start] === 0) start++;
  const trimmed = value.subarray(start);
  return (trimmed[0] ?? 0) & 128 ? tlv(0x02, bytes(0), trimmed) : tlv(0x02, trimmed);
}

const name = (commonName: string) =>
  sequence(tlv(0x31, sequence(oid("2.5.4.3"), tlv(0x0c, utf8(commonName)))));

/** GeneralizedTime. */
const time = (date: Date) => tlv(0x18, utf8(date.toISOString().replace(/[-:T]|\.\d+/g, "")));

const extension = (id: string, critical: boolean, value: Uint8Array) =>
  sequence(oid(id), ...(critical ? [tlv(0x01, bytes(255))] : []), tlv(0x04, value));

const ECDSA_SHA256 = sequence(oid("1.2.840.10045.4.3.2"));

/** Wraps bytes in PEM armour. */
export function pem(label: string, der: Uint8Array): string {
  const base64 = btoa(String.fromCharCode(...der)).replace(/.{64}/g, "$&\n").trimEnd();
  return `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`;
}

async function make(
  options: IssueOptions,
  isCa: boolean,
  issuer: { readonly commonName: string; readonly privateKey: CryptoKey } | undefined,
): Promise<TestCertificate & { readonly privateKey: CryptoKey }> {
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  const names = [
    ...(options.dnsNames ?? []).map((dns) => tlv(0x82, utf8(dns))),
    ...(options.uris ?? []).map((uri) => tlv(0x86, utf8(uri))),
    ...(options.mailAddresses ?? []).map((mail) => tlv(0x81, utf8(mail))),
    ...(options.otherNames ?? []),
    ...(options.ipAddresses ?? []).map((ip) => tlv(0x87, bytes(...ip.split(".").map(Number)))),
  ];
  const extensions = [
    extension("2.5.29.19", true, isCa ? sequence(tlv(0x01, bytes(255))) : sequence()),
    extension("2.5.29.15", true, isCa ? tlv(0x03, bytes(1, 0x06)) : tlv(0x03, bytes(7, 0x80))),
    ...(isCa
      ? []
      : [extension("2.5.29.37", false, sequence(oid("1.3.6.1.5.5.7.3.1"), oid("1.3.6.1.5.5.7.3.2")))]),
    ...(names.length > 0 ? [extension("2.5.29.17", false, sequence(...names))] : []),
  ];
  const body = sequence(
    tlv(0xa0, tlv(0x02, bytes(2))),
    integer(crypto.getRandomValues(new Uint8Array(12))),
    ECDSA_SHA256,
    name(issuer?.commonName ?? options.commonName),
    sequence(
      time(options.notBefore ?? new Date(Date.now() - DAY_MS)),
      time(options.notAfter ?? new Date(Date.now() + 3650 * DAY_MS)),
    ),
    name(options.commonName),
    new Uint8Array(await crypto.subtle.exportKey("spki", keys.publicKey)),
    tlv(0xa3, sequence(...extensions)),
  );
  const raw = new Uint8Array(
    await crypto.subtle.sign(
      { name: "ECDSA", hash: "SHA-256" },
      issuer?.privateKey ?? keys.privateKey,
      body,
    ),
  );
  const signature = sequence(integer(raw.subarray(0, 32)), integer(raw.subarray(32)));
  return {
    cert: pem("CERTIFICATE", sequence(body, ECDSA_SHA256, tlv(0x03, bytes(0), signature))),
    key: pem("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey))),
    privateKey: keys.privateKey,
  };
}

/** A new certificate authority. */
export async function makeCa(
  options: IssueOptions = { commonName: "Test CA" },
): Promise<TestCa> {
  return caOf(options.commonName, await make(options, true, undefined));
}

/** An authority as it is after {@link make}. */
function caOf(
  commonName: string,
  { cert, key, privateKey }: TestCertificate & { readonly privateKey: CryptoKey },
): TestCa {
  const own = { commonName, privateKey };
  return {
    cert,
    key,
    async issue(issued) {
      const { cert, key } = await make(issued, false, own);
      return { cert, key };
    },
    async issueCa(issued, isCa = true) {
      return caOf(issued.commonName, await make(issued, isCa, own));
    },
  };
}
