/**
 * The program as a process: signals, exit codes and a log that nobody reads. Its API server does not exist, which it
 * has to bear.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ECHO_MS } from "../../../lib/signals.ts";
import { within } from "../../support/deadline.ts";

const KUBECONFIG = `
apiVersion: v1
kind: Config
current-context: here
contexts: [{ name: here, context: { cluster: here, user: me } }]
clusters: [{ name: here, cluster: { server: "http://127.0.0.1:9" } }]
users: [{ name: me, user: {} }]
`;

interface Running {
  readonly child: Deno.ChildProcess;
  readonly adminPort: number;
  /** The log, once the program has ended. */
  readonly log: Promise<string>;
}

/** Starts the program and hands it over as soon as it listens. */
async function withProgram(args: string[], use: (running: Running) => Promise<void>): Promise<void> {
  const kubeconfig = await Deno.makeTempFile();
  await Deno.writeTextFile(kubeconfig, KUBECONFIG);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--allow-all", "--no-check", new URL("../../../main.ts", import.meta.url).pathname],
      ...["--kubeconfig", kubeconfig, "--listen-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", ...args],
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let text = "";
    let listening: { adminAddr: string } | undefined;
    while (listening === undefined) {
      const { value, done } = await reader.read();
      assert.ok(!done, `the program ended: ${text}`);
      text += value;
      const line = text.split("\n").slice(0, -1).find((each) => each.includes('"code":"listening"'));
      if (line !== undefined) listening = JSON.parse(line);
    }
    const rest = (async () => {
      for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
      return text;
    })();
    await use({ child, adminPort: Number(listening.adminAddr.split(":").at(-1)), log: rest });
    await rest;
  } finally {
    // It has ended by now, unless the test has failed.
    try {
      child.kill("SIGKILL");
    } catch { /* ended */ }
    await child.status;
    await Deno.remove(kubeconfig);
  }
}

async function answerOf(adminPort: number, path: string): Promise<{ status: number; text: string }> {
  using client = Deno.createHttpClient({});
  const response = await fetch(`http://127.0.0.1:${adminPort}${path}`, { client });
  return { status: response.status, text: await response.text() };
}

const statusOf = async (adminPort: number, path: string) => (await answerOf(adminPort, path)).status;

async function reasonOfShutdown(adminPort: number): Promise<{ status: number; text: string }> {
  for (;;) {
    const answer = await answerOf(adminPort, "/readyz");
    if (/^shutdown: shutting down$/m.test(answer.text)) return answer;
  }
}

Deno.test("main.ts ends with 0 after SIGTERM, and says so", async () => {
  await withProgram(["--shutdown-delay=0s"], async ({ child, log }) => {
    child.kill("SIGTERM");
    assert.equal((await child.status).code, 0);
    const lines = (await log).trimEnd().split("\n").map((line) => JSON.parse(line).code);
    assert.equal(lines.at(-1), "program_ended");
  });
});

Deno.test("main.ts is alive but unready while the API server is down, and while it drains", async () => {
  await withProgram(["--shutdown-delay=1h"], async ({ child, adminPort }) => {
    assert.equal(await statusOf(adminPort, "/livez"), 200);
    const down = await answerOf(adminPort, "/readyz");
    assert.equal(down.status, 503);
    assert.doesNotMatch(down.text, /^shutdown: /m);
    child.kill("SIGINT");
    // The signal may come later than the next request: the reason that it gives is the sign of its arrival.
    const draining = await within(reasonOfShutdown(adminPort), "the reason of a shutdown on /readyz");
    assert.equal(draining.status, 503);
    assert.equal(await statusOf(adminPort, "/livez"), 200);
    assert.equal(await statusOf(adminPort, "/metrics"), 200);
    await new Promise((resolve) => setTimeout(resolve, ECHO_MS));
    child.kill("SIGTERM");
    assert.equal((await child.status).code, 0);
  });
});

Deno.test("main.ts continues when the reader of its log is gone", async () => {
  const kubeconfig = await Deno.makeTempFile();
  await Deno.writeTextFile(kubeconfig, KUBECONFIG);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--allow-all", "--no-check", new URL("../../../main.ts", import.meta.url).pathname],
      ...["--kubeconfig", kubeconfig, "--listen-addr=127.0.0.1:0", `--admin-addr=127.0.0.1:${port}`],
      ...["--log-level=debug", "--shutdown-delay=0s"],
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  try {
    await child.stderr.cancel();
    for (let alive = false; !alive;) {
      alive = await statusOf(port, "/livez").then((code) => code === 200, () => false);
    }
    child.kill("SIGTERM");
    assert.equal((await child.status).code, 0);
  } finally {
    await Deno.remove(kubeconfig);
  }
});
