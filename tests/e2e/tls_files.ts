/**
 * Certificates in files, for the program and for clients.
 *
 * @module
 */

import { join } from "node:path";
import { type IssueOptions, makeCa, type TestCa } from "../integration/kube/certificates.ts";
import type { ClientTls } from "./build_clients.ts";
import type { Program } from "./program.ts";
import type { Cluster } from "./scenario.ts";
import { until } from "./waiting.ts";

/** The names of a server's certificate, beside those that a test adds. */
const SERVER = { commonName: "builds", dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] };

/** The name of clients that are let in. */
export const CLIENT_NAME = "ci.example.org";

/** The files of one test. */
export class TlsFiles {
  readonly #folder: string;
  readonly #ca: TestCa;
  readonly #names: readonly string[];
  #issued = 0;

  private constructor(folder: string, ca: TestCa, names: readonly string[]) {
    this.#folder = folder;
    this.#ca = ca;
    this.#names = names;
  }

  /** Makes an authority and the program's files, for clients that dial these names, too. */
  static async make(cluster: Pick<Cluster, "folder">, names: readonly string[] = []): Promise<TlsFiles> {
    const files = new TlsFiles(cluster.folder, await makeCa(), names);
    await files.#write("ca.crt", files.#ca.cert);
    await files.replaceServer();
    return files;
  }

  /** The program's flags: TLS only, on a free port, and only for clients with a certificate if it is mutual. */
  flags({ mutual }: { readonly mutual: boolean }): Readonly<Record<string, string>> {
    return {
      "listen-addr": "off",
      "tls-listen-addr": "127.0.0.1:0",
      "tls-cert": join(this.#folder, "server.crt"),
      "tls-key": join(this.#folder, "server.key"),
      ...(mutual
        ? { "tls-client-ca": join(this.#folder, "ca.crt"), "tls-client-names": `other,${CLIENT_NAME}` }
        : {}),
    };
  }

  /** The paths of the server's files. */
  get server(): ClientTls {
    const at = (name: string) => join(this.#folder, name);
    return { ca: at("ca.crt"), cert: at("server.crt"), key: at("server.key") };
  }

  /** Gives the program another certificate of the same authority. */
  async replaceServer(options: Partial<IssueOptions> = {}): Promise<void> {
    const dnsNames = [...SERVER.dnsNames, ...this.#names];
    const { cert, key } = await this.#ca.issue({ ...SERVER, dnsNames, ...options });
    await this.#write("server.crt", cert);
    await this.#write("server.key", key);
  }

  /** A client's files; of another authority, if there is one. */
  async client(options: Partial<IssueOptions> = {}, ca: TestCa = this.#ca): Promise<ClientTls> {
    const { cert, key } = await ca.issue({ commonName: "client", dnsNames: [CLIENT_NAME], ...options });
    const name = `client-${++this.#issued}`;
    return {
      ca: join(this.#folder, "ca.crt"),
      cert: await this.#write(`${name}.crt`, cert),
      key: await this.#write(`${name}.key`, key),
    };
  }

  /** A connection as Deno makes it. */
  async connect(program: Program): Promise<Deno.TlsConn> {
    const tls = await this.client();
    const { hostname, port } = new URL((await tlsAddress(program)).replace("tcp:", "http:"));
    return await Deno.connectTls({
      hostname,
      port: Number(port),
      caCerts: [await Deno.readTextFile(tls.ca)],
      cert: await Deno.readTextFile(tls.cert),
      key: await Deno.readTextFile(tls.key),
      alpnProtocols: ["h2"],
    });
  }

  async #write(name: string, text: string): Promise<string> {
    const path = join(this.#folder, name);
    await Deno.writeTextFile(`${path}.new`, text);
    await Deno.rename(`${path}.new`, path);
    return path;
  }
}

/** Where clients connect with TLS, as `buildctl` takes it. */
export async function tlsAddress(program: Program): Promise<string> {
  const record = await until("the program to listen", () => program.events("listening")[0]);
  return `tcp://${record["tlsAddr"]}`;
}
