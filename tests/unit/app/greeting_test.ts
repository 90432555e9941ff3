/** Tests of what the program prints on a terminal before anything else. @module */
import assert from "node:assert/strict";
import { greeting } from "../../../lib/app/greeting.ts";

const TARGET = { stsName: "buildkitd", stsNamespace: "ci" };

Deno.test("greeting() has the line for each client, with the address to use", () => {
  assert.equal(
    greeting({ hostname: "127.0.0.1", port: 8372 }, TARGET),
    `Builds go through tcp://127.0.0.1:8372 to the StatefulSet "buildkitd" in the namespace "ci".
Press Ctrl-C to end. In another terminal, type:

  docker buildx create --name laptop --driver remote --use tcp://127.0.0.1:8372
  buildctl --addr tcp://127.0.0.1:8372 build --frontend dockerfile.v0 --local context=. --local dockerfile=.
  EARTHLY_BUILDKIT_HOST=tcp://127.0.0.1:8372 EARTHLY_TLS_ENABLED=false earth +TARGET

`,
  );
});

for (const hostname of ["0.0.0.0", "::"]) {
  Deno.test(`greeting() names this machine's own address where the program listens on ${hostname}, and how to keep others out`, () => {
    const text = greeting({ hostname, port: 8080 }, TARGET);
    assert.match(text, /--use tcp:\/\/127\.0\.0\.1:8080$/m);
    assert.match(text, /Only this one can with --listen-addr 127\.0\.0\.1:8080$/m);
  });
}

Deno.test("greeting() puts an IPv6 address in brackets", () => {
  assert.match(greeting({ hostname: "::1", port: 1 }, TARGET), /buildctl --addr tcp:\/\/\[::1\]:1 build/);
});
