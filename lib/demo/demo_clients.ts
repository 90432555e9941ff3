/**
 * The demo's clients: each opens one connection through the program, has something done, and says whether it got what
 * it should. Either bytes that have to come back unchanged, or a build by the real `buildctl`.
 *
 * @module
 */
import { type Address, formatAddress, type Network } from "../base/network.ts";
import { ByteReader, closeQuietly, writeAll } from "../miniature/bytes.ts";
import { findProgram } from "../miniature/buildkitd_pods.ts";

/** What a client has to say. */
export interface ClientReport {
  /** What was done, for a timeline. */
  readonly text: string;
}

/** A kind of client. */
export interface DemoClients {
  /** What each of them does, for a timeline. */
  readonly description: string;
  /**
   * Runs client `number` until its connection has ended. One that has all it wants before that tells so by `onServed`.
   *
   * @throws Error that says what it did not get, or the reason of `signal`
   */
  run(
    number: number,
    address: Address,
    signal: AbortSignal,
    onServed: () => void,
  ): Promise<ClientReport>;
}

/** How much each stub client sends, in bytes. */
const SENT_BYTES = 256 * 1024;

/** Clients that send bytes and want them back. */
export function echoClients(network: Network): DemoClients {
  return {
    description: `sends ${SENT_BYTES / 1024} KiB and wants them back`,
    async run(number, address, signal, onServed) {
      const sent = Uint8Array.from({ length: SENT_BYTES }, (_, index) => (index * 31 + number * 7) & 0xff);
      const conn = await network.connect(address, signal);
      const onAbort = () => closeQuietly(conn);
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        const reader = new ByteReader(conn);
        const sending = writeAll(conn, sent);
        const [, got] = await Promise.all([sending, reader.exactly(SENT_BYTES)]);
        onServed();
        await conn.closeWrite();
        const rest = await reader.some();
        if (got === null) throw new Error("The connection ended before all bytes had come back");
        if (rest !== null) throw new Error(`${rest.length} bytes too many came back`);
        const wrong = got.findIndex((byte, index) => byte !== sent[index]);
        if (wrong >= 0) throw new Error(`Byte ${wrong} came back changed`);
        return { text: `${SENT_BYTES / 1024} KiB came back unchanged` };
      } catch (error) {
        throw signal.aborted ? signal.reason : error;
      } finally {
        signal.removeEventListener("abort", onAbort);
        closeQuietly(conn);
      }
    },
  };
}

/** Clients that run `buildctl build`. Their build context goes into `folder`. */
export async function buildctlClients(folder: string): Promise<DemoClients> {
  const context = `${folder}/context`;
  await Deno.mkdir(context, { recursive: true });
  await Deno.writeTextFile(`${context}/hello.txt`, "hello\n");
  const busybox = await staticBusybox();
  if (busybox !== undefined) await Deno.copyFile(busybox, `${context}/busybox`);
  const run = busybox === undefined
    ? ""
    : `COPY busybox /bin/busybox\nRUN ["/bin/busybox", "sh", "-c", "echo client $CLIENT > /done"]\n`;
  const dockerfile = `FROM scratch\nARG CLIENT\nCOPY hello.txt /hello-\${CLIENT}.txt\n${run}`;
  await Deno.writeTextFile(`${context}/Dockerfile`, dockerfile);
  const what = busybox === undefined ? "a COPY" : "a COPY and a RUN";
  return {
    description: `runs "buildctl build" with ${what}`,
    async run(number, address, signal) {
      const { code, stderr } = await new Deno.Command("buildctl", {
        args: [
          `--addr=tcp://${formatAddress(address)}`,
          "build",
          "--frontend=dockerfile.v0",
          `--local=context=${context}`,
          `--local=dockerfile=${context}`,
          `--opt=build-arg:CLIENT=${number}`,
          "--progress=plain",
        ],
        stdin: "null",
        signal,
      }).output();
      signal.throwIfAborted();
      if (code === 0) return { text: "built, exit code 0" };
      const lines = new TextDecoder().decode(stderr).trim().split("\n");
      throw new Error(`buildctl ended with ${code}: ${lines.at(-1)}`);
    },
  };
}

/** A busybox that runs in an empty image: one that names no dynamic loader. */
async function staticBusybox(): Promise<string | undefined> {
  const path = await findProgram("busybox");
  if (path === undefined) return undefined;
  const start = new TextDecoder("latin1").decode((await Deno.readFile(path)).subarray(0, 4096));
  return start.startsWith("\x7fELF") && !/\/ld-(linux|musl)/.test(start) ? path : undefined;
}
