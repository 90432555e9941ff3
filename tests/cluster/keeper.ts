/**
 * The one process of the cluster outside of its namespaces: starts them, forwards the API server to 127.0.0.1, and
 * ends with them. When it ends, in whatever way, the kernel ends everything inside and drops all mounts.
 *
 *     deno run -A tests/cluster/keeper.ts PORT
 *
 * PORT 0 takes a free one. Writes the number of the first process inside to `init.pid` and the port to `api.port`,
 * in this order; whoever started it waits for them.
 *
 * @module
 */

import { listen, relay } from "./relay.ts";
import { API_SOCKET, at, NODE_ADDRESS, SERVICES } from "./place.ts";

/**
 * Makes the node's surroundings, then waits, and takes the exit codes of all processes that lost their parents.
 * `/run`, `/var/lib/kubelet` and `/var/log` are the cluster's own. The node's network is a bridge without ports and
 * no route leads out; Services have a route because the kernel looks for one before iptables rewrites the address.
 */
const INIT = `
mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir -p /var/lib/kubelet /run/netns "$1/kubelet" "$1/var-log"
mount --bind "$1/kubelet" /var/lib/kubelet
mount --bind "$1/var-log" /var/log
ip link set lo up
ip link add name node0 type bridge
ip address add ${NODE_ADDRESS}/24 dev node0
ip link set node0 up
ip route add ${SERVICES.range} dev node0
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
touch "$1/ready"
sleep infinity &
wait
`;

const NAMESPACES = ["--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"];

async function main(): Promise<void> {
  const listener = listen(`127.0.0.1:${Deno.args[0] ?? "0"}`);
  const child = new Deno.Command("setpriv", {
    // The child dies with this process, and with the child everything inside.
    args: ["--pdeathsig=KILL", "unshare", ...NAMESPACES, "sh", "-euc", INIT, "sh", at()],
    stdin: "null",
  }).spawn();
  const children = `/proc/${child.pid}/task/${child.pid}/children`;
  while (!await Deno.stat(at("ready")).then(() => true, () => false)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    // One that has failed has no such file any more.
    Deno.statSync(children);
  }
  await Deno.writeTextFile(at("init.pid"), (await Deno.readTextFile(children)).trim());
  await Deno.writeTextFile(at("api.port"), String((listener.addr as Deno.NetAddr).port));
  relay(listener, API_SOCKET);
  await child.status;
  Deno.exit();
}

await main();
