/**
 * Stands in for `kubectl port-forward service/NAME PORT`, whose other end is a kubelet: finds a ready pod of the Service by
 * the real kubectl, and carries connections to 127.0.0.1 to it, until it is killed.
 *
 *     port_forward.ts KUBECTL -n NAMESPACE port-forward service/NAME PORT
 *
 * @module
 */

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

interface Slice {
  readonly ports: readonly { readonly name: string; readonly port: number }[];
  readonly endpoints?: readonly {
    readonly addresses: readonly string[];
    readonly conditions: { readonly ready?: boolean };
  }[];
}

interface Service {
  readonly spec: {
    readonly ports: readonly { readonly name: string; readonly port: number }[];
  };
}

async function get<T>(kubectl: string, args: readonly string[]): Promise<T> {
  const { success, stdout, stderr } = await new Deno.Command(kubectl, { args: [...args, "--output=json"] })
    .output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** Where a connection to a port of the Service goes. */
async function findPod(kubectl: string, namespace: string, service: string, port: number) {
  const { spec } = await get<Service>(kubectl, ["--namespace", namespace, "get", "service", service]);
  const named = spec.ports.find((each) => each.port === port)?.name;
  if (named === undefined) throw new Error(`service/${service} has no port ${port}`);
  const { items } = await get<{ items: Slice[] }>(kubectl, [
    ...["--namespace", namespace, "get", "endpointslices"],
    `--selector=kubernetes.io/service-name=${service}`,
  ]);
  for (const { ports, endpoints } of items) {
    const target = ports.find(({ name }) => name === named);
    const ready = endpoints?.find(({ conditions }) => conditions.ready);
    if (target !== undefined && ready !== undefined) {
      return { hostname: ready.addresses[0]!, port: target.port };
    }
  }
  throw new Error(`service/${service} has no ready pod`);
}

async function carry(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
  // One that is reset ends both directions.
  await Promise.all([from.readable.pipeTo(to.writable), to.readable.pipeTo(from.writable)]).catch(() => {});
}

if (import.meta.main) {
  const [kubectl = "", namespaceFlag, namespace = "", command, target = "", port = ""] = Deno.args;
  const service = /^service\/(.+)$/.exec(target)?.[1];
  if (namespaceFlag !== "-n" || command !== "port-forward" || service === undefined) {
    throw new Error(`Cannot stand in for "kubectl ${Deno.args.slice(1).join(" ")}"`);
  }
  const pod = await findPod(kubectl, namespace, service, Number(port));
  const listener = Deno.listen({ hostname: "127.0.0.1", port: Number(port) });
  say(`Forwarding from 127.0.0.1:${port} -> ${pod.hostname}:${pod.port} (stand-in)`);
  for await (const client of listener) carry(client, await Deno.connect(pod));
}
