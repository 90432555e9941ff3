/**
 * `:8080` is IPv4 and IPv6, also where a socket on `::` takes IPv6 only, as on Windows.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { run } from "../../.ci/commands.ts";
import { programPath } from "./surroundings.ts";
import { within } from "./waiting.ts";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const SOURCES = [Deno.execPath(), "run", "-A", "--no-check", "--cached-only", path("../../main.ts")];

for (
  const [what, command] of [
    ["the program", () => SOURCES],
    ["the compiled program", () => [programPath("buildkitd-autoscaler")]],
  ] as const
) {
  Deno.test(`${what} is reached by IPv4 and IPv6 where :: means IPv6 only`, async () => {
    const script = `ip link set lo up && echo 1 > /proc/sys/net/ipv6/bindv6only && exec "$@"`;
    const client = [Deno.execPath(), "run", "-A", "--no-check", "--cached-only", path("ipv6_only.ts")];
    const printed = await within(
      "the program by both families",
      run("unshare", ["--net", "sh", "-c", script, "sh", ...client, ...command()]),
    );
    assert.deepEqual(JSON.parse(printed), {
      "admin port on 127.0.0.1": "HTTP/1.1 200 OK",
      "sessions after one on 127.0.0.1": "1",
      "admin port on ::1": "HTTP/1.1 200 OK",
      "sessions after one on ::1": "2",
    });
  });
}
