/**
 * Which proxy is for which server. The table was compared with Go's `httpproxy`.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { UsageError } from "../../../lib/base/errors.ts";
import { environmentProxy, isExempt } from "../../../lib/kube/environment_proxy.ts";

/** Server, `NO_PROXY`, and whether no proxy is used. */
const EXEMPTIONS: readonly (readonly [string, string, boolean])[] = [
  ["https://10.0.0.1:6443", "*", true],
  ["https://api.example", "*", true],
  ["https://api.example", "other.example, * ", true],
  ["https://10.0.0.1", "", false],
  ["https://localhost:6443", "", true],
  ["https://127.8.0.1", "", true],
  ["https://[::1]:6443", "", true],
  ["https://[::2]:6443", "", false],
  ["https://api.example", "example", true],
  ["https://api.example", ".example", true],
  ["https://api.example", "*.example", true],
  ["https://api.example", "api.example", true],
  ["https://api.example", ".api.example", false],
  ["https://api.example", "*.api.example", false],
  ["https://api.example", "pi.example", false],
  ["https://api.example", "API.Example", true],
  ["https://api.example", "api.example:443", true],
  ["https://api.example:6443", "api.example:443", false],
  ["https://api.example:6443", "a.b,, api.example:6443", true],
  ["http://api.example", "api.example:80", true],
  ["https://10.0.0.1", "10.0.0.1", true],
  ["https://10.0.0.1", "10.0.0.1:443", true],
  ["https://10.0.0.1", "10.0.0.1:6443", false],
  ["https://10.0.0.1", "10.0.0.10", false],
  ["https://10.0.0.1", "0.0.1", false],
  ["https://10.1.2.3", "10.0.0.0/8", true],
  ["https://11.1.2.3", "10.0.0.0/8", false],
  ["https://10.96.0.1", "10.96.0.0/12", true],
  ["https://10.111.0.1", "10.96.0.0/12", true],
  ["https://10.112.0.1", "10.96.0.0/12", false],
  ["https://10.0.0.1", "0.0.0.0/0", true],
  ["https://10.0.0.1", "10.0.0.1/32", true],
  ["https://10.0.0.2", "10.0.0.1/32", false],
  ["https://10.0.0.1", "10.0.0.0/33", false],
  ["https://api.example", "10.0.0.0/8", false],
  ["https://[fd00::1]:6443", "fd00::/8", true],
  ["https://[fe00::1]:6443", "fd00::/8", false],
  ["https://[fd00::1]:6443", "fd00:0::1", true],
  ["https://[fd00::1]:6443", "[fd00::1]:6443", true],
  ["https://[fd00::1]:6443", "[fd00::1]:443", false],
  ["https://[fd00::1]", "10.0.0.0/8", false],
  ["https://[::ffff:10.0.0.1]", "10.0.0.1", true],
  ["https://api.example", ":443", false],
  ["https://api.example", ":", false],
  ["https://LOCALHOST", "", true],
  ["https://127.0.0.1", "", true],
  ["https://128.0.0.1", "", false],
  ["https://[::ffff:127.0.0.1]", "", true],
  ["https://10.0.0.1:443", "10.0.0.1:443", true],
  ["http://10.0.0.1", "10.0.0.1:443", false],
  ["https://[::ffff:10.1.2.3]", "10.0.0.0/8", true],
  ["https://[::fffe:a01:203]", "10.0.0.0/8", false],
  ["https://[1::ffff:a01:203]", "10.1.2.3", false],
  ["https://[100::ffff:a01:203]", "10.1.2.3", false],
  ["https://[::1:ffff:a01:203]", "10.1.2.3", false],
  ["https://[::ff00:a01:203]", "10.1.2.3", false],
  ["https://[fd00::1]", "[fd00::1]", true],
  ["https://[fd00::1]", "fd00::1", true],
  ["https://[fd00::1]", "fd00::1/128", true],
  ["https://[fd00::1]", "fd00::1/129", false],
  ["https://[1:2:3:4:5:6:7:8]", "1:2:3:4:5:6:7:8", true],
  ["https://[1:2:3:4:5:6:7:8]", "1:2:3:4:5:6:7:9", false],
  ["https://[1:2::7:8]", "1:2:0:0:0:0:7:8", true],
  ["https://[1:2::7:8]", "1:2:7:0:0:0:0:8", false],
  ["https://[1::]", "1:0:0:0:0:0:0:0", true],
  ["https://10.0.0.1", "10.0.0.1/8/8", false],
  ["https://10.0.0.1", "10.0.0.256", false],
  ["https://10.0.0.1", "10.0.0.256/8", false],
  ["https://10.0.0.1", "10.0.0", false],
  ["https://10.0.0.1", "x10.0.0.1", false],
  ["https://10.0.0.1", "10.0.0.1x", false],
  ["https://api.example", "/8", false],
  ["https://api.example", "zz::1", false],
  ["https://api.example", "*x", false],
  ["https://xapi.example", "api.example", false],
  ["https://a.api.example", "api.example", true],
  ["https://example", ".example", false],
];

for (const [server, noProxy, expected] of EXEMPTIONS) {
  Deno.test(`isExempt() says ${expected} of ${server} for NO_PROXY="${noProxy}"`, () => {
    assert.equal(isExempt(new URL(server), noProxy), expected);
  });
}

/** An address of either family as the words of its text: 4 of 8 bits, or 8 of 16. */
const addresses = fc.oneof(
  fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 }),
  fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 }),
);
const isShort = (words: readonly number[]) => words.length === 4;
const textOf = (words: readonly number[]) =>
  isShort(words) ? words.join(".") : words.map((word) => word.toString(16)).join(":");
const numberOf = (words: readonly number[]) =>
  words.reduce((sum, word) => (sum << BigInt(isShort(words) ? 8 : 16)) + BigInt(word), 0n);

Deno.test("isExempt() finds the addresses of a range, as arithmetic on whole addresses does", () => {
  fc.assert(fc.property(addresses, fc.nat({ max: 128 }), fc.nat({ max: 127 }), (words, prefix, flipped) => {
    const size = isShort(words) ? 32 : 128;
    const [bits, flip] = [prefix % (size + 1), flipped % size];
    const other = numberOf(words) ^ (1n << BigInt(flip));
    const width = isShort(words) ? 8 : 16;
    const otherWords = words.map((_, i) =>
      Number((other >> BigInt(width * (words.length - 1 - i))) & BigInt(2 ** width - 1))
    );
    const host = isShort(words) ? textOf(otherWords) : `[${textOf(otherWords)}]`;
    const url = new URL(`https://${host}`);
    fc.pre(!isExempt(url, "") && !/^\[::ffff:/.test(url.hostname));
    const isSame = (other >> BigInt(size - bits)) === (numberOf(words) >> BigInt(size - bits));
    assert.equal(isExempt(url, `${textOf(words)}/${bits}`), isSame);
    assert.equal(isExempt(url, textOf(words)), false);
    assert.equal(isExempt(url, textOf(otherWords)), true);
  }));
});

const proxyOf = (server: string, variables: Readonly<Record<string, string>>) => {
  const { proxy, ...rest } = environmentProxy(new URL(server), (name) => variables[name]);
  return proxy === undefined ? rest : { proxy: proxy.href, ...rest };
};

Deno.test("environmentProxy() chooses by the server's scheme, and capitals first", () => {
  const [a, b] = ["http://a:1", "http://b:2"];
  const chosen = (proxy: string, proxySource: string) => ({ proxy: `${proxy}/`, proxySource });
  const server = "https://api.example";
  assert.deepEqual(proxyOf(server, {}), {});
  assert.deepEqual(proxyOf(server, { HTTP_PROXY: a }), {});
  assert.deepEqual(proxyOf(server, { HTTPS_PROXY: a, https_proxy: b }), chosen(a, "HTTPS_PROXY"));
  assert.deepEqual(proxyOf(server, { https_proxy: b, ALL_PROXY: a }), chosen(b, "https_proxy"));
  assert.deepEqual(proxyOf(server, { all_proxy: a }), chosen(a, "all_proxy"));
  assert.deepEqual(proxyOf("http://api.example", { HTTPS_PROXY: a, http_proxy: b }), chosen(b, "http_proxy"));
  assert.deepEqual(
    proxyOf(server, { HTTPS_PROXY: "proxy:3128" }),
    chosen("http://proxy:3128", "HTTPS_PROXY"),
  );
  for (const proxy of ["https://p", "socks5://p:1", "socks5h://p:1", "http://me:pass@p:1"]) {
    const href = new URL(proxy).href;
    assert.deepEqual(proxyOf(server, { HTTPS_PROXY: proxy }), { proxy: href, proxySource: "HTTPS_PROXY" });
  }
  assert.deepEqual(proxyOf("https://[::1]:6443", { ALL_PROXY: a }), { noProxy: "::1" });
  assert.deepEqual(proxyOf(server, { HTTPS_PROXY: a, no_proxy: "example" }), {
    noProxy: "example,api.example",
  });
  assert.deepEqual(
    proxyOf(server, { HTTPS_PROXY: a, NO_PROXY: "x", no_proxy: "example" }),
    chosen(a, "HTTPS_PROXY"),
  );
});

Deno.test("environmentProxy() refuses invalid proxy URLs, without quoting them", () => {
  for (const text of ["ftp://me:hunter2@proxy", "http://", "me:hunter2@pro xy", "http://me:hunter2%@proxy"]) {
    assert.throws(() => proxyOf("https://api.example", { HTTPS_PROXY: text }), (error: Error) => {
      assert.ok(error instanceof UsageError);
      assert.match(
        error.message,
        /^Cannot use the variable HTTPS_PROXY: found no URL of a proxy, want one such as/,
      );
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
  }
});
