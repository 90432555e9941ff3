/**
 * The miniature API server keeps the contract, over a real socket.
 *
 * @module
 */
import { systemClock } from "../../../lib/base/clock.ts";
import { ApiServer } from "../../../lib/miniature/api_server.ts";
import { HttpListener } from "../../../lib/miniature/http_listener.ts";
import { denoNetwork } from "../../../lib/proxy/deno_network.ts";
import { registerContractTests } from "./contract.ts";

registerContractTests("miniature API server", () => {
  const api = new ApiServer({ clock: systemClock, bookmarkIntervalMs: 20 });
  const listener = new HttpListener(api, denoNetwork, { hostname: "127.0.0.1", port: 0 });
  return Promise.resolve({
    baseUrl: listener.url.origin,
    namespace: "default",
    expiredVersion: "1",
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  });
}, { hasExpiredVersion: true });
