/**
 * The README's commands from "Install" on, as they stand, against the cluster: the chart by helm, the first build through
 * `kubectl port-forward`, uninstall. And `helm test`, before the release goes.
 *
 * Left out are the commands that make a kind cluster and build the image: the image is in the cluster's registry already.
 * `docker` is a script that has `docker buildx` only.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { commandsOf } from "../../repo/documents.ts";
import { ensureBuilt } from "../../e2e/tools.ts";
import { until } from "../../e2e/waiting.ts";
import { helm, kubectl, outcome, shellEnvironment } from "../commands.ts";
import { Release } from "../release.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

const LEFT_OUT = /^(?:kind |docker build |docker buildx (?:create|build) .*multi-platform)/;
const PORT_FORWARD = "kubectl -n ci port-forward service/buildkitd 8372";

/** Nobody builds; the longest grace period of the pods is an hour. */
const UNINSTALL_MS = 60_000;

async function readmeCommands(): Promise<{ readonly install: string[]; readonly uninstall: string[] }> {
  const text = await Deno.readTextFile(join(ROOT, "README.md"));
  const part = text.slice(text.indexOf("\n## Install"), text.indexOf("\n## Use it in CI"));
  const [install = "", uninstall = ""] = part.split("\n### Uninstall");
  const runnable = (section: string) => commandsOf(section).filter((command) => !LEFT_OUT.test(command));
  return { install: runnable(install), uninstall: runnable(uninstall) };
}

Deno.test({
  name: "the README's commands install the chart, build, and remove everything within a minute",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const release = await Release.named("ci");
    const bin = await Deno.makeTempDir();
    const buildx = join(await ensureBuilt("buildx", () => {}), "docker-buildx");
    await Deno.writeTextFile(join(bin, "docker"), `#!/bin/sh\nshift\nexec "${buildx}" "$@"\n`, {
      mode: 0o755,
    });
    const env = { ...shellEnvironment(), BUILDX_CONFIG: join(bin, "buildx"), PATH: "" };
    env.PATH = `${bin}:${shellEnvironment()["PATH"]}`;
    const shell = (script: string) =>
      outcome("env", ["-i", ...Object.entries(env).map(([k, v]) => `${k}=${v}`), "sh", "-ec", script], ROOT);
    const succeed = async (script: string) => {
      const { code, output } = await shell(script);
      assert.equal(code, 0, `${script}\n${output}`);
      return output;
    };
    const { install, uninstall } = await readmeCommands();
    let forward: Deno.ChildProcess | undefined;
    try {
      const registry = install.find((command) => command.startsWith("export REGISTRY="));
      for (const command of install.filter((each) => each !== registry)) {
        if (command === PORT_FORWARD) {
          const [name = "", ...args] = command.split(" ");
          forward = new Deno.Command(name, { args, env, stdout: "null", stderr: "null" }).spawn();
          await until("the forwarded port", async () => {
            (await Deno.connect({ hostname: "127.0.0.1", port: 8372 })).close();
            return true;
          });
        } else {
          const output = await succeed(`${registry}\n${command}`);
          if (command.includes("| docker buildx build ")) assert.match(output, /hello from the cluster/);
        }
      }
      assert.match(await helm("test", "buildkitd-stack", "--namespace", "ci"), /Phase: +Succeeded/);
      const startedMs = performance.now();
      await succeed(uninstall.join("\n"));
      const tookMs = performance.now() - startedMs;
      assert.ok(tookMs < UNINSTALL_MS, `uninstall took ${Math.round(tookMs)} ms`);
      assert.doesNotMatch(await kubectl("get", "namespaces"), /^ci /m);
    } finally {
      forward?.kill("SIGKILL");
      await forward?.status;
      await release.dispose();
      await Deno.remove(bin, { recursive: true });
    }
  },
});
