/**
 * Exec plugins that are real programs: shell scripts in a folder of their own.
 *
 * @module
 */
import assert from "node:assert/strict";
import { systemClock } from "../../../lib/base/clock.ts";
import { ExecPlugin, type ExecSpec, PLUGIN_TIMEOUT_MS } from "../../../lib/kube/exec_plugin.ts";
import { loadCluster } from "../../../lib/kube/load_cluster.ts";
import { systemMachine } from "../../../lib/kube/machine.ts";
import { FakeClock, never, recorder } from "../../unit/kube/fakes.ts";
import { makeCa } from "./certificates.ts";

const V1 = "client.authentication.k8s.io/v1";

/** A folder with the script `plugin`, which is `body` for sh. */
async function withScript(body: string, use: (path: string, folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/plugin`;
    await Deno.writeTextFile(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    await use(path, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function plugin(command: string, spec: Partial<ExecSpec> = {}, clock = new FakeClock()) {
  return new ExecPlugin(
    {
      command,
      args: [],
      env: {},
      apiVersion: V1,
      installHint: undefined,
      needsTerminal: false,
      cluster: undefined,
      ...spec,
    },
    { machine: systemMachine, clock },
  );
}

const prints = (status: unknown, apiVersion = V1, kind = "ExecCredential") =>
  `cat <<'END'\n${JSON.stringify({ apiVersion, kind, status })}\nEND`;

const runsOf = async (folder: string) => (await Deno.readTextFile(`${folder}/runs`)).length;

Deno.test(
  "ExecPlugin runs once for callers at the same time, and again after refresh()",
  async () => {
    const body = `printf x >> "$(dirname "$0")/runs"\n${prints({ token: "t" })}`;
    await withScript(body, async (path, folder) => {
      const exec = plugin(path);
      const all = await Promise.all([exec.get(never), exec.get(never), exec.get(never)]);
      for (const { headers } of all) assert.deepEqual(headers, { authorization: "Bearer t" });
      await exec.get(never);
      assert.equal(await runsOf(folder), 1);
      exec.refresh();
      exec.refresh();
      await Promise.all([exec.get(never), exec.get(never)]);
      assert.equal(await runsOf(folder), 2);
    });
  },
);

Deno.test("ExecPlugin runs again a minute before its credential expires", async () => {
  const status = { token: "t", expirationTimestamp: "2030-01-01T01:00:00Z" };
  await withScript(`printf x >> "$(dirname "$0")/runs"\n${prints(status)}`, async (path, folder) => {
    const clock = new FakeClock();
    const exec = plugin(path, {}, clock);
    await exec.get(never);
    clock.advance(59 * 60_000 - 1);
    await exec.get(never);
    assert.equal(await runsOf(folder), 1);
    clock.advance(1);
    await exec.get(never);
    assert.equal(await runsOf(folder), 2);
    assert.equal(clock.pending, 0);
  });
});

for (const expirationTimestamp of [undefined, "2030-01-02T00:00:00Z"]) {
  const stated = expirationTimestamp === undefined ? "not stated" : "stated for later";
  Deno.test(`ExecPlugin runs again a minute before its client certificate expires, if its end is ${stated}`, async () => {
    const ca = await makeCa();
    const notAfter = new Date("2030-01-01T01:00:00Z");
    const { cert, key } = await ca.issue({ commonName: "me", notAfter });
    const status = { clientCertificateData: cert, clientKeyData: key, expirationTimestamp };
    await withScript(`printf x >> "$(dirname "$0")/runs"\n${prints(status)}`, async (path, folder) => {
      const clock = new FakeClock();
      const exec = plugin(path, {}, clock);
      assert.equal((await exec.get(never)).clientCertificate?.cert, cert);
      clock.advance(59 * 60_000 - 1);
      await exec.get(never);
      assert.equal(await runsOf(folder), 1);
      clock.advance(1);
      await exec.get(never);
      assert.equal(await runsOf(folder), 2);
    });
  });
}

Deno.test("ExecPlugin hands over arguments, environment and cluster, and no input", async () => {
  const body =
    'cat > /dev/null\nprintf "%s|%s|%s" "$1" "$MINE" "$KUBERNETES_EXEC_INFO" > "$(dirname "$0")/seen"\n' +
    prints({ token: "t" });
  await withScript(body, async (path, folder) => {
    const cluster = { server: "https://api.example", config: { audience: "x" } };
    await plugin(path, { args: ["get-token"], env: { MINE: "mine" }, cluster }).get(never);
    const [argument, mine, info] = (await Deno.readTextFile(`${folder}/seen`)).split("|");
    assert.deepEqual([argument, mine], ["get-token", "mine"]);
    assert.deepEqual(JSON.parse(info!), {
      apiVersion: V1,
      kind: "ExecCredential",
      spec: { interactive: false, cluster },
    });
  });
});

const FAILURES: readonly (readonly [string, string, RegExp])[] = [
  ["fails", "echo 'please log in' >&2; exit 3", /: it ended with exit code 3, saying: please log in$/],
  [
    "prints garbage",
    "echo secret-garbage",
    /: it printed 15 characters that are not a JSON object, want an ExecCredential$/,
  ],
  [
    "prints another kind",
    prints({ token: "t" }, V1, "Token"),
    /: it printed kind "Token", want "ExecCredential"$/,
  ],
  [
    "prints another version",
    prints({ token: "t" }, "client.authentication.k8s.io/v1beta1"),
    /: it printed apiVersion "client.authentication.k8s.io\/v1beta1", want "client.authentication.k8s.io\/v1" as in the kubeconfig$/,
  ],
  ["prints no credential", prints({}), /: it printed neither a token nor a client certificate$/],
  [
    "prints half a pair",
    prints({ clientCertificateData: "x" }),
    /: it printed only one of "clientCertificateData" and "clientKeyData", want both$/,
  ],
  [
    "prints a bad certificate",
    prints({ clientCertificateData: "x", clientKeyData: "y" }),
    /: "clientCertificateData": found 1 bytes that are not a PEM certificate, want a PEM certificate$/,
  ],
  [
    "prints a bad time",
    prints({ token: "t", expirationTimestamp: "soon" }),
    /"expirationTimestamp" that is not a time, want RFC 3339$/,
  ],
  ["prints without end", "yes hunter2", /: it printed over 1048576 bytes$/],
];

for (const [what, body, message] of FAILURES) {
  Deno.test(`ExecPlugin says so when the plugin ${what}`, async () => {
    await withScript(body, async (path) => {
      await assert.rejects(plugin(path).get(never), (error: Error) => {
        assert.match(error.message, /^Cannot get a credential from the exec plugin "/);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /secret-garbage|hunter2/);
        return true;
      });
    });
  });
}

Deno.test("ExecPlugin quotes only the end of what a failing plugin said", async () => {
  await withScript(
    "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1",
    async (path) => {
      await assert.rejects(plugin(path).get(never), (error: Error) => {
        assert.ok(error.message.length < 1000, String(error.message.length));
        assert.match(error.message, /line 1999$/);
        return true;
      });
    },
  );
});

Deno.test("ExecPlugin names a missing program and its install hint", async () => {
  const exec = plugin("no-such-plugin-here", { installHint: "Install it from example.com" });
  await assert.rejects(exec.get(never), {
    message:
      'Cannot get a credential from the exec plugin "no-such-plugin-here": there is no such program, ' +
      `install it or set "command" of the user's "exec" (Install it from example.com)`,
  });
});

Deno.test("ExecPlugin does not start a plugin that needs a terminal where there is none", async () => {
  const machine = { ...systemMachine, hasTerminal: () => false };
  const spec = {
    command: "x",
    args: [],
    env: {},
    apiVersion: V1,
    installHint: undefined,
    cluster: undefined,
  };
  const exec = new ExecPlugin({ ...spec, needsTerminal: true }, { machine, clock: new FakeClock() });
  await assert.rejects(exec.get(never), /"interactiveMode" is "Always"\) and there is no terminal$/);
});

/** Resolves once the script has written its file `started`. */
async function started(folder: string): Promise<void> {
  const watcher = Deno.watchFs(folder);
  try {
    const there = () => Deno.stat(`${folder}/started`).then(() => true, () => false);
    if (await there()) return;
    for await (const _ of watcher) if (await there()) return;
  } finally {
    try {
      watcher.close();
    } catch { // leaving the loop has closed it
    }
  }
}

// Its child keeps the pipes open until the folder goes.
const HANGS = ': > "$(dirname "$0")/started"\nwhile [ -e "$0" ]; do sleep 0.1; done & wait';

Deno.test("ExecPlugin kills a plugin that takes too long, whatever it has started", async () => {
  await withScript(HANGS, async (path, folder) => {
    const clock = new FakeClock();
    const exec = plugin(path, {}, clock).get(never);
    exec.catch(() => {});
    await started(folder);
    clock.advance(PLUGIN_TIMEOUT_MS);
    await assert.rejects(exec, /: it ran for over 60 s$/);
  });
});

Deno.test(
  "ExecPlugin leaves a run to the others when one caller goes, and kills it when all have gone",
  async () => {
    await withScript(HANGS, async (path, folder) => {
      const clock = new FakeClock();
      const exec = plugin(path, {}, clock);
      const [first, second] = [new AbortController(), new AbortController()];
      const [one, two] = [exec.get(first.signal), exec.get(second.signal)];
      one.catch(() => {});
      two.catch(() => {});
      await started(folder);
      const reason = new Error("first has gone");
      first.abort(reason);
      await assert.rejects(one, reason);
      assert.equal(clock.pending, 1, "the run goes on under its deadline");
      const last = new Error("second has gone");
      second.abort(last);
      await assert.rejects(two, last);
    });
  },
);

Deno.test(
  "loadCluster() presents an exec plugin's client certificate, and a new one after refresh()",
  async () => {
    const ca = await makeCa();
    const status = async (commonName: string) => {
      const { cert, key } = await ca.issue({ commonName });
      return JSON.stringify({
        apiVersion: V1,
        kind: "ExecCredential",
        status: { clientCertificateData: cert, clientKeyData: key },
      });
    };
    const server = await ca.issue({ commonName: "api", ipAddresses: ["127.0.0.1"] });
    const { createServer } = await import("node:tls");
    const seen: string[] = [];
    const listener = createServer(
      { ...server, ca: [ca.cert], requestCert: true, rejectUnauthorized: true },
      (socket) => {
        socket.on("error", () => {});
        socket.once("data", () => {
          seen.push(String(socket.getPeerCertificate().subject.CN));
          socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
        });
      },
    );
    const listening = new Promise<void>((resolve) => listener.once("listening", resolve));
    listener.listen(0, "127.0.0.1");
    await listening;
    const { port } = listener.address() as { port: number };
    await withScript('cat "$(dirname "$0")/answer"', async (_, folder) => {
      const exec = { apiVersion: V1, command: "./plugin", interactiveMode: "IfAvailable" };
      await Deno.writeTextFile(
        `${folder}/config`,
        JSON.stringify({
          "current-context": "c",
          contexts: [{ name: "c", context: { cluster: "k", user: "u" } }],
          clusters: [{
            name: "k",
            cluster: { server: `https://127.0.0.1:${port}`, "certificate-authority-data": btoa(ca.cert) },
          }],
          users: [{ name: "u", user: { exec } }],
        }),
      );
      const { log } = recorder();
      const cluster = await loadCluster({ kubeconfig: `${folder}/config` }, {
        machine: systemMachine,
        clock: systemClock,
        log,
      });
      for (const name of ["alice", "bob"]) {
        await Deno.writeTextFile(`${folder}/answer`, await status(name));
        await cluster.refresh();
        const headers = await cluster.authenticate(never);
        assert.deepEqual(headers, {});
        const response = await cluster.http.send({
          method: "GET",
          url: cluster.server,
          headers,
          signal: never,
        });
        assert.equal(await new Response(response.body).text(), "ok");
      }
      cluster.http.close();
    });
    await new Promise((resolve) => listener.close(resolve));
    assert.deepEqual(seen, ["alice", "bob"]);
  },
);
