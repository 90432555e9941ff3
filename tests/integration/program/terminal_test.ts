/**
 * The program on a terminal, in a process of its own: what it prints for the person in front of it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { World } from "../../support/program.ts";
import { within } from "../../support/deadline.ts";

const MAIN = new URL("../../../main.ts", import.meta.url).pathname;

/** What the program prints until `end`; with a terminal on standard output, or without. */
async function printed(onTerminal: boolean, end: RegExp): Promise<string> {
  await using world = new World();
  const folder = await Deno.makeTempDir();
  const kubeconfig = `${folder}/kubeconfig`;
  await Deno.writeTextFile(
    kubeconfig,
    JSON.stringify({
      "current-context": "test",
      contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
      clusters: [{ name: "test", cluster: { server: world.front.url.origin } }],
      users: [{ name: "test", user: {} }],
    }),
  );
  const command = [
    ...[Deno.execPath(), "run", "-A", "--no-check", MAIN],
    ...[
      "--listen-addr=127.0.0.1:0",
      "--admin-addr=127.0.0.1:0",
      "--shutdown-delay=0s",
      `--kubeconfig=${kubeconfig}`,
    ],
  ];
  // `script` runs a command on a terminal of its own.
  const quoted = command.map((part) => `'${part}'`).join(" ");
  const args = onTerminal ? ["-qfec", quoted, "/dev/null"] : ["-c", `exec ${quoted} 2>&1`];
  const child = new Deno.Command(onTerminal ? "script" : "sh", {
    args,
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let text = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    const reader = child.stdout.getReader();
    while (!end.test(text)) {
      const { done, value } = await reader.read();
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
    await reader.cancel();
  })();
  try {
    await within(reading, "the lines of the program", () => text);
    return text.replaceAll("\r\n", "\n");
  } finally {
    child.kill("SIGTERM");
    await child.status;
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("main.ts on a terminal prints what to type, before its first log line", async () => {
  const text = await printed(true, /listening[^\n]*\n/);
  const port = /tcp:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1];
  const typed = text.slice(0, text.indexOf("listening"));
  assert.match(
    typed,
    new RegExp(`docker buildx create --name laptop --driver remote --use tcp://127.0.0.1:${port}\\n`),
  );
  assert.match(typed, new RegExp(`buildctl --addr tcp://127.0.0.1:${port} build`));
  assert.match(typed, new RegExp(`EARTHLY_BUILDKIT_HOST=tcp://127.0.0.1:${port} .* earth`));
});

Deno.test("main.ts without a terminal prints nothing but its log", async () => {
  const text = await printed(false, /listening[^\n]*\n/);
  assert.doesNotMatch(text, /docker buildx/);
});
