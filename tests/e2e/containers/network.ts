/**
 * The network of one pod: a namespace of its own with its own address, joined to the suite's namespace by a pair of
 * virtual cables, as most network plugins do it. So two pods can listen on the same port of all their addresses.
 *
 * Pods reach the suite and each other by routes; there is no proxy for Service addresses. Works only inside the
 * namespaces that `run.ts` makes. Fails by throwing with what `ip` said.
 *
 * @module
 */

import { API_ADDRESS } from "../control_plane.ts";
import { within } from "../waiting.ts";

let cablesSoFar = 0;

/** The namespaces that are there, by their pod's address. */
const networkPaths = new Map<string, string>();

async function shell(script: string, ...args: readonly string[]): Promise<void> {
  const command = new Deno.Command("/bin/sh", {
    args: ["-ec", script, "sh", ...args],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  });
  const output = await within(`the commands for the network of ${args[0]}`, command.output());
  if (output.success) return;
  throw new Error(`Cannot set up a pod's network: ${new TextDecoder().decode(output.stderr).trim()}`);
}

export class PodNetwork {
  /** The namespace as a file, for whoever is to run in it. */
  readonly path: string;
  readonly #name: string;
  readonly #cable: string;

  private constructor(name: string, cable: string) {
    this.#name = name;
    this.#cable = cable;
    this.path = `/run/netns/${name}`;
  }

  /** Makes a namespace with the address `ip`, which may not be one of the suite's own. */
  static async create(ip: string): Promise<PodNetwork> {
    const n = ++cablesSoFar;
    const network = new PodNetwork(`pod-${n}`, `cable${n}`);
    try {
      await shell(
        `echo 1 > /proc/sys/net/ipv4/ip_forward
        ip netns add "$1"
        ip link add "$2" type veth peer name eth0 netns "$1"
        ip link set "$2" up
        ip route replace "$3/32" dev "$2" src "$4"
        ip -n "$1" link set lo up
        ip -n "$1" link set eth0 up
        ip -n "$1" addr add "$3/32" dev eth0
        ip -n "$1" route add "$4" dev eth0
        ip -n "$1" route add default via "$4"`,
        ...[network.#name, network.#cable, ip, API_ADDRESS],
      );
    } catch (error) {
      await network.remove();
      throw error;
    }
    networkPaths.set(ip, network.path);
    return network;
  }

  /** Takes the address away at once, whoever still runs in the namespace. */
  async remove(): Promise<void> {
    await shell(
      `ip link del "$2" 2> /dev/null || true
      ip netns del "$1" 2> /dev/null || true`,
      ...[this.#name, this.#cable],
    );
  }
}

/** The value of a kernel setting in the network of the pod with the address `ip`. */
export async function sysctlOf(ip: string, name: string): Promise<string> {
  const path = networkPaths.get(ip);
  if (path === undefined) throw new Error(`Cannot read ${name} of ${ip}: no pod has that address`);
  const output = await new Deno.Command("nsenter", {
    args: [`--net=${path}`, "cat", `/proc/sys/${name.replaceAll(".", "/")}`],
  }).output();
  return new TextDecoder().decode(output.stdout).trim();
}
