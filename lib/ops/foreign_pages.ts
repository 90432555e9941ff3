/**
 * Keeps web pages of others from what the admin port shows. A browser lets a page read what its own host answers, and a page's
 * owner decides which address that name has, also 127.0.0.1 of whoever looks at the page (DNS rebinding). Pure.
 *
 * @module
 */
import type { RequestHead } from "../base/http1_server.ts";
import type { Address } from "../base/network.ts";
import { isIpv4, isIpv6 } from "../config/address.ts";
import { isWithin, parseIpNetwork } from "../config/ip_networks.ts";

const LOOPBACK = [parseIpNetwork("127.0.0.0/8")!, parseIpNetwork("::1")!];

/**
 * Why a request must not be answered; undefined if it may be. On a loopback address, where port-forwards arrive, too, nobody
 * needs a name but `localhost`. On other addresses names are usual, of Services for example.
 */
export function foreignPage(
  { headers }: Pick<RequestHead, "headers">,
  local: Address | undefined,
): string | undefined {
  const host = headers.get("host");
  const origin = headers.get("origin");
  if (origin !== null) {
    // A proxy in front may speak TLS to the browser, and HTTP to this program.
    const own = URL.parse(origin);
    if (own === null || own.host !== URL.parse(`${own.protocol}//${host}`)?.host) {
      return "Refused: the request comes from a web page of another origin";
    }
  }
  if (
    host === null || local === undefined || !LOOPBACK.some((network) => isWithin(local.hostname, network))
  ) {
    return undefined;
  }
  const name = URL.parse(`http://${host}`)?.hostname ?? "";
  if (name === "localhost" || isIpv4(name) || isIpv6(name.replace(/^\[|\]$/g, ""))) return undefined;
  return `Refused: found the Host ${
    JSON.stringify(host)
  }, want "localhost" or an IP address, because the request came ` +
    "to a loopback address: a web page could otherwise read this answer through a name of its own";
}
