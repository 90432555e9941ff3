/**
 * ClientHellos: those of a real TLS client, and those made by hand.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { connect, type ConnectionOptions } from "node:tls";
import { Duplex } from "node:stream";
import { concat } from "../../lib/base/bytes.ts";

/** What `node:tls` sends first. */
export async function realHello(options: ConnectionOptions): Promise<Uint8Array> {
  const { promise, resolve } = Promise.withResolvers<Uint8Array>();
  const wire = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, written) {
      resolve(new Uint8Array(chunk));
      written();
    },
  });
  const client = connect({ ...options, socket: wire });
  client.on("error", () => {});
  const hello = await promise;
  client.destroy();
  wire.destroy();
  return hello;
}

/** Bytes after their length. */
export function prefixed(lengthBytes: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = concat(parts);
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(bytes.byteLength, 0, lengthBytes);
  return concat([new Uint8Array(length), bytes]);
}

/** An extension of a ClientHello. */
export function extension(type: number, body: Uint8Array): Uint8Array {
  return concat([Uint8Array.of(type >> 8, type & 255), prefixed(2, body)]);
}

/** The extension that names a server. */
export function serverNameExtension(name: string, kind = 0): Uint8Array {
  const bytes = new TextEncoder().encode(name);
  return extension(0, prefixed(2, Uint8Array.of(kind), prefixed(2, bytes)));
}

/** The message up to its extensions. */
export const HELLO_START: Uint8Array = concat([
  Uint8Array.of(3, 3),
  new Uint8Array(32).fill(7),
  prefixed(1, new Uint8Array(32)),
  prefixed(2, Uint8Array.of(0x13, 1)),
  prefixed(1, Uint8Array.of(0)),
]);

/** A ClientHello with these extensions. */
export function helloWith(...extensions: readonly Uint8Array[]): Uint8Array {
  return message(concat([HELLO_START, prefixed(2, ...extensions)]));
}

/** A handshake message. */
export function message(body: Uint8Array, type = 1): Uint8Array {
  return concat([Uint8Array.of(type), prefixed(3, body)]);
}

/** TLS records of a handshake, the content cut at the given places. */
export function records(content: Uint8Array, ...cuts: readonly number[]): Uint8Array {
  const ends = [...cuts, content.byteLength];
  return concat(
    ends.map((end, i) =>
      concat([Uint8Array.of(22, 3, 1), prefixed(2, content.subarray(i === 0 ? 0 : ends[i - 1], end))])
    ),
  );
}
