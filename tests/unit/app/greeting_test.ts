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

const builders = ["buildkitd", "buildkitd-b2"].map((name) => ({
  pool: "",
  name,
  service: `${name}-headless`,
}));

Deno.test("greeting() says how projects and pools are reached", () => {
  const listeners = [
    { project: "web", address: { hostname: "::", port: 8401 } },
    { project: "api", pool: "arm64", address: { hostname: "10.0.0.1", port: 8402 } },
    { pool: "arm64", address: { hostname: "127.0.0.1", port: 8373 } },
  ];
  const text = greeting({ hostname: "127.0.0.1", port: 8372 }, { ...TARGET, builders, listeners });
  assert.match(text, /to the StatefulSets "buildkitd", "buildkitd-b2" in the namespace "ci"\.$/m);
  assert.ok(text.endsWith(`
Builds by an IP address or localhost are of no project, and take the first builder with room.
These addresses are for projects and pools:

  project web: tcp://127.0.0.1:8401
  project api@arm64: tcp://10.0.0.1:8402
  pool arm64: tcp://127.0.0.1:8373

`));
});

Deno.test("greeting() says that projects can have addresses, where there are builders to choose from", () => {
  const text = greeting({ hostname: "127.0.0.1", port: 8372 }, { ...TARGET, builders });
  assert.ok(text.endsWith("with room.\n--listeners gives projects addresses of their own.\n\n"), text);
});
