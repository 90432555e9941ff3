/**
 * What whoever starts the program on a terminal is told first: what to type to build through it. Pure.
 *
 * @module
 */
import { type Address, formatAddress } from "../base/network.ts";
import { doorName } from "../config/builder_list.ts";
import type { Settings } from "../config/settings.ts";

/** What the greeting tells of. */
export type GreetingSettings =
  & Pick<Settings, "stsName" | "stsNamespace">
  & Partial<Pick<Settings, "builders" | "listeners">>;

/** Addresses that stand for all of the machine's. */
const ANY = ["0.0.0.0", "::"];

/** The lines, with a line feed at the end of each. `address` is where the program listens. */
export function greeting(address: Address, settings: GreetingSettings): string {
  const isOpen = ANY.includes(address.hostname);
  const own = ownAddress(address);
  const lines = [
    `Builds go through tcp://${own} to ${builders(settings)} in the namespace "${settings.stsNamespace}".`,
    "Press Ctrl-C to end. In another terminal, type:",
    "",
    `  docker buildx create --name laptop --driver remote --use tcp://${own}`,
    `  buildctl --addr tcp://${own} build --frontend dockerfile.v0 --local context=. --local dockerfile=.`,
    `  EARTHLY_BUILDKIT_HOST=tcp://${own} EARTHLY_TLS_ENABLED=false earth +TARGET`,
    "",
    ...projects(settings),
  ];
  if (isOpen) {
    lines.push(`Other machines can connect, too. Only this one can with --listen-addr ${own}`, "");
  }
  return lines.map((line) => `${line}\n`).join("");
}

function builders({ stsName, builders = [] }: GreetingSettings): string {
  if (builders.length <= 1) return `the StatefulSet "${stsName}"`;
  return `the StatefulSets ${builders.map(({ name }) => `"${name}"`).join(", ")}`;
}

/** How projects and pools are reached, where that makes a difference. */
function projects({ builders = [], listeners = [] }: GreetingSettings): string[] {
  if (builders.length <= 1 && listeners.length === 0) return [];
  const doors = listeners.map((door) => `  ${doorName(door)}: tcp://${ownAddress(door.address)}`);
  const none =
    "Builds by an IP address or localhost are of no project, and take the first builder with room.";
  if (doors.length === 0) return [none, "--listeners gives projects addresses of their own.", ""];
  return [none, "These addresses are for projects and pools:", "", ...doors, ""];
}

/** The address that a client on this machine uses. */
function ownAddress({ hostname, port }: Address): string {
  return formatAddress({ hostname: ANY.includes(hostname) ? "127.0.0.1" : hostname, port });
}
