/**
 * Sessions that come to a builder, seated and held as the router does it.
 *
 * @module
 */
import type { Beyond } from "../../lib/scaler/capacity.ts";
import type { Placement, Seat } from "../../lib/scaler/placement.ts";

/** Seats a new session if there is a place; otherwise it is held. */
export function arrive(
  placement: Placement,
  id: number,
  used = true,
  beyond: Beyond = "limit",
): Seat | undefined {
  const seat = placement.seat(id, used, beyond);
  if (seat === undefined) placement.hold(id, used);
  return seat;
}

/** A session that needs a pod; `seat()` is the one that it has got, at once or as soon as there was a place. */
export function awaitSeat(placement: Placement, id: number): { seat(): Seat | undefined } {
  let seat = arrive(placement, id);
  let waits = seat === undefined;
  placement.subscribe(() => {
    if (!waits || !placement.usage.needs(id)) return;
    // Taking the seat calls this again.
    waits = false;
    seat = placement.seat(id, true, "limit");
    waits = seat === undefined;
  });
  return { seat: () => seat };
}
