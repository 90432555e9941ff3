/** Tests of files that another program replaces from time to time. @module */
import assert from "node:assert/strict";
import { CachedFile } from "../../../lib/kube/cached_file.ts";
import { ClientCertificateFiles } from "../../../lib/kube/client_certificate.ts";
import { combined, fixed } from "../../../lib/kube/credentials.ts";
import { makeCa } from "../../integration/kube/certificates.ts";
import { fakePorts, never } from "./fakes.ts";

function setUp() {
  const ports = fakePorts();
  const { machine, clock, records } = ports;
  machine.files.set("/f", " first\n");
  const fault = (text: string) => (text.startsWith("bad") ? "found a bad text" : undefined);
  const file = new CachedFile({ ...ports, path: "/f", what: "token file", fault });
  const events = () =>
    records.filter(({ level }) => level !== "debug").map(({ code, fields }) => [code, fields]);
  return { file, machine, clock, events };
}

Deno.test("CachedFile is read at most every ten seconds, and at once after refresh()", async () => {
  const { file, machine, clock } = setUp();
  assert.deepEqual([await file.read(), await file.read()], ["first", "first"]);
  assert.equal(machine.reads.get("/f"), 1);
  machine.files.set("/f", "second");
  clock.advance(9_999);
  assert.equal(await file.read(), "first");
  clock.advance(1);
  assert.equal(await file.read(), "second");
  file.refresh();
  machine.files.set("/f", "third");
  assert.deepEqual([await file.read(), await file.read()], ["third", "third"]);
  assert.equal(machine.reads.get("/f"), 3);
});

Deno.test("CachedFile gives its last content while the file is away or says nonsense, says so once, and when it is over", async () => {
  const { file, machine, clock, events } = setUp();
  await file.read();
  const cause = "found no such file";
  machine.files.delete("/f");
  for (let i = 0; i < 3; i++) {
    clock.advance(10_000);
    assert.equal(await file.read(), "first");
  }
  assert.deepEqual(events(), [["credential_file_unreadable", { cause, path: "/f" }]]);
  machine.files.set("/f", "bad");
  clock.advance(10_000);
  assert.equal(await file.read(), "first");
  machine.files.set("/f", "good");
  assert.equal(await file.read(), "good");
  assert.deepEqual(events().slice(1), [
    ["credential_file_unreadable", { cause: "found a bad text", path: "/f" }],
    ["credential_file_unreadable_recovered", { cause: "found a bad text" }],
  ]);
});

Deno.test("CachedFile fails without a content, or when the last one was refused", async () => {
  const { file, machine } = setUp();
  machine.files.set("/f", "bad");
  await assert.rejects(file.read(), { message: 'Cannot use the token file "/f": found a bad text' });
  machine.files.set("/f", "good");
  assert.equal(await file.read(), "good");
  machine.files.delete("/f");
  file.refresh();
  for (let i = 0; i < 2; i++) {
    await assert.rejects(file.read(), { message: 'Cannot use the token file "/f": found no such file' });
  }
});

Deno.test("ClientCertificateFiles fails for two files that never belonged together", async () => {
  const ports = fakePorts();
  const [one, two] = [await makeCa(), await makeCa()];
  ports.machine.files.set("/c", one.cert);
  ports.machine.files.set("/k", two.key);
  const file = (path: string) => new CachedFile({ ...ports, path, what: "file", fault: () => undefined });
  const files = new ClientCertificateFiles(file("/c"), file("/k"));
  await assert.rejects(files.get(), { message: "The client certificate and key do not match" });
  ports.machine.files.set("/k", one.key);
  files.refresh();
  const first = await files.get();
  assert.deepEqual(first.headers, {});
  assert.equal(
    (await files.get()).clientCertificate,
    first.clientCertificate,
    "the same pair while nothing changes",
  );
});

Deno.test("combined() lets the earlier of two parts win, and refreshes all", async () => {
  let refreshed = 0;
  const part = (headers: Record<string, string>, name?: string) => ({
    ...fixed({ headers, ...(name === undefined ? {} : { clientCertificate: { cert: name, key: name } }) }),
    refresh: () => void refreshed++,
  });
  const all = combined([part({ a: "1", b: "1" }), part({ b: "2" }, "two"), part({ c: "3" }, "three")]);
  assert.deepEqual(await all.get(never), {
    headers: { a: "1", b: "1", c: "3" },
    clientCertificate: { cert: "two", key: "two" },
  });
  all.refresh();
  assert.equal(refreshed, 3);
  assert.deepEqual(await combined([]).get(never), { headers: {} });
});
