/**
 * The Tiltfile asks Tilt for what is there: it builds the image that the chart deploys, names workloads and ports that the
 * rendered chart has, and nothing in it is for one developer's cluster. Tilt itself cannot be built here; the evaluator in
 * `tests/e2e/tools/tilt` speaks its language and takes its functions' arguments.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadAll } from "js-yaml";
import { ensureBuilt } from "../e2e/tools.ts";
import type { KubeObject } from "./helm.ts";

const say = (line: string) => void Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
const EVALUATE = join(await ensureBuilt("tilt", say), "evaluate-tiltfile");
const HELM = join(await ensureBuilt("helm", say), "helm");

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** One call of the Tiltfile's. */
interface Call {
  readonly call: string;
  // deno-lint-ignore no-explicit-any -- arguments of several functions
  readonly arguments: any;
}

interface Evaluation {
  readonly calls: readonly Call[];
  readonly code: number;
  readonly error: string;
}

async function evaluate(file: string, ...flags: string[]): Promise<Evaluation> {
  const { code, stdout, stderr } = await new Deno.Command(EVALUATE, {
    args: [file, "some-context", "some-namespace", "--", ...flags],
    env: { HELM },
  }).output();
  const decoder = new TextDecoder();
  const lines = decoder.decode(stdout).split("\n").filter((line) => line !== "");
  return { calls: lines.map((line) => JSON.parse(line)), code, error: decoder.decode(stderr) };
}

async function calls(...flags: string[]): Promise<readonly Call[]> {
  const { calls, code, error } = await evaluate(`${ROOT}Tiltfile`, ...flags);
  assert.equal(code, 0, error);
  return calls;
}

function only(calls: readonly Call[], name: string): Call["arguments"] {
  const found = calls.filter(({ call }) => call === name);
  assert.equal(found.length, 1, `${name} is called once`);
  return found[0]!.arguments;
}

interface Container {
  readonly image: string;
  readonly ports: readonly { readonly containerPort: number }[];
}

function containersOf({ spec }: KubeObject): readonly Container[] {
  return spec.template.spec.containers;
}

function workloads(calls: readonly Call[]): ReadonlyMap<string, KubeObject> {
  const objects = loadAll(only(calls, "k8s_yaml").yaml) as (KubeObject | null)[];
  const found = objects.filter((object) => object !== null)
    .filter(({ kind }) => kind === "Deployment" || kind === "StatefulSet");
  return new Map(found.map((object) => [object.metadata.name, object]));
}

Deno.test("Tiltfile: the image that it builds is the one that the chart deploys", async () => {
  const made = await calls();
  const { ref, context, build_args } = only(made, "docker_build");
  const images = [...workloads(made).values()].flatMap(containersOf)
    .map(({ image }) => image.replace(/:[^/]*$/, ""));
  assert.equal(images.filter((image) => image === ref).length, 1, `${ref} in ${images}`);
  assert.equal(context, ".");
  const dockerfile = await Deno.readTextFile(`${ROOT}Dockerfile`);
  for (const name of Object.keys(build_args)) assert.match(dockerfile, new RegExp(`^ARG ${name}\\b`, "m"));
});

Deno.test("Tiltfile: workloads and ports that it names are those of the chart", async () => {
  const made = await calls();
  const rendered = workloads(made);
  const named = made.filter(({ call }) => call === "k8s_resource").map(({ arguments: given }) => given);
  assert.deepEqual(named.map(({ workload }) => workload).sort(), [...rendered.keys()].sort());
  const forwards = named.flatMap(({ workload, port_forwards = [] }) =>
    port_forwards.map(({ container_port }: { container_port: number }) => [workload, container_port] as const)
  );
  assert.equal(forwards.length, 2);
  for (const [workload, port] of forwards) {
    const ports = containersOf(rendered.get(workload)!).flatMap((container) => container.ports);
    assert.ok(ports.some(({ containerPort }) => containerPort === port), `${workload} has port ${port}`);
  }
});

Deno.test("Tiltfile: nothing in it is for one cluster, and a busy builder keeps its replicas", async () => {
  const made = await calls();
  assert.equal(only(made, "helm").namespace, "some-namespace");
  assert.deepEqual(
    made.filter(({ call }) => call === "allow_k8s_contexts" || call === "default_registry"),
    [],
  );
  const sets = [...workloads(made).values()].filter(({ kind }) => kind === "StatefulSet");
  assert.equal(sets.length, 1);
  assert.equal(sets[0]!.spec.replicas, undefined);
  assert.equal(sets[0]!.spec.volumeClaimTemplates, undefined, "no volume, and so no storage class");
});

Deno.test("Tiltfile: a context elsewhere, its registry and values of one's own are named by flags", async () => {
  const values = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(values, "buildkitd: { persistence: { enabled: true } }\n");
    const made = await calls("--allow=far", "--registry=registry.example.com/me", `--values=${values}`);
    assert.equal(only(made, "allow_k8s_contexts").contexts, "far");
    assert.equal(only(made, "default_registry").host, "registry.example.com/me");
    const set = [...workloads(made).values()].find(({ kind }) => kind === "StatefulSet")!;
    assert.ok(set.spec.volumeClaimTemplates !== undefined, "the values are used");
  } finally {
    await Deno.remove(values);
  }
});

Deno.test("The evaluator refuses what Tilt would refuse", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (
      const [text, why] of [
        ["docker_build('a', '.', dockerfil='x')", /unexpected keyword argument "dockerfil"/],
        ["k8s_resources('a')", /undefined: k8s_resources/],
        ["if True\n  pass", /got newline, want ':'/],
        ["k8s_yaml(helm('nowhere'))", /nowhere/],
      ] as const
    ) {
      await Deno.writeTextFile(`${folder}/Tiltfile`, `${text}\n`);
      const { code, error } = await evaluate(`${folder}/Tiltfile`);
      assert.equal(code, 1, text);
      assert.match(error, why);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
