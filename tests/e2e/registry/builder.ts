/**
 * Stands in for the Docker that builds and pushes images: a real buildkitd outside the cluster, with stand-ins for the base
 * images, because none can be pulled.
 *
 * All test files of a run use the same data folder, one after the other, so they share its build cache. Starting throws
 * with the tail of buildkitd's log.
 *
 * @module
 */

import { join } from "node:path";
import { Child } from "../child_process.ts";
import { ensureBaseImages } from "../image/base_images.ts";
import { type BaseImage, sharedBaseImages } from "../image/build_image.ts";
import { isServing, TARGET_PORT } from "../pod_process.ts";
import { cgroupParent, programPath, surroundings } from "../surroundings.ts";
import { until } from "../waiting.ts";

const ADDRESS = "10.99.5.1";

export class DockerBuilder {
  /** As clients take it: `tcp://HOST:PORT`. */
  readonly address = `tcp://${ADDRESS}:${TARGET_PORT}`;
  /** The images that stand in for those that cannot be pulled. */
  readonly bases: readonly BaseImage[];
  readonly #child: Child;

  private constructor(child: Child, bases: readonly BaseImage[]) {
    this.#child = child;
    this.bases = bases;
  }

  /** Starts it; it trusts the registries with the certificate in `caFile`. */
  static async start(caFile: string): Promise<DockerBuilder> {
    const folder = join(surroundings().folder, "docker");
    await Deno.mkdir(folder, { recursive: true });
    const config = join(folder, "buildkitd.toml");
    await Deno.writeTextFile(config, `[worker.oci]\ndefaultCgroupParent = "/${cgroupParent()}"\n`);
    const child = new Child({
      name: "buildkitd of the stand-in for docker",
      command: programPath("buildkitd"),
      args: [
        `--config=${config}`,
        `--root=${join(folder, "root")}`,
        `--addr=tcp://${ADDRESS}:${TARGET_PORT}`,
        `--otel-socket-path=${join(folder, "otel.sock")}`,
        "--oci-worker-net=host",
        "--containerd-worker=false",
      ],
      env: { SSL_CERT_FILE: caFile },
      logFile: join(folder, "buildkitd.log"),
    });
    const client = Deno.createHttpClient({ http1: false, http2: true });
    try {
      await until("buildkitd to serve", () => isServing(ADDRESS, client), { explain: () => child.tail() });
      const builder = {
        buildctl: programPath("buildctl"),
        address: `tcp://${ADDRESS}:${TARGET_PORT}`,
        folder,
      };
      const folders = await ensureBaseImages(programPath("busybox"), () => {});
      return new DockerBuilder(child, await sharedBaseImages(builder, folders));
    } catch (error) {
      await child.kill();
      throw error;
    } finally {
      client.close();
    }
  }

  stop(): Promise<void> {
    return this.#child.kill();
  }
}
