/**
 * Credentials and authorities that are replaced while the program runs, against real TLS servers: nothing has to be
 * restarted, and what is open stays open.
 *
 * @module
 */
import assert from "node:assert/strict";
import { systemClock } from "../../../lib/base/clock.ts";
import { noMetrics } from "../../../lib/base/metrics.ts";
import { KubeClient } from "../../../lib/kube/client.ts";
import { loadCluster, type LoadOptions } from "../../../lib/kube/load_cluster.ts";
import { systemMachine } from "../../../lib/kube/machine.ts";
import { never, recorder } from "../../unit/kube/fakes.ts";
import { makeCa, type TestCa, type TestCertificate } from "./certificates.ts";
import { type Identity, type RotatingServer, rotatingServer, type SeenRequest } from "./rotating_server.ts";

const [oldCa, newCa] = [await makeCa(), await makeCa({ commonName: "New CA" })];
const issueServer = (ca: TestCa) =>
  ca.issue({ commonName: "api", dnsNames: ["kubernetes.example"], ipAddresses: ["127.0.0.1"] });
const [oldServer, newServer] = [await issueServer(oldCa), await issueServer(newCa)];

interface Stage {
  readonly folder: string;
  readonly server: RotatingServer;
  /** Replaces a file as Kubernetes and kubectl do. */
  write(name: string, content: unknown): Promise<void>;
  /** A client, made of the files as they are now. */
  start(options: LoadOptions, variables?: Record<string, string>): Promise<Started>;
}

interface Started {
  readonly client: KubeClient;
  readonly records: ReturnType<typeof recorder>["records"];
  /** Asks for an object; gives the answer or the error. */
  ask(): Promise<unknown>;
}

const TARGET = { verb: "get", group: "apps", resource: "statefulsets", namespace: "n", name: "b" } as const;

async function onStage(
  identity: Identity,
  answer: (request: SeenRequest) => Response,
  use: (stage: Stage) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const server = await rotatingServer(identity, answer);
  const clients: KubeClient[] = [];
  const write = async (name: string, content: unknown) => {
    await Deno.writeTextFile(
      `${folder}/.new`,
      typeof content === "string" ? content : JSON.stringify(content),
    );
    await Deno.rename(`${folder}/.new`, `${folder}/${name}`);
  };
  try {
    await use({
      folder,
      server,
      write,
      async start(options, variables = {}) {
        const { records, log } = recorder();
        const machine = { ...systemMachine, env: (name: string) => variables[name] };
        const cluster = await loadCluster(options, { machine, clock: systemClock, log });
        const client = new KubeClient({ cluster, clock: systemClock, metrics: noMetrics, log });
        clients.push(client);
        const ask = () =>
          client.json({ target: TARGET, method: "GET" }, never).catch((error: unknown) => error);
        return { client, records, ask };
      },
    });
  } finally {
    for (const { cluster } of clients) cluster.http.close();
    await server.close();
    await Deno.remove(folder, { recursive: true });
  }
}

function kubeconfig(port: number, cluster: Record<string, unknown>, user: Record<string, unknown> = {}) {
  return {
    "current-context": "c",
    contexts: [{ name: "c", context: { cluster: "k", user: "u" } }],
    clusters: [{ name: "k", cluster: { server: `https://127.0.0.1:${port}`, ...cluster } }],
    users: [{ name: "u", user }],
  };
}

const inline = ({ cert }: TestCertificate) => ({ "certificate-authority-data": btoa(cert) });

/** Writes what names the authority, and says how it is used. */
interface Source {
  trust(ca: TestCertificate, stage: Stage): Promise<void>;
  options(stage: Stage): readonly [LoadOptions, Record<string, string>?];
}

const inKubeconfig = (cluster: Record<string, unknown>): Source => ({
  trust: (ca, { write, server }) => write("config", kubeconfig(server.port, { ...inline(ca), ...cluster })),
  options: ({ folder }) => [{ kubeconfig: `${folder}/config` }],
});

const SOURCES: Readonly<Record<string, Source>> = {
  "the service account's authority": {
    async trust(ca, { write }) {
      await write("token", "pod-token");
      await write("ca.crt", ca.cert);
    },
    options: ({ folder, server }) => [{ serviceAccountDirectory: folder }, {
      KUBERNETES_SERVICE_HOST: "127.0.0.1",
      KUBERNETES_SERVICE_PORT: String(server.port),
    }],
  },
  "a kubeconfig's authority": inKubeconfig({}),
  "a kubeconfig's authority with tls-server-name": inKubeconfig({ "tls-server-name": "kubernetes.example" }),
};

for (const [what, { trust, options }] of Object.entries(SOURCES)) {
  Deno.test(`KubeClient uses ${what} as it is after a failed handshake, and watches go on`, async () => {
    const encoder = new TextEncoder();
    const watch = Promise.withResolvers<ReadableStreamDefaultController<Uint8Array>>();
    const answer = ({ path }: SeenRequest) => {
      if (!path.includes("watch=1")) return Response.json({ kind: "StatefulSet" });
      return new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(encoder.encode("first"));
            watch.resolve(controller);
          },
        }),
      );
    };
    await onStage({ server: oldServer }, answer, async (stage) => {
      await trust(oldCa, stage);
      const { client, ask, records } = await stage.start(...options(stage));
      assert.deepEqual(await ask(), { kind: "StatefulSet" });
      const request = { target: TARGET, method: "GET", query: { watch: "1" } } as const;
      const body = (await client.open(request, never)).body.pipeThrough(new TextDecoderStream()).getReader();
      assert.equal((await body.read()).value, "first");

      await stage.server.rotate({ server: newServer });
      assert.match(String(await ask()), /certificate is not signed by|the TLS handshake failed/);
      assert.equal(records.some(({ code }) => code === "credentials_reloaded"), false);

      await trust(newCa, stage);
      assert.deepEqual(await ask(), { kind: "StatefulSet" });
      const [again] = records.filter(({ code }) => code === "credentials_reloaded");
      assert.equal((again?.fields["changed"] as string[])[0], "authority");

      (await watch.promise).enqueue(encoder.encode("second"));
      assert.equal((await body.read()).value, "second");
      await body.cancel();
    });
  });
}

Deno.test("KubeClient keeps its certificate authority while the file has no usable content", async () => {
  await onStage({ server: oldServer }, () => Response.json({ kind: "StatefulSet" }), async (stage) => {
    const { trust, options } = SOURCES["a kubeconfig's authority"]!;
    await trust(oldCa, stage);
    const { ask, records } = await stage.start(...options(stage));
    await stage.server.rotate({ server: newServer });
    await stage.write("config", "{");
    assert.match(String(await ask()), /certificate is not signed by/);
    assert.deepEqual(
      records.filter(({ code }) => code === "credential_file_unreadable").map(({ level }) => level),
      ["warn"],
    );
    await stage.server.rotate({ server: oldServer });
    assert.deepEqual(await ask(), { kind: "StatefulSet" });
  });
});

Deno.test("KubeClient sends no new credentials to the old server when the kubeconfig names another one", async () => {
  const answer = ({ authorization }: SeenRequest) =>
    authorization === "Bearer old" ? Response.json({}) : Response.json({ kind: "Status" }, { status: 401 });
  await onStage({ server: oldServer }, answer, async ({ server, write, start, folder }) => {
    await write("config", kubeconfig(server.port, inline(oldCa), { token: "refused" }));
    const { ask, records } = await start({ kubeconfig: `${folder}/config` });
    await write("config", kubeconfig(1, inline(oldCa), { token: "for-another-server" }));
    assert.match(String(await ask()), /does not accept the credentials/);
    assert.deepEqual(server.requests.map(({ authorization }) => authorization), [
      "Bearer refused",
      "Bearer refused",
    ]);
    const [said] = records.filter(({ code }) => code === "credential_file_unreadable");
    assert.match(
      String(said?.fields["cause"]),
      /found another server or other connection settings, restart the program/,
    );
  });
});

Deno.test("KubeClient reads a kubeconfig's own token again after a 401, and sends the request again", async () => {
  let good = "Bearer first";
  const answer = ({ authorization }: SeenRequest) =>
    authorization === good
      ? Response.json({ kind: "StatefulSet" })
      : Response.json({ kind: "Status" }, { status: 401 });
  await onStage({ server: oldServer }, answer, async ({ server, write, start, folder }) => {
    await write("config", kubeconfig(server.port, inline(oldCa), { token: "first" }));
    const { ask } = await start({ kubeconfig: `${folder}/config` });
    assert.deepEqual(await ask(), { kind: "StatefulSet" });
    good = "Bearer second";
    assert.match(String(await ask()), /does not accept the credentials/);
    await write("config", kubeconfig(server.port, inline(oldCa), { token: "second" }));
    assert.deepEqual(await ask(), { kind: "StatefulSet" });
    assert.deepEqual(
      server.requests.map(({ authorization }) => authorization),
      ["first", "first", "first", "first", "second"].map((token) => `Bearer ${token}`),
    );
  });
});

for (
  const [kind, cluster] of Object.entries({
    FetchHttp: {},
    TlsHttp: { "tls-server-name": "kubernetes.example" },
  })
) {
  const issue = (commonName: string) => oldCa.issue({ commonName });

  Deno.test(`loadCluster() presents the client certificate of replaced files, over ${kind}`, async () => {
    const identity = { server: oldServer, clientCa: oldCa.cert };
    await onStage(identity, () => Response.json({}), async ({ server, write, start, folder }) => {
      const pair = { "client-certificate": "client.crt", "client-key": "client.key" };
      await write("config", kubeconfig(server.port, { ...inline(oldCa), ...cluster }, pair));
      const replace = async ({ cert, key }: TestCertificate) => {
        await write("client.crt", cert);
        await write("client.key", key);
      };
      await replace(await issue("alice"));
      const { client: kube, ask } = await start({ kubeconfig: `${folder}/config` });
      assert.deepEqual(await ask(), {});
      const bob = await issue("bob");
      await write("client.crt", bob.cert);
      await kube.cluster.refresh();
      assert.deepEqual(await ask(), {}); // only half of the pair is new: the old pair stays
      await write("client.key", bob.key);
      await kube.cluster.refresh();
      assert.deepEqual(await ask(), {});
      assert.deepEqual(server.requests.map(({ client }) => client), ["alice", "alice", "bob"]);
    });
  });

  Deno.test(`KubeClient presents a kubeconfig's own certificate as it is after a 401, over ${kind}`, async () => {
    const identity = { server: oldServer, clientCa: oldCa.cert };
    const answer = ({ client }: SeenRequest) => Response.json({}, { status: client === "alice" ? 401 : 200 });
    await onStage(identity, answer, async ({ server, write, start, folder }) => {
      const replace = async ({ cert, key }: TestCertificate) => {
        const user = { "client-certificate-data": btoa(cert), "client-key-data": btoa(key) };
        await write("config", kubeconfig(server.port, { ...inline(oldCa), ...cluster }, user));
      };
      await replace(await issue("alice"));
      const { ask } = await start({ kubeconfig: `${folder}/config` });
      await replace(await issue("bob"));
      assert.deepEqual(await ask(), {});
      assert.deepEqual(server.requests.map(({ client }) => client), ["alice", "bob"]);
    });
  });
}
