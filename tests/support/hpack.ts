/**
 * Header blocks made by hand, and a look into the table of a decoder, for tests of HPACK.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { concat } from "../../lib/base/bytes.ts";
import type { HpackDecoder } from "../../lib/proxy/hpack.ts";
import { STATIC_TABLE } from "../../lib/proxy/hpack_static.ts";

/** Bytes from hex; spaces are ignored. */
export function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
}

/** A number after some first bits (RFC 7541, section 5.1). */
export function hpackNumber(value: number, prefixBits: number, firstBits = 0): Uint8Array {
  const most = (1 << prefixBits) - 1;
  if (value < most) return Uint8Array.of(firstBits | value);
  const bytes = [firstBits | most];
  let rest = value - most;
  for (; rest >= 128; rest >>>= 7) bytes.push(rest & 127 | 128);
  return Uint8Array.of(...bytes, rest);
}

/** A string without Huffman coding; of Latin-1 characters. */
export function hpackText(text: string): Uint8Array {
  return concat([hpackNumber(text.length, 7), new Uint8Array(Buffer.from(text, "latin1"))]);
}

/** A field that the decoder must know: by its number alone. */
export function indexed(number: number): Uint8Array {
  return hpackNumber(number, 7, 0x80);
}

/** A field that the decoder must remember. */
export function remembered(name: string, value: string): Uint8Array {
  return concat([Uint8Array.of(0x40), hpackText(name), hpackText(value)]);
}

/** Changes the size of the decoder's table. */
export function resized(limitBytes: number): Uint8Array {
  return hpackNumber(limitBytes, 5, 0x20);
}

/** What a decoder has in its dynamic table, newest first, as `name: value`. The decoder cannot be used after that. */
export function tableOf(decoder: HpackDecoder): string[] {
  const entries: string[] = [];
  for (let number = STATIC_TABLE.length + 1;; number++) {
    const fields = decoder.decode(indexed(number));
    if (fields === undefined) return entries;
    entries.push(...fields.map(({ name, value }) => `${name}: ${value}`));
  }
}
