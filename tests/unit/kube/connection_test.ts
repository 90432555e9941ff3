/**
 * Which way to speak HTTP a connection needs, and what older runtimes cannot do.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type Connection, runtimeFault } from "../../../lib/kube/connection.ts";
import { makeHttp } from "../../../lib/kube/make_http.ts";
import { FetchHttp } from "../../../lib/kube/fetch_http.ts";
import { TlsHttp } from "../../../lib/kube/tls_http.ts";

const plain: Connection = {
  ca: undefined,
  caSource: "",
  proxy: undefined,
  serverName: undefined,
  insecure: false,
  repeatsHeaders: false,
};

Deno.test("makeHttp() uses fetch for all but another server name, no verification and repeated headers", () => {
  assert.ok(makeHttp(plain) instanceof FetchHttp);
  assert.ok(makeHttp({ ...plain, serverName: "x" }) instanceof TlsHttp);
  assert.ok(makeHttp({ ...plain, insecure: true }) instanceof TlsHttp);
  assert.ok(makeHttp({ ...plain, repeatsHeaders: true }) instanceof TlsHttp);
});

Deno.test("runtimeFault() names the version that is needed where node:tls does not do", () => {
  const insecure = { ...plain, insecure: true };
  assert.equal(runtimeFault(insecure, "2.6.10"), "needs Deno 2.9 or later, this is 2.6.10");
  assert.equal(runtimeFault(insecure, "2.9.6"), undefined);
  assert.equal(runtimeFault(insecure, "2.9"), undefined);
  assert.equal(runtimeFault(insecure, "3.0.0"), undefined);
  assert.match(runtimeFault(insecure, "2.8.9")!, /^needs Deno/);
  assert.match(runtimeFault(insecure, "1.46.3")!, /^needs Deno/);
  assert.equal(runtimeFault(plain, "2.6.10"), undefined);
});
