/**
 * What clients and the admin port are told when the program's credentials or its way to the API server do not work: the
 * log names files and quotes plugins, nobody else does.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ChildProgram } from "../../support/child_program.ts";
import { call, Http2Client, literalFields, OPENING, SETTINGS_ACK } from "../../support/http2_client.ts";
import { World } from "../../support/program.ts";
import { FRAME } from "../../../lib/miniature/stub_http2.ts";
import { makeCa } from "../kube/certificates.ts";

/** What an HTTP/2 client is told when its time is up. */
async function refusalOf(program: ChildProgram): Promise<string> {
  using client = await Http2Client.connect(program.address);
  await client.send(OPENING, SETTINGS_ACK, ...call(1));
  for (;;) {
    const frame = await client.next("the refusal");
    assert.ok(frame !== null, "it closed the connection without a word");
    if (frame.type === FRAME.headers) {
      return decodeURIComponent(literalFields(frame.payload)["grpc-message"]!);
    }
  }
}

/** What the admin port says of liveness and readiness. */
async function healthOf({ adminAddress: { hostname, port } }: ChildProgram): Promise<string> {
  const texts: string[] = [];
  for (const path of ["livez?verbose", "readyz?verbose", "readyz", "status.json", "status"]) {
    using client = Deno.createHttpClient({});
    texts.push(await (await fetch(`http://${hostname}:${port}/${path}`, { client })).text());
  }
  return texts.join("\n");
}

const V1 = "client.authentication.k8s.io/v1";

Deno.test("program: the log quotes a failing exec plugin; clients and the admin port get a neutral sentence", async () => {
  await using world = new World({ cluster: { replicas: 1 } });
  const args = ["-c", "echo 'refresh token hunter2 was refused' >&2; exit 1"];
  await using program = await ChildProgram.start(world, {
    token: "",
    args: ["--ready-wait-timeout=1s"],
    cluster: { server: "https://127.0.0.1:9" },
    user: { exec: { apiVersion: V1, command: "/bin/sh", args, interactiveMode: "Never" } },
  });
  const { cause } = await program.logged("api_access_failed");
  assert.match(
    String(cause),
    /exec plugin "\/bin\/sh": it ended with exit code 1, saying: refresh token hunter2/,
  );
  const told = await refusalOf(program);
  const shown = await healthOf(program);
  for (const text of [told, shown]) {
    assert.doesNotMatch(text, /hunter2|bin\/sh|exec plugin/);
    assert.ok(!text.includes(program.folder), text);
    assert.match(text, /The proxy cannot use the Kubernetes API: its credentials could not be read/);
  }
});

Deno.test("program: a failed handshake names the kubeconfig in the log, but not to clients and on the admin port", async () => {
  const [ca, other] = [await makeCa(), await makeCa({ commonName: "Other CA" })];
  const { cert, key } = await ca.issue({ commonName: "api", ipAddresses: ["127.0.0.1"] });
  const options = { port: 0, hostname: "127.0.0.1", cert, key, onListen() {} };
  await using server = Deno.serve(options, () => new Response("{}"));
  await using world = new World({ cluster: { replicas: 1 } });
  await using program = await ChildProgram.start(world, {
    token: "a-token",
    args: ["--ready-wait-timeout=1s"],
    cluster: {
      server: `https://127.0.0.1:${server.addr.port}`,
      "certificate-authority-data": btoa(other.cert),
    },
  });
  const { cause } = await program.logged("api_access_failed");
  assert.ok(String(cause).includes(program.folder), String(cause));
  for (const text of [await refusalOf(program), await healthOf(program)]) {
    assert.ok(!text.includes(program.folder), text);
    assert.match(
      text,
      /the server's certificate is not signed by the certificate authority that the proxy is given/,
    );
  }
});
