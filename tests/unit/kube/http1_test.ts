/**
 * HTTP/1.1 as it arrives: in any portions, and cut off anywhere.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { ByteReader, readBody, readHead, requestHead } from "../../../lib/kube/http1.ts";

const encode = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

async function* portions(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let offset = 0;
  for (let i = 0; offset < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    yield bytes.subarray(offset, offset + size);
    offset += size;
  }
}

async function parse(text: string, sizes: readonly number[] = [Infinity]) {
  const reader = new ByteReader(portions(encode(text), sizes));
  const head = await readHead(reader);
  let body = "";
  for await (const part of readBody(reader, "GET", head)) body += String.fromCharCode(...part);
  return { status: head.status, body };
}

const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 });
const latin = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) });

/** The same body in both framings. */
function framings(parts: readonly string[]): string[] {
  const body = parts.join("");
  const chunks = parts.filter((part) => part !== "").map((part) =>
    `${part.length.toString(16)};x=y\r\n${part}\r\n`
  );
  return [
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunks.join("")}0\r\ntrailer: t\r\n\r\n`,
  ];
}

Deno.test("readBody() gives the same body in whatever portions it arrives", async () => {
  await fc.assert(fc.asyncProperty(fc.array(latin), sizes, async (parts, cuts) => {
    for (const text of framings(parts)) {
      assert.deepEqual(await parse(text, cuts), { status: 200, body: parts.join("") });
    }
  }));
});

Deno.test("readBody() never takes an answer that was cut off for a whole one", async () => {
  await fc.assert(fc.asyncProperty(fc.array(latin), sizes, fc.nat(), async (parts, cuts, at) => {
    for (const text of framings(parts)) await assert.rejects(parse(text.slice(0, at % text.length), cuts));
  }));
});

Deno.test("readBody() reads to the end of the connection without a length, and nothing after 204", async () => {
  assert.deepEqual(await parse("HTTP/1.0 200 OK\r\n\r\nto the end"), { status: 200, body: "to the end" });
  assert.deepEqual(await parse("HTTP/1.1 204 No Content\r\n\r\n"), { status: 204, body: "" });
});

Deno.test("readHead() refuses what is malformed or endless", async () => {
  for (
    const text of [
      "SSH-2.0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
      `HTTP/1.1 200 ${"x".repeat(70_000)}`,
    ]
  ) {
    await assert.rejects(parse(text));
  }
  const chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
  for (const rest of ["zz\r\n", "-1\r\n", "2\r\nabc\r\n", "\r\n"]) {
    await assert.rejects(parse(chunked + rest));
  }
});

Deno.test("requestHead() repeats a header and lets nothing else through that would end it", () => {
  assert.equal(requestHead("GET", "/x", { a: "1\n2" }), "GET /x HTTP/1.1\r\na: 1\r\na: 2\r\n\r\n");
  assert.throws(() => requestHead("GET", "/x", { a: "1\r" }), TypeError);
  assert.throws(() => requestHead("GET", "/x", { "a b": "1" }), TypeError);
});

const OK = "HTTP/1.1 200 OK\r\n";

Deno.test("readHead() gives status and trimmed headers, joined where one comes twice", async () => {
  const reader = new ByteReader(
    portions(encode(`HTTP/1.0 299\r\nA:  1 \r\nb:2:3\r\na: 4\r\nc:\r\n\r\nrest`), [Infinity]),
  );
  const { status, headers } = await readHead(reader);
  assert.deepEqual([status, ...headers], [299, ["a", "1, 4"], ["b", "2:3"], ["c", ""]]);
  assert.equal(String.fromCharCode(...(await reader.some(2))!), "re");
});

Deno.test("readHead() takes lines that end without a carriage return, and skips interim answers", async () => {
  const early = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
  assert.deepEqual(await parse(`${early}HTTP/1.1 200 OK\ncontent-length: 2\n\nab`), {
    status: 200,
    body: "ab",
  });
});

Deno.test("readHead() takes a head of 64 KiB, and none that is longer, in one line or in many", async () => {
  // All lines without their ends, and the last carriage return.
  const fill = (bytes: number) => `x: ${"y".repeat(bytes - "HTTP/1.1 200 OK".length - "x: ".length - 1)}`;
  const longest = 64 * 1024;
  assert.equal((await parse(`${OK}${fill(longest)}\r\n\r\n`)).status, 200);
  await assert.rejects(
    parse(`${OK}${fill(longest + 1)}\r\n\r\n`),
    /head is too long: want at most \d+ bytes/,
  );
  const many = (count: number) => OK + "a: 4567890\r\n".repeat(count) + "\r\n";
  assert.equal((await parse(many(6_000))).status, 200);
  await assert.rejects(parse(many(7_000)), /head is too long/);
});

Deno.test("readHead() and readBody() say what is malformed", async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["", /ended early, in the head/],
    ["HTTP/2 200 OK\r\n\r\n", /the answer is not HTTP\/1.1$/],
    ["HTTP/1.1 2000 OK\r\n\r\n", /the answer is not HTTP\/1.1$/],
    ["X HTTP/1.1 200 OK\r\n\r\n", /the answer is not HTTP\/1.1$/],
    [`${OK}: empty name\r\n\r\n`, /The answer has a malformed header$/],
    [`${OK}content-length: 1x\r\n\r\na`, /malformed content-length$/],
    [`${OK}content-length: -1\r\n\r\na`, /malformed content-length$/],
    [`${OK}content-length: 1234567890123456\r\n\r\na`, /malformed content-length$/],
    [`${OK}content-length: 2\r\n\r\na`, /ended early, in the body/],
    [`${OK}transfer-encoding: chunked\r\n\r\n1x\r\na`, /malformed chunk$/],
    [`${OK}transfer-encoding: chunked\r\n\r\n1\r\nabc\r\n`, /(malformed chunk|too long.*)$/],
    [`${OK}transfer-encoding: chunked\r\n\r\n1\r\nab\r\n`, /malformed chunk$/],
    [`${OK}transfer-encoding: chunked\r\n\r\n${"0".repeat(13)}\r\n\r\n`, /malformed chunk$/],
  ];
  for (const [text, message] of cases) await assert.rejects(parse(text), message, JSON.stringify(text));
});

Deno.test("readBody() takes chunks however the server writes them", async () => {
  const chunked = (header: string) => `${OK}transfer-encoding: ${header}\r\n\r\n`;
  for (const header of ["chunked", "Chunked", "gzip, chunked", "gzip,chunked "]) {
    const body = "A  \r\n0123456789\r\n1;a=b\r\n!\r\n000\r\n\r\n";
    assert.deepEqual(await parse(chunked(header) + body), { status: 200, body: "0123456789!" }, header);
  }
  assert.deepEqual(await parse(`${OK}transfer-encoding: chunked, gzip\r\n\r\nraw`), {
    status: 200,
    body: "raw",
  });
});

Deno.test("readBody() takes trailers of 64 KiB, and no more", async () => {
  const trailers = (count: number) =>
    `${OK}transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n${"t: 4567890\r\n".repeat(count)}\r\n`;
  assert.equal((await parse(trailers(6_000))).body, "a");
  await assert.rejects(parse(trailers(7_000)), /too long/);
});

Deno.test("readBody() gives nothing for HEAD, 204 and 304, whatever length they state", async () => {
  const bodyOf = async (method: string, status: number) => {
    const reader = new ByteReader(portions(encode("abc"), [Infinity]));
    const parts: Uint8Array[] = [];
    const head = { status, headers: new Headers({ "content-length": "2" }) };
    for await (const part of readBody(reader, method, head)) parts.push(part);
    return parts.map((part) => String.fromCharCode(...part)).join("|");
  };
  assert.deepEqual([await bodyOf("HEAD", 200), await bodyOf("GET", 204), await bodyOf("GET", 304)], [
    "",
    "",
    "",
  ]);
  assert.equal(await bodyOf("GET", 200), "ab");
  assert.equal(await bodyOf("GET", 203), "ab");
});

Deno.test("requestHead() names the header that cannot be sent, and takes bytes and tabs", () => {
  assert.equal(requestHead("PUT", "/", { "x-A1_!": "\té" }), "PUT / HTTP/1.1\r\nx-A1_!: \té\r\n\r\n");
  for (
    const [name, value] of [["a:", "1"], ["", "1"], ["a", "ü€"], ["a", "\x7f"], ["a", "1\n\x00"]] as const
  ) {
    assert.throws(() => requestHead("GET", "/", { [name]: value }), new RegExp(`header "${name}"`));
  }
});
