/**
 * The style sheet of the status page, light and dark.
 *
 * @module
 */

/** The content of `status.css`. */
export const STYLE = `:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #1b2330; --soft: #566175; --line: #d9dee7; --link: #0b57c2;
  --ready: #16794c; --starting: #b26a00; --asleep: #5b6577; --stuck: #c4281c; --wanted: #8a5a00;
  --sessions: #2f6fd6; --held: #d6567c; --queued: #8a63d2;
  --notice: #fff4de; --notice-line: #e0a33a; --fault: #fdeceb; --fault-line: #c4281c; --set: #eef4ff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10141b; --card: #181e27; --text: #e7ebf2; --soft: #a2adbf; --line: #2d3644; --link: #82b1ff;
    --ready: #47c98a; --starting: #f0ad4e; --asleep: #9aa6ba; --stuck: #ff7b70; --wanted: #d9a441;
    --sessions: #5b95f2; --held: #ec7fa0; --queued: #b99cf0;
    --notice: #33280f; --notice-line: #b98226; --fault: #3a1a19; --fault-line: #ff7b70; --set: #1c2a43;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem clamp(1rem, 3vw, 2.5rem) 3rem; max-width: 76rem; background: var(--page);
  color: var(--text); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header { display: grid; grid-template-columns: 1fr auto; align-items: baseline; gap: 0 1rem; }
h1 { margin: 0; font-size: 1.5rem; letter-spacing: -0.01em; }
h2 { margin: 0 0 0.5rem; font-size: 1.15rem; }
h3 { margin: 1.4rem 0 0.4rem; font-size: 0.95rem; }
p { margin: 0.4rem 0; }
a { color: var(--link); }
.version { grid-row: 2; margin: 0; color: var(--soft); font-size: 0.87rem; }
.live { grid-row: 1 / 3; grid-column: 2; align-self: center; margin: 0; color: var(--soft); font-size: 0.87rem;
  text-align: right; }
#live.on::before { content: ""; display: inline-block; width: 0.6em; height: 0.6em; margin-right: 0.45em;
  border-radius: 50%; background: var(--ready); }
button { margin-left: 0.6rem; padding: 0.3rem 0.8rem; border: 1px solid var(--line); border-radius: 6px;
  background: var(--card); color: var(--text); font: inherit; cursor: pointer; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 0.5rem; padding: 0.4rem 0.8rem; background: var(--card); z-index: 1; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
section { margin-top: 1.25rem; padding: 1.1rem 1.25rem 1.25rem; border: 1px solid var(--line); border-radius: 10px;
  background: var(--card); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 0.75rem; margin: 1.25rem 0 0; }
.card { padding: 0.8rem 1rem 0.9rem; border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
dt { color: var(--soft); font-size: 0.85rem; }
dd { margin: 0.15rem 0 0; }
.card strong { display: block; font-size: 1.35rem; line-height: 1.35; font-weight: 650; }
.card dd > span { color: var(--soft); font-size: 0.87rem; }
.card .badge { font-size: 1rem; }
.facts { display: flex; flex-wrap: wrap; gap: 0.6rem 2.5rem; margin: 0 0 0.8rem; }
.facts dd { font-weight: 550; }
.badge { display: inline-block; padding: 0.05em 0.6em; border: 1px solid currentColor; border-radius: 1em;
  color: var(--soft); font-size: 0.82rem; font-weight: 600; line-height: 1.5; }
.badge.asleep, .badge.unknown { color: var(--asleep); }
.badge.ready { color: var(--ready); }
.badge.starting { color: var(--starting); }
.badge.stuck, .badge.missing { color: var(--stuck); }
.pool { color: var(--soft); font-size: 0.85rem; font-weight: 400; }
.notice { padding: 0.45rem 0.8rem; border-left: 4px solid var(--notice-line); border-radius: 4px;
  background: var(--notice); overflow-wrap: anywhere; }
.fault { border-color: var(--fault-line); background: var(--fault); }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 0.9rem; }
table.narrow { width: auto; min-width: min(28rem, 100%); }
caption { padding-bottom: 0.3rem; color: var(--soft); font-size: 0.85rem; text-align: left; }
th, td { padding: 0.35rem 0.9rem 0.35rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
.free { min-width: 9rem; overflow-wrap: anywhere; }
.number + :not(.number) { padding-left: 1rem; }
th { font-weight: 600; }
tbody th { font-weight: 500; }
thead th { color: var(--soft); font-size: 0.82rem; white-space: nowrap; }
tbody tr:last-child > * { border-bottom: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
time { font-variant-numeric: tabular-nums; white-space: nowrap; }
.change { white-space: nowrap; font-weight: 600; }
.set > * { background: var(--set); }
.columns { display: grid; gap: 0 2.5rem; }
.columns > * { min-width: 0; }
@media (min-width: 76rem) { .columns { grid-template-columns: 2fr 3fr; } }
ul { margin: 0; padding: 0; list-style: none; }
.windows { display: flex; flex-wrap: wrap; gap: 0.25rem 0.9rem; margin-top: 1.25rem; color: var(--soft); }
.windows a[aria-current] { color: var(--text); font-weight: 650; text-decoration: none; }
.legend { display: flex; flex-wrap: wrap; gap: 0.15rem 1.1rem; margin-bottom: 0.4rem; color: var(--soft); font-size: 0.85rem; }
.swatch { width: 18px; height: 14px; margin-right: 0.4em; vertical-align: -2px; }
/* Begins at its right end, which is now. */
.timeline { direction: rtl; }
.timeline > svg { direction: ltr; }
.scroll > svg { display: block; width: 100%; min-width: 40rem; }
.scroll > svg text { fill: var(--soft); font-size: 11px; font-variant-numeric: tabular-nums; }
svg .end { text-anchor: end; }
svg .middle { text-anchor: middle; }
.lane, .axis, .tick { stroke: var(--line); stroke-width: 1; }
.tick { stroke-dasharray: 2 3; }
.pod.ready { fill: var(--ready); }
.pod.starting { fill: var(--starting); }
.pod.wanted { fill: var(--card); stroke: var(--wanted); stroke-width: 1.5; }
.pod.terminating { fill: var(--asleep); }
rect.virtual { fill: var(--link); }
path.sessions, rect.sessions { fill: var(--sessions); }
path.held, rect.held { fill: var(--held); }
path.queued, rect.queued { fill: var(--queued); }
summary { margin-top: 0.4rem; color: var(--link); font-size: 0.9rem; cursor: pointer; }
footer { margin-top: 1.5rem; color: var(--soft); font-size: 0.87rem; }
@media (max-width: 40rem) {
  header { grid-template-columns: 1fr; }
  .live { grid-row: auto; grid-column: 1; text-align: left; }
}
`;
