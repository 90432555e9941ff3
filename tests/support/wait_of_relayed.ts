/**
 * Says whether the wait of a session that is relayed can still be reached: prints `kept` or `gone`. Needs `--expose-gc`.
 *
 * @module
 */
import { Wait } from "../../lib/proxy/wait.ts";
import { begun, CALL } from "./session.ts";

declare const gc: () => void;

const waits: WeakRef<Wait>[] = [];
const over = Wait.prototype.over;
Wait.prototype.over = function (this: Wait) {
  waits.push(new WeakRef(this));
  over.call(this);
};

const session = await begun(CALL);
await session.pass(1_000);
// A WeakRef keeps its target until the turn is over.
for (let round = 0; round < 5; round++) {
  await new Promise((resolve) => setTimeout(resolve, 1));
  gc();
}
if (session.over || waits.length === 0) throw new Error("the session is not relayed");
// deno-lint-ignore no-console
console.log(waits.some((wait) => wait.deref() !== undefined) ? "kept" : "gone");
session.cut.abort(new Error("over"));
