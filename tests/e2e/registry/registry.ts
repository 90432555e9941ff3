/**
 * A real registry for images and charts (`distribution`), with TLS, in front of a folder.
 *
 * Clients trust it by the variable `SSL_CERT_FILE`, so that their commands need no flag for it. Runs inside the suite's
 * network namespace. Starting throws with the tail of the registry's log.
 *
 * @module
 */

import { join } from "node:path";
import { makeCa } from "../../integration/kube/certificates.ts";
import { Child } from "../child_process.ts";
import { programPath } from "../surroundings.ts";
import { until } from "../waiting.ts";

/** The one user of a registry that wants a login, and the password. */
export const REGISTRY_USER = { name: "releaser", password: "token" } as const;

/** The password's bcrypt hash, which is all that the registry accepts. */
const PASSWORD_HASH = "$2a$04$pUy1jYaNAVxJa5aunDrsAuwpiKyM7fEypIjZIZ26WWUrjLZH7W2D6";

export interface RegistryOptions {
  /** A free address of the suite's own. */
  readonly address: string;
  /** For data, certificates and the log. It must not exist yet. */
  readonly folder: string;
  /** Refuses everybody but {@link REGISTRY_USER}. */
  readonly login?: boolean;
}

export class Registry {
  /** `ADDRESS:PORT`, as references begin. */
  readonly host: string;
  /** The certificate that its clients have to trust, as a file. */
  readonly caFile: string;
  readonly #child: Child;

  private constructor(host: string, caFile: string, child: Child) {
    this.host = host;
    this.caFile = caFile;
    this.#child = child;
  }

  static async start({ address, folder, login = false }: RegistryOptions): Promise<Registry> {
    await Deno.mkdir(folder);
    const write = async (name: string, text: string) => {
      await Deno.writeTextFile(join(folder, name), text);
      return join(folder, name);
    };
    const ca = await makeCa({ commonName: "registry" });
    const { cert, key } = await ca.issue({ commonName: "registry", ipAddresses: [address] });
    const host = `${address}:5000`;
    const auth = {
      htpasswd: {
        realm: "registry",
        path: await write("htpasswd", `${REGISTRY_USER.name}:${PASSWORD_HASH}\n`),
      },
    };
    // JSON is YAML, too.
    const config = JSON.stringify({
      version: "0.1",
      log: { level: "warn" },
      storage: { filesystem: { rootdirectory: join(folder, "data") } },
      http: {
        addr: host,
        tls: { certificate: await write("tls.crt", cert), key: await write("tls.key", key) },
      },
      ...(login ? { auth } : {}),
    });
    const caFile = await write("ca.crt", ca.cert);
    const child = new Child({
      name: "registry",
      command: programPath("registry"),
      args: ["serve", await write("config.yml", config)],
      env: { OTEL_TRACES_EXPORTER: "none" },
      logFile: join(folder, "registry.log"),
    });
    const registry = new Registry(host, caFile, child);
    try {
      await until("the registry to listen", async () => {
        if (child.status !== undefined) return true;
        (await Deno.connect({ hostname: address, port: 5000 })).close();
        return true;
      }, { explain: () => child.tail() });
      if (child.status !== undefined) throw new Error(`The registry ended at once\n${child.tail()}`);
      return registry;
    } catch (error) {
      await registry.stop();
      throw error;
    }
  }

  stop(): Promise<void> {
    return this.#child.kill();
  }
}
