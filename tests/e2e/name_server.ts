/**
 * A cluster's name server in miniature: answers questions for the names that it was given with an IPv4 address, and
 * all others with "no such name". Sources: RFC 1035.
 *
 * @module
 */

import { createSocket } from "node:dgram";
import { within } from "./waiting.ts";

const TYPE_A = 1;
const NO_SUCH_NAME = 3;

/** A name server that runs. */
export interface NameServer extends AsyncDisposable {
  /** Every name that was asked for, in order. */
  readonly asked: readonly string[];
}

/** Starts one on port 53 of `address`. */
export async function serveNames(
  address: string,
  names: Readonly<Record<string, string>>,
): Promise<NameServer> {
  const asked: string[] = [];
  const socket = createSocket("udp4");
  socket.on("message", (query: Uint8Array, peer) => {
    socket.send(answer(query, names, asked), peer.port, peer.address);
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(53, address, resolve);
  });
  const close = () => new Promise<void>((resolve) => socket.close(resolve));
  return { asked, [Symbol.asyncDispose]: () => within("the end of the name server", close()) };
}

function answer(query: Uint8Array, names: Readonly<Record<string, string>>, asked: string[]): Uint8Array {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(new TextDecoder().decode(query.subarray(at + 1, at + 1 + length)).toLowerCase());
    at += 1 + length;
  }
  const question = query.subarray(12, at + 5);
  const type = query[at + 1]! * 256 + query[at + 2]!;
  const name = labels.join(".");
  asked.push(name);
  const ip = names[name];
  const found = ip !== undefined && type === TYPE_A;
  const code = ip === undefined ? NO_SUCH_NAME : 0;
  const header = [query[0]!, query[1]!, 0x81, 0x80 + code, 0, 1, 0, found ? 1 : 0, 0, 0, 0, 0];
  // The name by a pointer to the question; class IN; it may be kept for 5 s; four bytes of address.
  const record = [0xc0, 12, 0, TYPE_A, 0, 1, 0, 0, 0, 5, 0, 4, ...(ip ?? "").split(".").map(Number)];
  return new Uint8Array([...header, ...question, ...(found ? record : [])]);
}
