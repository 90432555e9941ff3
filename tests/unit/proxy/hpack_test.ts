/**
 * Tests of `HpackDecoder`: the examples of RFC 7541, the blocks of other encoders, and what must be refused.
 *
 * @module
 */
import assert from "node:assert/strict";
import { concat } from "../../../lib/base/bytes.ts";
import { HpackDecoder } from "../../../lib/proxy/hpack.ts";
import { STATIC_TABLE } from "../../../lib/proxy/hpack_static.ts";
import { hex, hpackNumber, hpackText, indexed, remembered, resized, tableOf } from "../../support/hpack.ts";

/** The fields of a block as `name: value`. */
function decode(decoder: HpackDecoder, block: Uint8Array): string[] | undefined {
  return decoder.decode(block)?.map(({ name, value }) => `${name}: ${value}`);
}

/** An example: blocks of one connection in hex, their fields, and the table after the last one. */
interface Example {
  readonly section: string;
  readonly tableBytes?: number;
  readonly blocks: readonly (readonly [hex: string, fields: readonly string[]])[];
  readonly table: readonly string[];
}

const REQUESTS = [
  [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
  [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
  [
    ":method: GET",
    ":scheme: https",
    ":path: /index.html",
    ":authority: www.example.com",
    "custom-key: custom-value",
  ],
] as const;

const REQUEST_TABLE = ["custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"];

const COOKIE = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const RESPONSES = [
  [
    ":status: 302",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "location: https://www.example.com",
  ],
  [
    ":status: 307",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "location: https://www.example.com",
  ],
  [
    ":status: 200",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:22 GMT",
    "location: https://www.example.com",
    "content-encoding: gzip",
    `set-cookie: ${COOKIE}`,
  ],
] as const;

const RESPONSE_TABLE = [
  `set-cookie: ${COOKIE}`,
  "content-encoding: gzip",
  "date: Mon, 21 Oct 2013 20:13:22 GMT",
];

/** RFC 7541, appendix C. */
const EXAMPLES: readonly Example[] = [
  {
    section: "C.2.1",
    blocks: [["400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", [
      "custom-key: custom-header",
    ]]],
    table: ["custom-key: custom-header"],
  },
  { section: "C.2.2", blocks: [["040c 2f73 616d 706c 652f 7061 7468", [":path: /sample/path"]]], table: [] },
  {
    section: "C.2.3",
    blocks: [["1008 7061 7373 776f 7264 0673 6563 7265 74", ["password: secret"]]],
    table: [],
  },
  { section: "C.2.4", blocks: [["82", [":method: GET"]]], table: [] },
  {
    section: "C.3",
    blocks: [
      ["8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", REQUESTS[0]],
      ["8286 84be 5808 6e6f 2d63 6163 6865", REQUESTS[1]],
      ["8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", REQUESTS[2]],
    ],
    table: REQUEST_TABLE,
  },
  {
    section: "C.4",
    blocks: [
      ["8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", REQUESTS[0]],
      ["8286 84be 5886 a8eb 1064 9cbf", REQUESTS[1]],
      ["8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", REQUESTS[2]],
    ],
    table: REQUEST_TABLE,
  },
  {
    section: "C.5",
    tableBytes: 256,
    blocks: [
      [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 " +
        "3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        RESPONSES[0],
      ],
      ["4803 3330 37c1 c0bf", RESPONSES[1]],
      [
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 " +
        "7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 " +
        "6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
        RESPONSES[2],
      ],
    ],
    table: RESPONSE_TABLE,
  },
  {
    section: "C.6",
    tableBytes: 256,
    blocks: [
      [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad " +
        "1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        RESPONSES[0],
      ],
      ["4883 640e ffc1 c0bf", RESPONSES[1]],
      [
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 " +
        "e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        RESPONSES[2],
      ],
    ],
    table: RESPONSE_TABLE,
  },
];

for (const { section, tableBytes, blocks, table } of EXAMPLES) {
  Deno.test(`HpackDecoder decodes the example ${section} of RFC 7541`, () => {
    const decoder = new HpackDecoder();
    if (tableBytes !== undefined) assert.deepEqual(decode(decoder, resized(tableBytes)), []);
    for (const [block, fields] of blocks) assert.deepEqual(decode(decoder, hex(block)), fields);
    assert.deepEqual(tableOf(decoder), table);
  });
}

Deno.test("HpackDecoder knows the 61 fields of the static table", () => {
  const numbers = Array.from({ length: 61 }, (_, i) => indexed(i + 1));
  const fields = decode(new HpackDecoder(), concat(numbers));
  assert.deepEqual(fields, STATIC_TABLE.map(({ name, value }) => `${name}: ${value}`));
  assert.equal(fields[15], "accept-encoding: gzip, deflate");
  assert.equal(fields[60], "www-authenticate: ");
});

/** All 256 bytes in order, as golang.org/x/net/http2/hpack encodes them. */
const ALL_BYTES_IN_HUFFMAN = `
  ffc7fffd8fffffe2fffffe3fffffe4fffffe5fffffe6fffffe7fffffe8ffffeafffffff3fffffa7fffffabffffffdfffffebfffffecfffffedffff
  feefffffefffffff0ffffff1ffffff2fffffffbfffffcffffffd3fffffd7fffffdbfffffdffffffe3fffffe7fffffebfffffed4fe3f9ffaffcabf1
  febfafefe7fdfd2cbb00089969b71d79fb9f7fff20ffbff3ff50ddbd7f061c58f265cd9f469d5af66dddbf871e5f9cff7ff7fffc3ff9ffe45fff47
  19242cb34e6e9d68a6a3d7dac426defe3cfaf7fffbfe7ffbffdffffffcfffe6ffff4bfff9ffffa3fffd3ffff53fffd5ffffb3fffeb7fffdaffffb7
  ffff73fffeeffffdeffffebffffbfffffd9ffffdbfffebffffe0ffffeeffffc3ffff8bffff1ffffe4fffee7fffb1ffff97fffd9ffffcdffff9ffff
  fbffffdafffeeffff4ffffb7fffee7fffe8ffffd3fffdeffffd5fffeeffffbdffffe1fffdfffff7fffff5ffffecffff07fff87fffe0ffff17fffed
  ffff87ffff77fffeffffeaffff8bfffe3ffff93ffff87fffcbffff37ffff1fffff83ffffe1fffebfffe3ffff3fffff2ffffa3ffffd9fffff17ffff
  c7fffff27ffffdefffffbffffff2fffff8fffffb7fff97fff8fffffe6fffffc1fffff87ffffe7fffffc5ffffe5fffe4ffff2fffffd1fffff4fffff
  fefffffe3fffffc9fffff97fffb3ffffcffffb7fffcdffff4ffff9ffffd1ffffcffffeaffffafffffddffffeffffff4fffff5fffffabffffa7ffff
  d7fffff9bffffecfffffb7fffff3fffffe8fffffd3fffffabfffff5fffffff7ffffecfffffdbfffffbbfffff7ffffff0fffffbbf`;

/** A field with an empty name whose value is in Huffman coding. */
function inHuffman(encoded: Uint8Array): Uint8Array {
  return concat([hex("00 00"), hpackNumber(encoded.byteLength, 7, 0x80), encoded]);
}

Deno.test("HpackDecoder decodes the Huffman code of every byte", () => {
  const [field] = new HpackDecoder().decode(inHuffman(hex(ALL_BYTES_IN_HUFFMAN)))!;
  const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  assert.equal(field!.value, new TextDecoder("latin1").decode(all));
  assert.equal(field!.value.length, 256);
});

Deno.test("HpackDecoder decodes 256 fields of a block, and no more", () => {
  const block = (fields: number) => new Uint8Array(fields).fill(0x82);
  assert.equal(new HpackDecoder().decode(block(256))?.length, 256);
  const decoder = new HpackDecoder();
  assert.equal(decoder.decode(block(257)), undefined);
  assert.equal(decoder.decode(block(1)), undefined);
});

Deno.test("HpackDecoder reads numbers of one to five bytes", () => {
  const lengths = [0, 126, 127, 128, 254, 255, 127 + 0x3fff, 127 + 0x4000, 127 + 0x1f_ffff, 127 + 0x20_0000];
  for (const length of lengths) {
    const block = concat([hex("00 00"), hpackText("x".repeat(length))]);
    assert.equal(new HpackDecoder().decode(block)?.[0]?.value.length, length, `${length} bytes`);
  }
  // RFC 7541, C.1.2.
  assert.deepEqual(decode(new HpackDecoder(), hex("3f9a0a")), []);
  assert.deepEqual(resized(1337), hex("3f9a0a"));
});

Deno.test("HpackDecoder keeps as many fields as its table has room for, and forgets the oldest first", () => {
  const decoder = new HpackDecoder();
  const entry = (letter: string) => [letter.repeat(100), letter.repeat(68)] as const; // 200 bytes
  const add = (letter: string) => assert.ok(decoder.decode(remembered(...entry(letter))));
  const letters = [..."abcdefghijklmnopqrstuvwxyz"];
  letters.forEach(add);
  const kept = letters.slice(-20).reverse().map((letter) => entry(letter).join(": "));
  assert.deepEqual(tableOf(decoder), kept, "4,000 of 4,096 bytes");
});

Deno.test("HpackDecoder has room for 4,096 bytes and for no byte more", () => {
  for (const [valueBytes, kept] of [[4_096 - 33, 1], [4_096 - 32, 0]] as const) {
    const decoder = new HpackDecoder();
    const [field] = decoder.decode(remembered("x", "y".repeat(valueBytes)))!;
    assert.equal(field!.value.length, valueBytes, "what does not fit is still a field");
    assert.equal(tableOf(decoder).length, kept);
  }
});

Deno.test("HpackDecoder forgets what does not fit when its table gets smaller, and not more when it grows again", () => {
  const decoder = new HpackDecoder();
  assert.ok(decoder.decode(concat(["a", "b", "c"].map((name) => remembered(name, "value")))));
  const sizeBytes = 1 + 5 + 32;
  assert.deepEqual(decode(decoder, concat([resized(2 * sizeBytes), resized(4_096), indexed(62)])), [
    "c: value",
  ]);
  assert.deepEqual(tableOf(decoder), ["c: value", "b: value"]);
});

Deno.test("HpackDecoder keeps nothing in a table of size 0", () => {
  const decoder = new HpackDecoder();
  assert.deepEqual(decode(decoder, concat([resized(0), remembered("a", "b")])), ["a: b"]);
  assert.deepEqual(tableOf(decoder), []);
});

Deno.test("HpackDecoder takes the name of a field that the same field drives out of the table", () => {
  const decoder = new HpackDecoder();
  assert.ok(decoder.decode(concat([resized(40), remembered("name", "abcd")])));
  const renewed = concat([hpackNumber(62, 6, 0x40), hpackText("efgh")]);
  assert.deepEqual(decode(decoder, renewed), ["name: efgh"]);
  assert.deepEqual(tableOf(decoder), ["name: efgh"]);
});

/** Blocks that must be refused, each for one reason only. */
const MALFORMED: readonly (readonly [why: string, block: Uint8Array])[] = [
  ["the number 0", hex("80 01 61 01 62")],
  ["a number beyond the empty table", indexed(62)],
  ["a name beyond the empty table", concat([hpackNumber(62, 6, 0x40), hpackText("x")])],
  ["a table of 4,097 bytes", resized(4_097)],
  ["a new size after a field", concat([hex("82"), resized(5)])],
  ["a number that is cut short", hex("ff")],
  ["a number that goes on for ever", hex("ff 80 80 80 80 80 80 80 80 80 00")],
  ["a number of five bytes after the first", hex("3f 80 80 80 80 00")],
  ["a name that is cut short", hex("40 05 6162")],
  ["a value that is missing", hex("40 01 61")],
  ["a value that is cut short", hex("40 01 61 02 62")],
  ["Huffman padding of zeros", inHuffman(hex("18"))],
  ["Huffman padding of eight bits", inHuffman(hex("1f ff"))],
  ["Huffman padding alone", inHuffman(hex("ff"))],
  ["the end of the Huffman string within it", inHuffman(hex("ff ff ff ff 1f"))],
];

for (const [why, block] of MALFORMED) {
  Deno.test(`HpackDecoder refuses ${why}, and every block after it`, () => {
    const decoder = new HpackDecoder();
    assert.equal(decoder.decode(block), undefined);
    assert.equal(decoder.decode(hex("82")), undefined);
  });
}

Deno.test("HpackDecoder takes Huffman padding of up to seven ones, and what is just not malformed", () => {
  const value = (encoded: string) => new HpackDecoder().decode(inHuffman(hex(encoded)))?.[0]?.value;
  assert.equal(value("1f"), "a", "three bits");
  assert.equal(value("f8"), "&", "none");
  assert.equal(value("f8 1f"), "&a");
  assert.equal(value("fe 3f"), "!", "six bits");
  assert.equal(value("53 f8"), " !", "none");
  assert.equal(value(""), "");
  assert.deepEqual(decode(new HpackDecoder(), resized(4_096)), []);
  assert.deepEqual(decode(new HpackDecoder(), new Uint8Array()), []);
});
