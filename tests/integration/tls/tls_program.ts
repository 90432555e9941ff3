/**
 * The whole program with a TLS listener, and its clients.
 *
 * @module
 */
import type { Conn } from "../../../lib/base/network.ts";
import { type Program, startProgram, type WorldOptions } from "../../support/program.ts";
import { TcpClient } from "../../support/tcp_client.ts";
import type { TestCertificate } from "../kube/certificates.ts";
import { ca, server } from "./stage.ts";

/** A program with TLS, and the files that it reads. */
export class TlsProgram implements AsyncDisposable {
  readonly program: Program;
  readonly folder: string;

  private constructor(program: Program, folder: string) {
    this.program = program;
    this.folder = folder;
  }

  static async start({ settings = {}, ...options }: WorldOptions & { readonly mutual?: boolean } = {}) {
    const folder = await Deno.makeTempDir();
    await Deno.writeTextFile(`${folder}/tls.crt`, server.cert);
    await Deno.writeTextFile(`${folder}/tls.key`, server.key);
    await Deno.writeTextFile(`${folder}/ca.crt`, ca.cert);
    try {
      const program = await startProgram({
        ...options,
        settings: {
          tlsListenAddr: "127.0.0.1:0",
          tlsCert: `${folder}/tls.crt`,
          tlsKey: `${folder}/tls.key`,
          ...(options.mutual ? { tlsClientCa: `${folder}/ca.crt` } : {}),
          ...settings,
        },
      });
      return new TlsProgram(program, folder);
    } catch (error) {
      await Deno.remove(folder, { recursive: true });
      throw error;
    }
  }

  get port(): number {
    return this.program.tlsAddress!.port;
  }

  async connect(certificate?: TestCertificate): Promise<TcpClient> {
    return new TcpClient(await this.connectConn(certificate) as unknown as Conn);
  }

  async connectConn(certificate?: TestCertificate): Promise<Deno.TlsConn> {
    return await Deno.connectTls({
      hostname: "localhost",
      port: this.port,
      caCerts: [ca.cert],
      alpnProtocols: ["h2"],
      ...certificate,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}
