/**
 * The clients that builds are made with: how each is called for the same build.
 *
 * A client gets a folder of its own for its settings, so that it sees none of the user's. May not start anything.
 *
 * @module
 */

import { join } from "node:path";

/** A client of the suite. */
export type ClientName = "buildctl" | "docker-buildx" | "docker-buildx-0.35";

/** The current ones, for scenarios that must hold for each. */
export const CLIENT_NAMES: readonly ClientName[] = ["buildctl", "docker-buildx"];

/** Those and an older buildx, which opens its connections in another way. */
export const OLD_AND_NEW_CLIENTS: readonly ClientName[] = [...CLIENT_NAMES, "docker-buildx-0.35"];

/** Files that a client uses for TLS. */
export interface ClientTls {
  /** The authority of the server's certificate. */
  readonly ca: string;
  /** The client's certificate. */
  readonly cert: string;
  /** Its key. */
  readonly key: string;
}

/** What is to be built, and where. */
export interface ClientCall {
  /** Path of the client's program. */
  readonly program: string;
  /** As both take it: `tcp://HOST:PORT`. */
  readonly address: string;
  /** The folder with the Dockerfile. */
  readonly context: string;
  /** Where the result's files go. */
  readonly output: string;
  /** The client's own settings go below this folder. */
  readonly settings: string;
  /** Uses TLS. */
  readonly tls?: ClientTls | undefined;
}

/** A command with its environment. */
export interface ClientCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The command that builds with `name`. */
export function buildCommand(name: ClientName, call: ClientCall): ClientCommand {
  const { program, address, context, output, settings, tls } = call;
  const env = environment(settings);
  if (name === "buildctl") {
    const args = [
      `--addr=${address}`,
      ...(tls === undefined ? [] : [
        `--tlscacert=${tls.ca}`,
        `--tlscert=${tls.cert}`,
        `--tlskey=${tls.key}`,
      ]),
      "build",
      "--progress=plain",
      "--frontend=dockerfile.v0",
      `--local=context=${context}`,
      `--local=dockerfile=${context}`,
      `--output=type=local,dest=${output}`,
    ];
    return { command: program, args, env };
  }
  // As users do it: a builder is made once, without a connection, and then used.
  const driverOptions = tls === undefined
    ? ""
    : `--driver-opt "cacert=${tls.ca},cert=${tls.cert},key=${tls.key},servername=localhost" `;
  const script = `"$1" create --name remote --driver remote ${driverOptions}"$2" && ` +
    `exec "$1" build --builder remote --progress plain --provenance=false --output "type=local,dest=$4" "$3"`;
  return { command: "/bin/sh", args: ["-ec", script, "sh", program, address, context, output], env };
}

/** What `docker/setup-buildx-action` runs: it makes a builder, and waits until that is up. */
export function bootstrapCommand(
  { program, address, settings }: Pick<ClientCall, "program" | "address" | "settings">,
): ClientCommand {
  const script = `"$1" create --name remote --driver remote --use "$2" && ` +
    `exec "$1" inspect --bootstrap --builder remote`;
  return {
    command: "/bin/sh",
    args: ["-ec", script, "sh", program, address],
    env: environment(settings),
  };
}

function environment(settings: string): Readonly<Record<string, string>> {
  return {
    HOME: settings,
    DOCKER_CONFIG: join(settings, ".docker"),
    BUILDX_CONFIG: join(settings, "buildx"),
  };
}
