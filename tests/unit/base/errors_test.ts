/**
 * What is said of errors, to the log and to everybody else.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ExplainedError, messageOf, PrivateError, publicMessageOf } from "../../../lib/base/errors.ts";

const secret = new PrivateError("the file /home/me/config", "a file", { cause: new Error("no such file") });

Deno.test("messageOf() joins the messages of the causes, up to one that explains itself", () => {
  assert.equal(messageOf(new Error("a", { cause: new Error("b", { cause: "c" }) })), "a: b: c");
  assert.equal(messageOf(new ExplainedError("a", { cause: new Error("b") })), "a");
  assert.equal(messageOf(new Error("a: b", { cause: new Error("b") })), "a: b");
});

Deno.test("publicMessageOf() says the public message of a private error, however deep it is", () => {
  assert.equal(messageOf(secret), "the file /home/me/config");
  assert.equal(publicMessageOf(secret), "a file");
  const deep = new Error("cannot read /home/me/config", {
    cause: new ExplainedError("x", { cause: secret }),
  });
  assert.equal(publicMessageOf(deep), "a file");
});

Deno.test("publicMessageOf() says what messageOf() says of every other error", () => {
  for (const error of [new Error("a", { cause: new Error("b") }), "text", undefined]) {
    assert.equal(publicMessageOf(error), messageOf(error));
  }
});
