/**
 * Findings about a running pod: whether it can be reached from here, and what its health service answers. Pure.
 *
 * @module
 */
import type { Pod } from "../kube/types.ts";
import type { Settings } from "../config/settings.ts";
import type { Backend } from "../scaler/backends.ts";
import { isBroken } from "../scaler/builder_state.ts";
import { describePod } from "../scaler/explain.ts";
import type { HealthAnswer } from "../scaler/readiness.ts";
import { failed, type Finding, kubectl, ok, type Read, unchecked, warning } from "./finding.ts";

/** What came of a connection to a pod: the answer of its health service, or why there was no connection. */
export type Probe = { readonly answer: HealthAnswer; readonly way: string } | { readonly fault: string };

/** The pod that tells most: a ready one, else one that starts. Undefined if none runs. */
export function podToAsk(backends: readonly Backend[]): Backend | undefined {
  const alive = backends.filter(({ terminating, addresses }) => !terminating && addresses.length > 0);
  return alive.find(({ ready }) => ready) ?? alive[0];
}

/** No pod runs, which is usual, and the doctor starts none. */
export function noPodFinding(name: string): Finding {
  return unchecked(`pod of "${name}"`, "none runs now, and this command starts none");
}

/** A pod that is wanted and not ready, so that it is not connected to. `read` says why, if that can be read. */
export function unreadyFinding(name: string, namespace: string, pod: string, read: Read<Pod>): Finding {
  const check = `pod of "${name}"`;
  const describe = kubectl(namespace, "describe", "pod", pod);
  const want = "ready, once it has started";
  switch (read.is) {
    case "unread":
      return unchecked(check, `${pod} is not ready; ${read.why}`);
    case "absent":
      return warning(
        check,
        `${pod} does not exist, and is wanted; the events of the StatefulSet say why, if it is refused`,
        want,
        kubectl(namespace, "describe", "statefulset", name),
      );
    case "found": {
      if (read.value.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True")) {
        return unchecked(check, `${pod} is ready, and no EndpointSlice lists it as such`);
      }
      const said = describePod(read.value);
      const say = isBroken(read.value) ? failed : warning;
      return say(check, `${pod} is not ready${said === undefined ? "" : `: ${said}`}`, want, describe);
    }
  }
}

/** Findings from a connection to a ready pod. */
export function probeFindings(
  name: string,
  namespace: string,
  { pod }: Backend,
  probe: Probe,
  readiness: Settings["readiness"],
): readonly Finding[] {
  const check = `pod of "${name}"`;
  const describe = kubectl(namespace, "describe", "pod", pod);
  if ("fault" in probe) {
    return [
      failed(check, probe.fault, "a connection from here, as the proxy makes it", describe),
      unchecked(`health service of "${name}"`, "the pod cannot be reached"),
    ];
  }
  return [
    ok(check, `${pod} accepts connections ${probe.way}`),
    healthFinding(name, pod, probe, readiness, describe),
  ];
}

function healthFinding(
  name: string,
  pod: string,
  { answer }: { readonly answer: HealthAnswer },
  readiness: Settings["readiness"],
  describe: string,
): Finding {
  const check = `health service of "${name}"`;
  const want = "SERVING";
  switch (answer) {
    case "serving":
      return ok(check, `${pod} answers SERVING`);
    case "unsupported": {
      const found = `${pod} has no grpc.health.v1.Health, or does not speak plain HTTP/2`;
      return readiness === "grpc"
        ? failed(check, `${found}, and --readiness grpc waits for it`, want, "set --readiness=auto")
        : warning(
          check,
          `${found}; the readiness probe of the pod decides`,
          want,
          "use a newer buildkitd, or TLS settings that match it",
        );
    }
    case "not_serving":
      return failed(check, `${pod} answers that it does not serve`, want, describe);
    case "missed":
      return failed(check, `${pod} accepts connections and does not answer`, want, describe);
  }
}
