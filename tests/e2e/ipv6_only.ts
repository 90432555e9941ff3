/**
 * Starts the program in a network where `::` is IPv6 only, and tries it by both families. Run by
 * `address_families_test.ts` in a namespace of its own: with the program's command and first arguments. Prints what
 * was served, as JSON.
 *
 * @module
 */
import { kubeconfig } from "./kube_api.ts";
import { until } from "./waiting.ts";

const HOSTS = ["127.0.0.1", "::1"];
const [command = "", ...before] = Deno.args;
const folder = await Deno.makeTempDir();
const credentials = `${folder}/kubeconfig`;
await Deno.writeTextFile(
  credentials,
  kubeconfig({ baseUrl: "https://127.0.0.1:7", caPem: "", token: "token" }),
);
const child = new Deno.Command(command, {
  args: [...before, "--listen-addr=:8080", "--admin-addr=:8081", `--kubeconfig=${credentials}`],
  stdin: "null",
  stdout: "null",
  stderr: "inherit",
}).spawn();

async function ask(hostname: string, path: string): Promise<string> {
  const conn = await Deno.connect({ hostname, port: 8081 });
  try {
    await conn.write(new TextEncoder().encode(`GET ${path} HTTP/1.0\r\n\r\n`));
    return await new Response(conn.readable).text();
  } finally {
    try {
      conn.close();
    } catch { /* the end of the stream has closed it */ }
  }
}

const served: Record<string, string> = {};
const conns: Deno.Conn[] = [];
try {
  for (const hostname of HOSTS) {
    const answer = await until(`the admin port on ${hostname}`, () => ask(hostname, "/livez"));
    served[`admin port on ${hostname}`] = answer.split("\r\n")[0] ?? "";
    // The kernel connects before the program accepts: its own count says that it did.
    conns.push(await Deno.connect({ hostname, port: 8080 }));
    const opened = await until(
      `${conns.length} sessions`,
      async () =>
        (await ask(hostname, "/metrics")).split("\n").find((line) =>
          line === `buildkitd_autoscaler_sessions_opened_total ${conns.length}`
        ),
    );
    served[`sessions after one on ${hostname}`] = opened.split(" ")[1]!;
  }
} finally {
  for (const conn of conns) conn.close();
  child.kill("SIGKILL");
  await child.status;
  await Deno.remove(folder, { recursive: true });
}
await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(served)));
