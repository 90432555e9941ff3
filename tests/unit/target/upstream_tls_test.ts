/**
 * Tests of TLS towards buildkitd without a socket: which files are read and when, which name is expected, and what is said
 * when it fails.
 *
 * @module
 */
import assert from "node:assert/strict";
import { TimeoutError, UsageError } from "../../../lib/base/errors.ts";
import type { Conn } from "../../../lib/base/network.ts";
import type { StartTls, TlsClientOptions } from "../../../lib/base/tls_client.ts";
import { MAX_FILE_AGE_MS } from "../../../lib/kube/cached_file.ts";
import { loadUpstreamTls, type UpstreamTlsSettings } from "../../../lib/target/upstream_tls.ts";
import { MemoryConn, writeAll } from "../../support/memory_network.ts";
import { recordingLog } from "../../support/recording_log.ts";
import { makeCa } from "../../integration/kube/certificates.ts";
import { FakeClock, FakeMachine } from "../kube/fakes.ts";

const ca = await makeCa();
const pair = await ca.issue({ commonName: "proxy" });
const renewed = await ca.issue({ commonName: "proxy" });
const never = new AbortController().signal;

const SETTINGS: UpstreamTlsSettings = {
  upstreamTlsCa: "/tls/ca.crt",
  upstreamTlsCert: "/tls/tls.crt",
  upstreamTlsKey: "/tls/tls.key",
  upstreamTlsServerName: undefined,
  headlessServiceName: "buildkitd-headless",
  stsNamespace: "builds",
};

/** A server that greets, unless the test has another. */
const greets: StartTls = async (conn) => {
  await writeAll((conn as Conn & { peer: Conn }).peer, Uint8Array.of(1, 2, 3));
  return conn;
};

function setUp(startTls: StartTls = greets) {
  const machine = new FakeMachine();
  machine.files.set("/tls/ca.crt", ca.cert);
  machine.files.set("/tls/tls.crt", pair.cert);
  machine.files.set("/tls/tls.key", pair.key);
  const clock = new FakeClock();
  const log = recordingLog();
  const asked: TlsClientOptions[] = [];
  const conns: MemoryConn[] = [];
  const open = () => {
    const [conn, peer] = MemoryConn.pair();
    conns.push(conn);
    return Promise.resolve(Object.assign(conn, { peer }));
  };
  const load = (settings: Partial<UpstreamTlsSettings> = {}) =>
    loadUpstreamTls({ ...SETTINGS, ...settings }, {
      machine,
      clock,
      log,
      startTls: (conn, options, signal) => {
        asked.push(options);
        return startTls(conn, options, signal);
      },
    });
  return { machine, clock, log, asked, conns, open, load };
}

/** The problems of a start that fails. */
async function problemsOf(loading: Promise<unknown>): Promise<readonly string[]> {
  const error = await loading.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof UsageError);
  return error.problems;
}

Deno.test("loadUpstreamTls() reads nothing when connections are to be plain", async () => {
  const { load, machine } = setUp();
  assert.equal(await load({ upstreamTlsCa: undefined }), undefined);
  assert.equal(machine.reads.size, 0);
});

Deno.test("loadUpstreamTls() reports all bad files at once", async () => {
  const { load, machine } = setUp();
  machine.files.delete("/tls/ca.crt");
  machine.files.set("/tls/tls.crt", pair.key);
  machine.files.set("/tls/tls.key", "");
  assert.deepEqual(await problemsOf(load()), [
    'Cannot use the "--upstream-tls-ca" file "/tls/ca.crt": found no such file',
    'Cannot use the "--upstream-tls-cert" file "/tls/tls.crt": found a PEM block "PRIVATE KEY", want a PEM certificate',
    'Cannot use the "--upstream-tls-key" file "/tls/tls.key": found nothing, want a PEM private key that is not encrypted',
  ]);
});

Deno.test("loadUpstreamTls() refuses a key that belongs to another certificate", async () => {
  const { load, machine } = setUp();
  machine.files.set("/tls/tls.key", renewed.key);
  assert.deepEqual(await problemsOf(load()), [
    'Cannot use "--upstream-tls-cert" and "--upstream-tls-key" together: found a certificate and the key of another one',
  ]);
});

Deno.test("UpstreamTls expects the name of the headless Service, or the one that was asked for", async () => {
  for (
    const [upstreamTlsServerName, expected] of [
      [undefined, "buildkitd-headless.builds.svc"],
      ["builder.example", "builder.example"],
    ] as const
  ) {
    const { load, open, asked } = setUp();
    const tls = await load({ upstreamTlsServerName });
    await tls!.connect(open, never);
    assert.deepEqual(asked, [{ serverName: expected, ca: ca.cert.trim(), pair: trimmed(pair) }]);
  }
});

Deno.test("UpstreamTls presents nothing without a certificate", async () => {
  const { load, open, asked } = setUp();
  const tls = await load({ upstreamTlsCert: undefined, upstreamTlsKey: undefined });
  await tls!.connect(open, never);
  assert.equal(asked[0]?.pair, undefined);
});

Deno.test("UpstreamTls uses files that have changed, and the old pair while only one of them has", async () => {
  const { load, open, asked, machine, clock } = setUp();
  const tls = await load();
  const pairNow = async () => {
    clock.advance(MAX_FILE_AGE_MS);
    await tls!.connect(open, never);
    return asked.at(-1)?.pair;
  };
  assert.deepEqual(await pairNow(), trimmed(pair));
  machine.files.set("/tls/tls.crt", renewed.cert);
  assert.deepEqual(await pairNow(), trimmed(pair));
  machine.files.set("/tls/tls.key", renewed.key);
  assert.deepEqual(await pairNow(), trimmed(renewed));
});

Deno.test("UpstreamTls goes on with what it has read while a file is away, and says so once", async () => {
  const { load, open, asked, machine, clock, log } = setUp();
  const tls = await load();
  machine.files.delete("/tls/ca.crt");
  for (let i = 0; i < 3; i++) {
    clock.advance(MAX_FILE_AGE_MS);
    await tls!.connect(open, never);
  }
  assert.equal(asked.at(-1)?.ca, ca.cert.trim());
  const warnings = log.records.filter(({ level }) => level === "warn");
  assert.deepEqual(warnings.map(({ fields }) => fields["path"]), ["/tls/ca.crt"]);
});

Deno.test("UpstreamTls gives the server's first bytes to the first reads", async () => {
  const { load, open } = setUp();
  const conn = await (await load())!.connect(open, never);
  const buffer = new Uint8Array(2);
  assert.equal(await conn.read(buffer), 2);
  assert.deepEqual([...buffer], [1, 2]);
  assert.equal(await conn.read(buffer), 1);
  assert.equal(buffer[0], 3);
  assert.equal(await conn.write(buffer), 2);
});

Deno.test("UpstreamTls keeps why it failed, until a connection works or is refused before TLS", async () => {
  let fails = true;
  const { load, open, conns } = setUp((conn, options, signal) => {
    if (!fails) return greets(conn, options, signal);
    conn.read = () =>
      Promise.reject(new Deno.errors.InvalidData("received fatal alert: CertificateRequired"));
    return Promise.resolve(conn);
  });
  const tls = (await load())!;
  const fault = "buildkitd wants a client certificate: set --upstream-tls-cert and --upstream-tls-key";
  assert.equal(tls.fault, undefined);
  await assert.rejects(tls.connect(open, never), { message: fault });
  assert.equal(tls.fault, fault);
  assert.equal(conns[0]?.closed, true);
  fails = false;
  await tls.connect(open, never);
  assert.equal(tls.fault, undefined);
  fails = true;
  await assert.rejects(tls.connect(open, never));
  const refused = new Deno.errors.ConnectionRefused("Connection refused");
  await assert.rejects(tls.connect(() => Promise.reject(refused), never), refused);
  assert.equal(tls.fault, undefined);
});

Deno.test("UpstreamTls keeps why it failed when a session's time is up in the middle of the next try", async () => {
  const { load, open } = setUp(() =>
    Promise.reject(new Deno.errors.InvalidData("invalid peer certificate: UnknownIssuer"))
  );
  const tls = (await load())!;
  await assert.rejects(tls.connect(open, never));
  const stop = new AbortController();
  const trying = tls.connect(
    () => new Promise((_, reject) => stop.signal.addEventListener("abort", () => reject(stop.signal.reason))),
    stop.signal,
  );
  const over = assert.rejects(trying, { message: "the time is up" });
  await new Promise((resolve) => setTimeout(resolve));
  stop.abort(new Error("the time is up"));
  await over;
  assert.equal(tls.fault, "buildkitd's certificate is not signed by a CA of --upstream-tls-ca");
  await assert.rejects(tls.connect(() => Promise.reject(new TimeoutError("no answer")), AbortSignal.abort()));
  assert.equal(tls.fault, undefined, "TLS was not reached any more");
});

Deno.test("UpstreamTls says that buildkitd does not answer, and does not blame it when a session has ended", async () => {
  const { load, open, conns } = setUp((conn) => Promise.resolve(conn));
  const tls = (await load())!;
  for (
    const [reason, message] of [
      [
        new TimeoutError("no answer within 5s"),
        /accepts the connection, but does not answer in TLS: no answer within 5s$/,
      ],
      [new Error("the client has left"), /^the client has left$/],
    ] as const
  ) {
    const stop = new AbortController();
    const connecting = assert.rejects(tls.connect(open, stop.signal), { message });
    await new Promise((resolve) => setTimeout(resolve));
    stop.abort(reason);
    await connecting;
    assert.equal(conns.at(-1)?.closed, true);
  }
});

Deno.test("UpstreamTls asks the runtime's own TLS whether a certificate has expired or its CA is unknown", async () => {
  const unknown = Object.assign(new Error("unable to verify"), { code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" });
  const expired = new Deno.errors.InvalidData("invalid peer certificate: certificate expired");
  const { load, open } = setUp((_, { pair }) => Promise.reject(pair === undefined ? expired : unknown));
  await assert.rejects((await load())!.connect(open, never), {
    message: "buildkitd's certificate has expired: renew it, and restart buildkitd",
  });
  const other = setUp((conn, { pair }) =>
    pair === undefined ? Promise.resolve(conn) : Promise.reject(unknown)
  );
  await assert.rejects((await other.load())!.connect(other.open, never), {
    message: "buildkitd's certificate is not signed by a CA of --upstream-tls-ca, or it has expired",
  });
  assert.equal(other.conns[1]?.closed, true);
});

function trimmed({ cert, key }: { readonly cert: string; readonly key: string }) {
  return { cert: cert.trim(), key: key.trim() };
}
