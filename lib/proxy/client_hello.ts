/**
 * Reads which server a TLS client wants to talk to, out of its ClientHello (SNI). Changes nothing of the bytes. Pure, in
 * bounded memory. Sources: RFC 8446, sections 4.1.2 and 5.1; RFC 6066, section 3.
 *
 * @module
 */
import { concat } from "../base/bytes.ts";
import { ByteReader, Gathered, parsed } from "./byte_reader.ts";
import { Pieces } from "./pieces.ts";

/** A ClientHello of more bytes is not read. Those with a post-quantum key share have about 2 KiB. */
export const LONGEST_HELLO_BYTES = 16 * 1024;

/** Type, version and length come before what a record holds. */
const RECORD_HEADER_BYTES = 5;
const HANDSHAKE_RECORD = 22;
/** The higher byte of every version from SSL 3.0 to TLS 1.3. */
const MAJOR_VERSION = 3;
const LARGEST_RECORD_BYTES = 16 * 1024;

/** Type and length come before a message. */
const MESSAGE_HEADER_BYTES = 4;
const CLIENT_HELLO = 1;

/** The client's legacy version and its random number. */
const VERSION_AND_RANDOM_BYTES = 2 + 32;
const SERVER_NAME_EXTENSION = 0;
const HOST_NAME = 0;

/** The beginning of one connection. */
export class ClientHello {
  readonly #recordHeader = new Gathered(RECORD_HEADER_BYTES);
  /** What is still to come of the present record. */
  #recordBytes = 0;
  readonly #messageHeader = new Gathered(MESSAGE_HEADER_BYTES);
  /** What is still to come of the message, once its header is there. */
  #messageBytes = 0;
  readonly #message = new Pieces();
  #done = false;
  #serverName: string | undefined;

  /** It is known which server the client has named, or that it will never be known. */
  get done(): boolean {
    return this.#done;
  }

  /** The name; undefined if it is not known yet, or will never be. */
  get serverName(): string | undefined {
    return this.#serverName;
  }

  /** Takes the client's next bytes, from its very first on. Returns whether `done` has become true. */
  take(bytes: Uint8Array): boolean {
    if (this.#done) return false;
    for (let rest = bytes; rest.byteLength > 0 && !this.#done;) {
      rest = rest.subarray(this.#recordBytes === 0 ? this.#takeRecordHeader(rest) : this.#takeContent(rest));
    }
    return this.#done;
  }

  #takeRecordHeader(bytes: Uint8Array): number {
    const taken = this.#recordHeader.take(bytes);
    if (!this.#recordHeader.isWhole) return taken;
    this.#recordHeader.clear();
    const header = new ByteReader(this.#recordHeader.bytes);
    const type = header.number();
    const major = header.number();
    header.take(1);
    this.#recordBytes = header.number(2);
    // Records of a handshake are never empty.
    const isSound = this.#recordBytes > 0 && this.#recordBytes <= LARGEST_RECORD_BYTES;
    if (type !== HANDSHAKE_RECORD || major !== MAJOR_VERSION || !isSound) this.#end(undefined);
    return taken;
  }

  /** Takes from the present record what belongs to the message's header, or else to the message. */
  #takeContent(bytes: Uint8Array): number {
    const content = bytes.subarray(0, this.#recordBytes);
    const taken = this.#messageHeader.isWhole ? this.#takeMessage(content) : this.#takeMessageHeader(content);
    this.#recordBytes -= taken;
    return taken;
  }

  #takeMessageHeader(bytes: Uint8Array): number {
    const taken = this.#messageHeader.take(bytes);
    if (!this.#messageHeader.isWhole) return taken;
    const header = new ByteReader(this.#messageHeader.bytes);
    const type = header.number();
    this.#messageBytes = header.number(3);
    const isSound = this.#messageBytes > 0 && this.#messageBytes <= LONGEST_HELLO_BYTES;
    if (type !== CLIENT_HELLO || !isSound) this.#end(undefined);
    return taken;
  }

  #takeMessage(bytes: Uint8Array): number {
    const part = bytes.subarray(0, this.#messageBytes);
    this.#message.push(part);
    this.#messageBytes -= part.byteLength;
    if (this.#messageBytes === 0) {
      const message = concat(this.#message.take());
      this.#end(parsed(() => serverNameOf(new ByteReader(message))));
    }
    return part.byteLength;
  }

  #end(serverName: string | undefined): void {
    this.#done = true;
    this.#serverName = serverName;
  }
}

/** The host that a ClientHello names, if it names one. @throws FormatError if the message is malformed */
function serverNameOf(hello: ByteReader): string | undefined {
  hello.take(VERSION_AND_RANDOM_BYTES);
  const [session, cipherSuites, compressions] = [1, 2, 1];
  for (const lengthBytes of [session, cipherSuites, compressions]) hello.prefixed(lengthBytes);
  const extensions = hello.prefixed(2);
  while (extensions.leftBytes > 0) {
    const type = extensions.number(2);
    const body = extensions.prefixed(2);
    if (type === SERVER_NAME_EXTENSION) return hostOf(body);
  }
  return undefined;
}

/** The first name of the extension. No other kind of name was ever defined. */
function hostOf(extension: ByteReader): string | undefined {
  const names = extension.prefixed(2);
  if (names.number() !== HOST_NAME) return undefined;
  const name = names.prefixed(2);
  const text = new TextDecoder().decode(name.take(name.leftBytes));
  return /^[!-~]+$/.test(text) ? text : undefined;
}
