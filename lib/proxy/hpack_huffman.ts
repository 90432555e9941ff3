/**
 * The Huffman code of HTTP/2's header strings, decoding only. Pure. Source: RFC 7541, section 5.2 and appendix B.
 *
 * The code is canonical: codes of one length are consecutive numbers in the order of their symbols, and each length goes
 * on where the one before has ended. So the symbols of each length say everything.
 *
 * @module
 */
import { FormatError } from "./byte_reader.ts";

/** The symbols of each length in bits. The last code of 30 bits, all ones, ends a string, and must not be sent. */
const SYMBOLS: readonly (readonly [lengthBits: number, hex: string])[] = [
  [5, "30 31 32 61 63 65 69 6f 73 74"],
  [6, "20 25 2d 2e 2f 33 34 35 36 37 38 39 3d 41 5f 62 64 66 67 68 6c 6d 6e 70 72 75"],
  [7, "3a 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f 50 51 52 53 54 55 56 57 59 6a 6b 71 76 77 78 79 7a"],
  [8, "26 2a 2c 3b 58 5a"],
  [10, "21 22 28 29 3f"],
  [11, "27 2b 7c"],
  [12, "23 3e"],
  [13, "00 24 40 5b 5d 7e"],
  [14, "5e 7d"],
  [15, "3c 60 7b"],
  [19, "5c c3 d0"],
  [20, "80 82 83 a2 b8 c2 e0 e2"],
  [21, "99 a1 a7 ac b0 b1 b3 d1 d8 d9 e3 e5 e6"],
  [22, "81 84 85 86 88 92 9a 9c a0 a3 a4 a9 aa ad b2 b5 b9 ba bb bd be c4 c6 e4 e8 e9"],
  [23, "01 87 89 8a 8b 8c 8d 8f 93 95 96 97 98 9b 9d 9e a5 a6 a8 ae af b4 b6 b7 bc bf c5 e7 ef"],
  [24, "09 8e 90 91 94 9f ab ce d7 e1 ec ed"],
  [25, "c7 cf ea eb"],
  [26, "c0 c1 c8 c9 ca cd d2 d5 da db ee f0 f2 f3 ff"],
  [27, "cb cc d3 d4 d6 dd de df f1 f4 f5 f6 f7 f8 fa fb fc fd fe"],
  [28, "02 03 04 05 06 07 08 0b 0c 0e 0f 10 11 12 13 14 15 17 18 19 1a 1b 1c 1d 1e 1f 7f dc f9"],
  [30, "0a 0d 16"],
];

const LONGEST_CODE_BITS = 30;

/** The codes of one length: the first one, and their symbols. */
interface Codes {
  readonly first: number;
  readonly symbols: readonly number[];
}

/** By length in bits. */
const CODES: readonly Codes[] = codesOf(new Map(SYMBOLS));

function codesOf(symbolsByLength: ReadonlyMap<number, string>): Codes[] {
  const codes: Codes[] = [];
  let first = 0;
  for (let bits = 0; bits <= LONGEST_CODE_BITS; bits++) {
    const hex = symbolsByLength.get(bits)?.split(" ") ?? [];
    codes.push({ first, symbols: hex.map((symbol) => parseInt(symbol, 16)) });
    first = (first + hex.length) << 1;
  }
  return codes;
}

/** Decodes a string. @throws FormatError if it has a code that is none, or ends in anything else than a little padding */
export function decodeHuffman(encoded: Uint8Array): Uint8Array {
  // No code is shorter than five bits.
  const decoded = new Uint8Array(2 * encoded.byteLength);
  let length = 0;
  let code = 0;
  let bits = 0;
  for (const byte of encoded) {
    for (let shift = 7; shift >= 0; shift--) {
      code = code << 1 | (byte >> shift & 1);
      bits++;
      const { first, symbols } = CODES[bits]!;
      const symbol = symbols[code - first];
      if (symbol !== undefined) {
        decoded[length++] = symbol;
        code = bits = 0;
      } else if (bits === LONGEST_CODE_BITS) throw new FormatError("the end of a Huffman string within it");
    }
  }
  // The padding is the start of the end's code: ones, and less than a byte of them.
  if (bits > 7 || code !== (1 << bits) - 1) throw new FormatError("the padding of a Huffman string");
  return decoded.subarray(0, length);
}
