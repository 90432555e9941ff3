/**
 * Settings of the listeners, of TLS and of load balancers that do not fit together. Pure.
 *
 * @module
 */
import type { Address } from "../base/network.ts";
import { formatListenAddress, overlaps } from "./address.ts";
import { doorName, type DoorSettings } from "./builder_list.ts";
import type { IpNetwork } from "./ip_networks.ts";

/** Those settings. A value that could not be parsed is `undefined`. */
export interface EntranceSettings {
  /** Where clients connect without TLS. */
  readonly listenAddr?: Address | "off" | undefined;
  /** Where clients connect with TLS. */
  readonly tlsListenAddr?: Address | "off" | undefined;
  /** Where clients of a project or a pool connect. */
  readonly listeners?: readonly DoorSettings[] | undefined;
  /** Where the admin port is. */
  readonly adminAddr?: Address | undefined;
  /** The file with the certificate. */
  readonly tlsCert?: string | undefined;
  /** The file with its key. */
  readonly tlsKey?: string | undefined;
  /** The file with the authorities of client certificates. */
  readonly tlsClientCa?: string | undefined;
  /** The names that may connect. */
  readonly tlsClientNames?: readonly string[] | undefined;
  /** Whether load balancers say who the client is. */
  readonly proxyProtocol?: "off" | "require" | undefined;
  /** Where they are. */
  readonly proxyProtocolFrom?: readonly IpNetwork[] | undefined;
}

/** All problems; `given` tells whether a flag or its variable was given, right or wrong. */
export function entranceConflicts(
  settings: EntranceSettings,
  given: (key: keyof EntranceSettings) => boolean,
): string[] {
  return [
    ...addressConflicts(settings),
    ...tlsConflicts(settings, given),
    ...proxyConflicts(settings, given),
  ];
}

function addressConflicts(
  { listenAddr, tlsListenAddr, listeners: doors = [], adminAddr }: EntranceSettings,
): string[] {
  if (listenAddr === "off" && tlsListenAddr === "off") {
    return [
      'Cannot listen for clients: found "off" for both "--listen-addr" and "--tls-listen-addr", want one address',
    ];
  }
  const listeners: readonly (readonly [name: string, address: Address | "off" | undefined])[] = [
    ['"--listen-addr"', listenAddr],
    ['"--tls-listen-addr"', tlsListenAddr],
    ['"--admin-addr"', adminAddr],
    ...doors.map((door) => [`"${doorName(door)}" of "--listeners"`, door.address] as const),
  ];
  return listeners.flatMap(([name, address], i) =>
    listeners.slice(i + 1).flatMap(([otherName, other]) => {
      if (typeof address !== "object" || typeof other !== "object" || !overlaps(address, other)) return [];
      return [
        `Cannot listen on both ${name} and ${otherName}: found "${formatListenAddress(address)}" and ` +
        `"${formatListenAddress(other)}", want different ports`,
      ];
    })
  );
}

const FILES = [
  ["tlsCert", "--tls-cert", "the file with the certificate"],
  ["tlsKey", "--tls-key", "the file with its key"],
] as const;

function tlsConflicts(
  { tlsListenAddr }: EntranceSettings,
  given: (key: keyof EntranceSettings) => boolean,
): string[] {
  const problems: string[] = [];
  if (tlsListenAddr === "off") {
    const useless = [...FILES, ["tlsClientCa", "--tls-client-ca"] as const]
      .filter(([key]) => given(key)).map(([, flag]) => `"${flag}"`);
    if (useless.length > 0) {
      problems.push(
        `Cannot use ${useless.join(" and ")} without "--tls-listen-addr": nothing would be encrypted`,
      );
    }
  } else if (tlsListenAddr !== undefined) {
    for (const [key, flag, what] of FILES) {
      if (!given(key)) problems.push(`Cannot use "--tls-listen-addr" without "${flag}": want ${what}`);
    }
  }
  if (given("tlsClientNames") && !given("tlsClientCa")) {
    problems.push(
      'Cannot use "--tls-client-names" without "--tls-client-ca": clients would not be asked for a certificate',
    );
  }
  return problems;
}

function proxyConflicts(
  { proxyProtocol }: EntranceSettings,
  given: (key: keyof EntranceSettings) => boolean,
): string[] {
  if (proxyProtocol === "require" && !given("proxyProtocolFrom")) {
    return [
      'Cannot use "--proxy-protocol require" without "--proxy-protocol-from": want the networks of the load balancers, ' +
      "since anybody else could claim to be any client",
    ];
  }
  if (proxyProtocol === "off" && given("proxyProtocolFrom")) {
    return ['Cannot use "--proxy-protocol-from" without "--proxy-protocol require"'];
  }
  return [];
}
