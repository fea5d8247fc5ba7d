/** The shop's whole look, served as /roxy.css. */
export const stylesheet = `
:root {
  color-scheme: light dark;
  --page: #faf4ea; --card: #fffdf9; --ink: #2b1820; --soft: #6b5159; --line: #e3d4c6;
  --accent: #8e1b3b; --on-accent: #fff8ef; --marquee: #6f1230; --bulb: #f4c35a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #1b1216; --card: #271a20; --ink: #f6eae2; --soft: #c9b1b6; --line: #49353d;
    --accent: #f4c35a; --on-accent: #2b1820; --marquee: #4a0d21; --bulb: #f4c35a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: flex; flex-direction: column; background: var(--page); color: var(--ink); font: 1.0625rem/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; border-radius: 4px; }
header { background: var(--marquee); color: #fff8ef; border-bottom: 14px solid transparent; background-clip: padding-box; position: relative; }
header::after { content: ""; position: absolute; inset: auto 0 -14px; height: 14px; background: radial-gradient(circle, var(--bulb) 0 3px, transparent 3.5px) center / 20px 14px var(--marquee); }
header :focus-visible { outline-color: var(--bulb); }
.bar, main, footer { width: 100%; max-width: 42rem; margin: 0 auto; padding: 0 1.25rem; }
.bar { display: flex; flex-wrap: wrap; align-items: center; gap: 0 1.25rem; padding-top: .75rem; padding-bottom: .5rem; }
.brand { font: 700 2rem/1.4 Georgia, serif; letter-spacing: .22em; text-transform: uppercase; text-decoration: none; color: var(--bulb); }
nav { display: flex; gap: .25rem; }
nav a { display: inline-flex; align-items: center; min-height: 44px; padding: 0 .6rem; color: inherit; }
.visitor { margin: 0 0 0 auto; font-size: .9375rem; min-width: 0; }
.badge { display: inline-block; padding: 0 .6em; border-radius: 1em; background: var(--bulb); color: #2b1820; font-weight: 600; }
main { flex: 1; padding-top: 2rem; padding-bottom: 2rem; }
h1 { margin: 0 0 1.25rem; font: 700 clamp(1.75rem, 6vw, 2.5rem)/1.15 Georgia, serif; text-wrap: balance; }
h2 { margin: 0 0 .75rem; font: 700 1.3rem/1.25 Georgia, serif; }
p { margin: 0 0 1rem; text-wrap: pretty; }
strong { display: inline-block; max-width: 100%; }
.lead { font-size: 1.175rem; }
.card { --pad: 1.5rem; margin: 0 0 1.5rem; padding: var(--pad); background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.card > :last-child, .card form > :last-child { margin-bottom: 0; }
.ticket { border-top: 6px solid var(--accent); overflow: hidden; }
.held { position: relative; padding-bottom: 1.25rem; border-bottom: 2px dashed var(--line); }
.held::before, .held::after { content: ""; position: absolute; bottom: calc(-.5rem - 1px); width: 1rem; height: 1rem; border: 1px solid var(--line); border-radius: 50%; background: var(--page); }
.held::before { left: calc(-.5rem - var(--pad)); }
.held::after { right: calc(-.5rem - var(--pad)); }
.ending [role=timer] { font-weight: 700; color: var(--accent); }
[role=timer] { font-variant-numeric: tabular-nums; white-space: nowrap; }
[role=timer]:not(:empty)::before { content: "("; }
[role=timer]:not(:empty)::after { content: ")"; }
.warning:empty { margin: 0; }
.warning:not(:empty) { padding: .75rem 1rem; border: 2px solid var(--accent); border-radius: 8px; font-weight: 600; }
.card > form:not(.line, :last-child) { margin-bottom: 1rem; }
.line { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem .75rem; margin: 0; padding: .75rem 0; border-top: 1px solid var(--line); }
.line label, .line strong { flex: 1 1 8rem; max-width: 100%; }
.card form.line > * { margin: 0; }
.line input:not([type=hidden]) { flex: 1 1 10rem; max-width: 12rem; }
.line input[type=number]:not([type=hidden]) { flex: none; width: 6rem; }
.amount { font: 700 2.75rem/1.1 Georgia, serif; font-variant-numeric: tabular-nums; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .6rem 0 .6rem .75rem; text-align: right; font-weight: 400; vertical-align: top; white-space: nowrap; }
th:first-child { padding-left: 0; text-align: left; white-space: normal; }
thead th { padding-top: 0; color: var(--soft); font-size: .875rem; }
tbody th { font-weight: 600; }
tbody tr { border-top: 1px solid var(--line); }
.each { display: block; color: var(--soft); font-weight: 400; font-size: .9375rem; }
tfoot th, tfoot td { padding-top: .2rem; padding-bottom: .2rem; }
tfoot tr:first-child > * { padding-top: 1rem; }
tfoot { border-top: 2px solid var(--line); }
.due > * { padding-top: .6rem; font-weight: 700; font-size: 1.25rem; }
dl { margin: 0; }
dl div { padding: .6rem 0; border-top: 1px solid var(--line); }
dt { color: var(--soft); font-size: .9375rem; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.stack { display: grid; gap: .5rem; justify-items: start; }
label { font-weight: 600; }
input:not([type=hidden]) { width: 100%; max-width: 22rem; min-height: 44px; padding: .5rem .75rem; font: inherit; color: inherit; background: var(--page); border: 1px solid var(--soft); border-radius: 8px; }
.hint, .code, footer { color: var(--soft); font-size: .9375rem; }
.code { overflow-wrap: anywhere; }
button, .button { display: inline-flex; align-items: center; justify-content: center; min-height: 48px; padding: .5rem 1.5rem; font: 600 1.0625rem/1.2 system-ui, sans-serif; color: var(--on-accent); background: var(--accent); border: 2px solid var(--accent); border-radius: 10px; text-decoration: none; text-wrap: balance; cursor: pointer; }
.quiet { color: var(--accent); background: transparent; }
button:hover, .button:hover { text-decoration: underline; }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; }
@media (max-width: 30rem) {
  .bar { column-gap: 0; }
  .visitor { margin: 0; width: 100%; }
  nav { margin: 0 -.6rem 0 auto; }
  .card { --pad: 1.125rem; }
  .actions, .actions form { width: 100%; }
  .actions button, .button { width: 100%; }
}
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 1rem; z-index: 1; padding: .75rem; background: var(--card); color: var(--ink); }
`;
