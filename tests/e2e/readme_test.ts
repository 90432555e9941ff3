/**
 * Runs the commands of the README's part "Install" as a reader does: as they stand, one after the other, in a checkout made
 * as the README says, with a registry of the reader's own. The pods run the image that they pull from that registry.
 *
 * The commands for kind are left out, because a kind cluster needs Docker. They are listed below and printed. Every other
 * command in a code block of that part is run.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { commandsOf } from "../repo/documents.ts";
import type { Child } from "./child_process.ts";
import { imagesOf, standInImages } from "./containers/image.ts";
import { DockerBuilder } from "./registry/builder.ts";
import { commitCheckout } from "./registry/checkout.ts";
import { pull } from "./registry/pull.ts";
import { pulledImage } from "./registry/pulled_image.ts";
import { Registry } from "./registry/registry.ts";
import { Workplace } from "./registry/workplace.ts";
import { type Release, releaseScenario } from "./release.ts";
import { programPath, surroundings } from "./surroundings.ts";
import { cleanUp, until } from "./waiting.ts";

const REPOSITORY = "https://github.com/EarthBuild/buildkitd-autoscaler";

/** Commands of the README that cannot run here. */
const LEFT_OUT = [
  "kind create cluster --name buildkitd",
  "docker build --tag $REGISTRY/buildkitd-autoscaler:dev .",
  "kind load docker-image $REGISTRY/buildkitd-autoscaler:dev --name buildkitd",
  "kind delete cluster --name buildkitd",
];

/** Runs until it is killed. */
const PORT_FORWARD = "kubectl -n ci port-forward service/buildkitd 8372";

const BUILD = /^printf .* \| docker buildx build /;

/** The output of that build's step. The line that shows the step itself has no time in it. */
const STEP_OUTPUT = /^#\d+ [\d.]+ hello from the cluster$/m;

let registry: Registry;
let builder: DockerBuilder;
let imagesSoFar = 0;
const pulled: string[] = [];

/** The image of a pod: pulled, if its name begins with the registry's, and otherwise a stand-in. */
async function imageOf(name: string) {
  if (!name.startsWith(`${registry.host}/`)) return await imagesOf(standInImages(programPath))(name);
  pulled.push(name);
  const folder = join(surroundings().folder, `pulled-${++imagesSoFar}`);
  return await pulledImage(name, { caFile: registry.caFile }, folder);
}

Deno.test.beforeAll(async () => {
  registry = await Registry.start({
    address: "10.99.5.2",
    folder: join(surroundings().folder, "readers-registry"),
  });
  builder = await DockerBuilder.start(registry.caFile);
});

Deno.test.afterAll(() => cleanUp(() => builder?.stop(), () => registry?.stop()));

/**
 * The README's commands from "Install" to the next heading of that level, in order. Before them come the two that make
 * the checkout: they stand in the text of "Try it", joined by "&&", and "Install" goes on in that checkout.
 */
async function readmeCommands(): Promise<readonly string[]> {
  const text = await Deno.readTextFile(new URL("../../README.md", import.meta.url));
  const checkout = text.match(/`(git clone \S+) && (cd \S+)`/);
  assert.ok(checkout !== null, "the README says how to get a checkout");
  const part = text.split(/^## /m).find((each) => each.startsWith("Install\n"));
  assert.ok(part !== undefined, `the README has a part "Install"`);
  return [...checkout.slice(1), ...commandsOf(part)];
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`  ${line}\n`));
}

/** Runs commands as one terminal does: `cd` and `export` hold for the commands after them. */
class Terminal {
  readonly #workplace: Workplace;
  readonly #folder: string;
  readonly #kept: string[] = [];
  readonly #background: Child[] = [];

  constructor(workplace: Workplace, folder: string) {
    this.#workplace = workplace;
    this.#folder = folder;
  }

  async run(command: string): Promise<string> {
    const startedMs = performance.now();
    const printed = await this.#workplace.run(this.#script(command), { name: command, cwd: this.#folder });
    if (/^(?:cd|export) /.test(command)) this.#kept.push(command);
    say(`$ ${command}   # ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
    return printed;
  }

  /** In a second terminal, until the end of the test; waits until it says the text. */
  async begin(command: string, text: string): Promise<void> {
    const child = this.#workplace.start(this.#script(command), { name: command, cwd: this.#folder });
    this.#background.push(child);
    say(`$ ${command} &`);
    await until(
      `"${command}" to say "${text}"`,
      async () => (await Deno.readTextFile(child.logFile)).includes(text),
      { explain: () => child.tail() },
    );
  }

  #script(command: string): string {
    return [...this.#kept, command].join("\n");
  }

  async dispose(): Promise<void> {
    await cleanUp(...this.#background.map((child) => () => child.kill()));
  }
}

releaseScenario(
  "README: its commands build and push the image, install it, build through it, and take it out again",
  { namespace: "ci", withoutNamespace: true, images: imageOf },
  async (release) => {
    const folder = join(release.folder, "reader");
    const git = await commitCheckout(join(release.folder, "upstream"), REPOSITORY);
    const workplace = await Workplace.create({
      folder,
      builder,
      caFile: registry.caFile,
      env: { ...git, KUBECONFIG: release.kubeconfig },
    });
    const terminal = new Terminal(workplace, folder);
    const commands = await readmeCommands();
    const repository = `${registry.host}/team`;
    try {
      const leftOut = commands.filter((command) => LEFT_OUT.includes(command));
      assert.deepEqual(leftOut, LEFT_OUT, "the README has the commands that are left out here");
      say("");
      for (const command of leftOut) say(`LEFT OUT, there is no kind here: ${command}`);
      const ran = commands.filter((command) => !LEFT_OUT.includes(command));
      for (const command of ran) {
        if (command === PORT_FORWARD) {
          await release.watch();
          await release.timeline.settle([0]);
          await terminal.begin(command, "Forwarding from 127.0.0.1:8372");
        } else if (command.startsWith("export REGISTRY=")) {
          await terminal.run(`export REGISTRY=${repository}`);
        } else if (command.startsWith("helm uninstall ")) {
          await assertRuns(release, `${repository}/buildkitd-autoscaler:dev`);
          await terminal.run(command);
        } else if (BUILD.test(command)) {
          assert.match(await terminal.run(command), STEP_OUTPUT);
          assert.deepEqual(release.timeline.counts, [0, 1]);
        } else await terminal.run(command);
      }
      for (const once of [/^export REGISTRY=/, /^helm install /, BUILD, /^helm uninstall /]) {
        assert.equal(ran.filter((command) => once.test(command)).length, 1, `one command ${once}`);
      }
      assert.ok(ran.includes(PORT_FORWARD));
      await release.untilNoPods();
      await assertGone(release);
    } finally {
      await terminal.dispose();
    }
  },
);

/** The proxy's pod runs the image that was pushed, pulled by the name in its spec, and buildkitd has built. */
async function assertRuns(release: Release, image: string): Promise<void> {
  const proxies = await release.pods("ReplicaSet");
  assert.deepEqual(proxies.map(({ spec }) => spec.containers[0]?.image), [image]);
  assert.deepEqual(pulled, [image]);
  const { entries } = await pull(image, { caFile: registry.caFile }, join(release.folder, "pushed"));
  const platforms = entries.map(({ platform }) => platform?.architecture);
  assert.deepEqual(platforms.filter((name) => name !== "unknown"), ["amd64", "arm64"]);
  assert.equal((await release.pods("StatefulSet")).length, 1);
  assert.deepEqual(await release.plane.refusedTo(await release.programUser()), []);
}

async function assertGone({ api }: Release): Promise<void> {
  const { items } = await api.get<{ items: { metadata: { name: string } }[] }>("/api/v1/namespaces");
  assert.ok(!items.some(({ metadata }) => metadata.name === "ci"), "the namespace is gone");
}
