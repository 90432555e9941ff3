/**
 * What whoever starts the program on a terminal is told first: what to type to build through it. Pure.
 *
 * @module
 */
import { type Address, formatAddress } from "../base/network.ts";
import type { Settings } from "../config/settings.ts";

/** Addresses that stand for all of the machine's. */
const ANY = ["0.0.0.0", "::"];

/** The lines, with a line feed at the end of each. `address` is where the program listens. */
export function greeting(
  address: Address,
  { stsName, stsNamespace }: Pick<Settings, "stsName" | "stsNamespace">,
): string {
  const isOpen = ANY.includes(address.hostname);
  const own = formatAddress({ hostname: isOpen ? "127.0.0.1" : address.hostname, port: address.port });
  const lines = [
    `Builds go through tcp://${own} to the StatefulSet "${stsName}" in the namespace "${stsNamespace}".`,
    "Press Ctrl-C to end. In another terminal, type:",
    "",
    `  docker buildx create --name laptop --driver remote --use tcp://${own}`,
    `  buildctl --addr tcp://${own} build --frontend dockerfile.v0 --local context=. --local dockerfile=.`,
    `  EARTHLY_BUILDKIT_HOST=tcp://${own} EARTHLY_TLS_ENABLED=false earth +TARGET`,
    "",
  ];
  if (isOpen) {
    lines.push(`Other machines can connect, too. Only this one can with --listen-addr ${own}`, "");
  }
  return lines.map((line) => `${line}\n`).join("");
}
