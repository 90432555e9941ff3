/**
 * A build by a client pod, as CI runs it. Its one RUN step goes on until the test lets it end.
 *
 * The step connects to its client's pod, which holds the connection until the test has put a file into a folder of
 * this machine that the pod shows; what the client prints and its exit code come back the same way. So a test follows
 * a build while the API server or the kubelet is away.
 *
 * @module
 */

import assert from "node:assert/strict";
import { until } from "../e2e/waiting.ts";
import { apply } from "./commands.ts";
import { at } from "./place.ts";

/** A build may have to wait for a volume, an image and a pod. */
const BUILD_MS = 180_000;

const PORT = 9000;

/** Serves the step's connection, builds, and tells how that ended. */
const SCRIPT = `
cd /work
nc -ll -p ${PORT} -e ./hold &
printf "FROM alpine\\nRUN nc $IP ${PORT} > /dev/null && echo $MARK > /mark\\n" > Dockerfile
buildctl --addr $ADDRESS build --progress plain --no-cache --frontend dockerfile.v0 \\
  --local context=/work/context --local dockerfile=/work --output type=local,dest=/work/result > log 2>&1
echo $? > code.new && mv code.new code
`;

const HOLD = `#!/bin/sh
touch /work/running
until [ -e /work/go ]; do sleep 0.1; done
`;

/** One build. */
export class ClientBuild {
  readonly name: string;
  readonly #folder: string;

  private constructor(name: string) {
    this.name = name;
    this.#folder = at("builds", name);
  }

  /** Starts a build in a pod of the namespace; `address` is as buildctl takes it. */
  static async start(namespace: string, address: string): Promise<ClientBuild> {
    const build = new ClientBuild(`client-${crypto.randomUUID().slice(0, 8)}`);
    const folder = build.#folder;
    await Deno.mkdir(`${folder}/context`, { recursive: true });
    await Deno.writeTextFile(`${folder}/hold`, HOLD, { mode: 0o755 });
    await apply({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: build.name, namespace, labels: { app: "client" } },
      spec: {
        restartPolicy: "Never",
        terminationGracePeriodSeconds: 0,
        containers: [{
          name: "client",
          image: "moby/buildkit:v0.34.2",
          command: ["sh", "-c", SCRIPT],
          env: [
            { name: "IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
            { name: "ADDRESS", value: address },
            { name: "MARK", value: build.name },
          ],
          volumeMounts: [{ name: "work", mountPath: "/work" }],
        }],
        volumes: [{ name: "work", hostPath: { path: folder } }],
      },
    });
    return build;
  }

  #has(file: string): boolean {
    try {
      return Deno.statSync(`${this.#folder}/${file}`).isFile;
    } catch {
      return false;
    }
  }

  /** What the client has printed so far. */
  get log(): string {
    return this.#has("log") ? Deno.readTextFileSync(`${this.#folder}/log`) : "";
  }

  /** Whether the client has ended, in whatever way. */
  get ended(): boolean {
    return this.#has("code");
  }

  /** Resolves when the RUN step is under way; fails if the client ends before. */
  async running(): Promise<this> {
    await until(`the step of ${this.name} to run`, () => this.#has("running") || this.ended, {
      deadlineMs: BUILD_MS,
      explain: () => this.log,
    });
    assert.equal(this.ended, false, `the client ended before its step ran\n${this.log}`);
    return this;
  }

  /** Waits until the client has ended, and gives its exit code. */
  async code(): Promise<number> {
    await until(`the client of ${this.name} to end`, () => this.ended, {
      deadlineMs: BUILD_MS,
      explain: () => this.log,
    });
    return Number(await Deno.readTextFile(`${this.#folder}/code`));
  }

  /** Lets the step end; the build must then end well, with its result. */
  async finish(): Promise<void> {
    await Deno.writeTextFile(`${this.#folder}/go`, "");
    assert.equal(await this.code(), 0, this.log);
    const mark = await Deno.readTextFile(`${this.#folder}/result/mark`);
    assert.equal(mark.trim(), this.name);
  }
}
