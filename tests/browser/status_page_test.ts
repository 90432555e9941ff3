/**
 * The status page of the real program in a real Chromium: what stands there, that it changes while one looks, that it can be
 * read without JavaScript, in the dark, by keyboard and by a screen reader, and that hostile texts stay texts. Screenshots go
 * to the folder in `SCREENSHOTS`, if that is set, to be looked at.
 *
 * @module
 */
import assert from "node:assert/strict";
import { systemClock } from "../../lib/base/clock.ts";
import { adminHandler, adminPorts } from "../../lib/ops/admin_server.ts";
import { Health } from "../../lib/ops/health.ts";
import type { StatusFacts } from "../../lib/ops/status_facts.ts";
import { StatusPages } from "../../lib/ops/status_pages.ts";
import { denoNetwork } from "../../lib/proxy/deno_network.ts";
import { NOT_READY, type Program, startProgram } from "../support/program.ts";
import { recordingLog } from "../support/recording_log.ts";
import { FACTS, hostileFacts } from "../support/status_facts.ts";
import { Chromium, findChromium, type Page, type PageOptions } from "./chromium.ts";

async function startChromium(): Promise<Chromium> {
  const path = await findChromium();
  // A test that is passed over looks like one that has passed.
  if (path === undefined) {
    throw new Error(`Cannot look at the status page: found no Chromium, install Debian's package "chromium"`);
  }
  return await Chromium.start(path);
}

async function keep(page: Page, name: string): Promise<Uint8Array> {
  const png = await page.screenshot();
  const folder = Deno.env.get("SCREENSHOTS");
  if (folder !== undefined) await Deno.writeFile(`${folder}/${name}.png`, png);
  return png;
}

/** A client of the program; whoever waits for its answer waits for the pod. */
async function held(program: Program, count: number) {
  const clients = [];
  for (let at = 0; at < count; at++) clients.push(await program.connect());
  await program.held(count);
  return clients;
}

Deno.test("the status page shows a cold start, a use and a scale-down while one looks", async () => {
  await using program = await startProgram({
    cluster: NOT_READY,
    settings: { idleTimeoutMs: "3s", pricePerHour: "0.34 EUR" },
  });
  await program.settled();
  await using chromium = await startChromium();
  const page = await chromium.open(`${program.adminUrl}/?window=2m`);
  await page.until("#live", /^Live$/);
  assert.match(await page.text("#summary"), /Asleep[^]*0 replicas[^]*Saved\s*0\.00 EUR/);
  assert.match(await page.text("#waiting"), /Nobody waits/);
  const [first, second] = await held(program, 2);
  await page.until("#waiting", /1\t127\.0\.0\.1:\d+\t[\d:]+\ta pod of buildkitd: pod buildkitd-0 /);
  await page.until("#b0-now", /Starting[^]*1 of 1[^]*2 held/);
  await page.until("#b0-decisions", /scaled 0 → 1\t\d held session/);
  await page.until("#news", /buildkitd is starting; 2 sessions held/);
  await keep(page, "starting");
  await program.makeReady();
  await page.until("#b0-now", /Ready[^]*2 running, 0 held[^]*3s after the last session has ended/);
  await first!.echo("hello");
  await second!.echo("hello");
  first!.close();
  second!.close();
  await page.until("#sessions", /buildkitd-0\tCompleted[^]*buildkitd-0\tCompleted/);
  await page.until("#b0-decisions", /scaled 1 → 0\tnothing has been in use for 3s/);
  await page.until("#b0-now", /Asleep[^]*none: there is no pod/);
  await page.until("#b0-savings", /3s set\t[\d.]+ s\t[\d.]+ s\t0\.00 EUR\t1\t/);
  const bars = await page.evaluate<string[]>(
    `[...document.querySelectorAll("#b0-timeline rect")].map((bar) => bar.getAttribute("class"))`,
  );
  assert.ok(bars.includes("pod starting") && bars.includes("pod ready"), bars.join());
  await keep(page, "asleep");
  assert.deepEqual(page.problems, []);
});

Deno.test("the status page keeps what is open and what has the focus, pauses, and goes on", async () => {
  await using program = await startProgram();
  await program.settled();
  await using chromium = await startChromium();
  const page = await chromium.open(program.adminUrl);
  await page.until("#live", /^Live$/);
  await page.evaluate(`document.querySelector("#b0-timeline summary").click();
    document.querySelector("#b0-timeline summary").focus()`);
  const client = await program.connect();
  await client.echo("hello");
  await page.until("#b0-timeline", /ready\t1\t0\t0/);
  assert.equal(
    await page.evaluate(`document.activeElement.tagName + document.activeElement.parentElement.open`),
    "SUMMARYtrue",
  );
  await page.evaluate(`document.getElementById("pause").click()`);
  assert.deepEqual([await page.text("#live"), await page.text("#pause")], ["Paused", "Resume"]);
  client.close();
  await program.logged("session_ended");
  assert.doesNotMatch(await page.text("#sessions"), /Completed/);
  await page.evaluate(`document.getElementById("pause").click()`);
  await page.until("#sessions", /Completed/);
  assert.deepEqual(page.problems, []);
});

Deno.test("the status page says when it is not live any more, and is live again once it can be", async () => {
  let streams = 0;
  await using served = serve(FACTS, () => ++streams > 1);
  await using chromium = await startChromium();
  const page = await chromium.open(served.url);
  await page.until("#live", /^No connection, trying again$/);
  await page.until("#live", /^Live$/);
});

Deno.test("the status page can be read without JavaScript, also on a telephone", async () => {
  await using program = await startProgram({ cluster: NOT_READY });
  await program.settled();
  await using chromium = await startChromium();
  const clients = await held(program, 1);
  await program.logged("scaled");
  const page = await chromium.open(`${program.adminUrl}/status`, { scripts: false });
  const text = await page.text("body");
  assert.match(text, /As of \d\d:\d\d:\d\d UTC\.[^]*Reload the page to see what is new/);
  assert.match(text, /a pod of buildkitd: pod buildkitd-0[^]*scaled 0 → 1[^]*1 held session/);
  assert.doesNotMatch(text, /Pause/);
  const phone = await chromium.open(`${program.adminUrl}/status`, { scripts: false, width: 390 });
  const wide = await phone.evaluate<number>(`document.documentElement.scrollWidth`);
  assert.ok(wide <= 390, `${wide} pixels`);
  await keep(phone, "telephone");
  for (const client of clients) client.close();
});

Deno.test("the status page is dark where dark is preferred, and its texts have contrast in both", async () => {
  await using served = serve(hostileFacts("builder"));
  await using chromium = await startChromium();
  for (
    const [scheme, background] of [["light", "rgb(246, 247, 249)"], ["dark", "rgb(16, 20, 27)"]] as const
  ) {
    const page = await chromium.open(served.url, { scheme });
    assert.equal(await page.evaluate(`getComputedStyle(document.body).backgroundColor`), background);
    const poor = await page.evaluate<string[]>(CONTRASTS);
    assert.deepEqual(poor, [], scheme);
    await keep(page, scheme);
  }
});

Deno.test("the status page shows hostile texts as texts", async () => {
  const text = `"><script>document.title = "owned"</script><img src=x onerror="document.title='owned'"><b>`;
  await using served = serve(hostileFacts(text));
  await using chromium = await startChromium();
  for (const options of [{}, { scripts: false }] satisfies PageOptions[]) {
    const page = await chromium.open(served.url, options);
    if (options.scripts !== false) await page.until("#live", /^Live$/);
    assert.ok((await page.text("#waiting")).includes(text));
    assert.ok((await page.text("#sessions")).includes(text));
    await keep(page, "hostile");
    if (options.scripts === false) continue;
    assert.equal(await page.evaluate(`document.title`), "buildkitd-autoscaler");
    assert.equal(await page.evaluate(`document.querySelectorAll("script, img, b").length`), 1);
    assert.deepEqual(page.problems, []);
  }
});

Deno.test("the status page runs no script but its own, and nobody may frame it", async () => {
  await using served = serve(FACTS);
  await using chromium = await startChromium();
  const page = await chromium.open(served.url);
  await page.until("#live", /^Live$/);
  await page.evaluate(`{
    const script = document.createElement("script");
    script.textContent = "document.title = 'owned'";
    document.body.append(script);
    document.body.insertAdjacentHTML("beforeend", "<p id=styled style='color: red' onclick='document.title=1'>x</p>");
    document.getElementById("styled").click();
  }`);
  assert.equal(await page.evaluate(`document.title`), "buildkitd-autoscaler");
  assert.notEqual(
    await page.evaluate(`getComputedStyle(document.getElementById("styled")).color`),
    "rgb(255, 0, 0)",
  );
  const fetched = await page.evaluate(`fetch("http://127.0.0.2:1/").then(() => "fetched", () => "refused")`);
  assert.equal(fetched, "refused");
  assert.ok(
    page.problems.some((problem) => problem.includes("Content Security Policy")),
    page.problems.join("\n"),
  );
});

Deno.test("the status page can be used by keyboard and by a screen reader", async () => {
  await using served = serve(hostileFacts("builder-a"));
  await using chromium = await startChromium();
  const page = await chromium.open(served.url);
  await page.until("#live", /^Live$/);
  await page.press("Tab");
  assert.equal(await page.text(":focus"), "Skip to the builders");
  await page.press("Enter");
  await page.press("Tab");
  const focused = `(({ tagName, href }) => tagName + " " + href)(document.activeElement)`;
  assert.match(await page.evaluate(focused), /^A .*#b0$/);
  const outline = `getComputedStyle(document.activeElement).outlineStyle`;
  assert.equal(await page.evaluate(outline), "solid");
  const nodes = await page.accessible();
  const named = (role: string) => nodes.filter((node) => node.role === role).map(({ name }) => name);
  const headings = named("heading");
  assert.equal(headings[0], "buildkitd-autoscaler");
  for (
    const heading of ["Who waits", "Builders", "Timeline", "Decisions", "Savings", "Proxies", "Last sessions"]
  ) {
    assert.ok(headings.includes(heading), heading);
  }
  for (const role of ["table", "image", "region", "button", "link", "navigation"]) {
    assert.ok(
      named(role).length > 0 && named(role).every((name) => name !== ""),
      `${role}: ${named(role).join(", ")}`,
    );
  }
  assert.ok(named("image").some((name) => name.startsWith("Timeline. Now: ")));
  assert.deepEqual(named("main").length, 1);
  assert.equal(await page.evaluate(`document.getElementById("news").getAttribute("aria-live")`), "polite");
});

/** The page over facts that do not change. `streams`: whether a live stream is given; always, without it. */
function serve(
  facts: StatusFacts,
  streams: () => boolean = () => true,
): AsyncDisposable & { readonly url: string } {
  const status = { facts: () => Promise.resolve(facts), subscribe: () => {} };
  const pages = new StatusPages(status, systemClock);
  const server = adminPorts(denoNetwork, { clock: systemClock, log: recordingLog() })(
    { hostname: "127.0.0.1", port: 0 },
    adminHandler({
      version: "1.2.3",
      health: new Health(),
      metrics: () => Promise.resolve(""),
      route: () => "",
      status: {
        answer: (request, url) =>
          url.pathname === "/status.live" && !streams()
            ? Promise.resolve({ status: 503, type: "text/plain", body: "too many" })
            : pages.answer(request, url),
      },
    }, systemClock),
  );
  return { url: `http://127.0.0.1:${server.addr.port}/`, [Symbol.asyncDispose]: () => server.close() };
}

/** Texts whose contrast with their background is below 4.5, the bound of WCAG 2.2 for texts of normal size. */
const CONTRASTS = `(() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = parse(color).slice(0, 3).map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (parse(color)[3] !== 0) return color;
    }
  };
  const poor = new Set();
  for (const element of document.body.querySelectorAll(":not(title)")) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "")) continue;
    const style = getComputedStyle(element);
    const color = element instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [luminance(color), luminance(behind(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) poor.add(element.tagName + "." + element.getAttribute("class") + " " + contrast.toFixed(2));
  }
  return [...poor];
})()`;
