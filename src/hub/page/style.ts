/** The look of the fleet page: light and dark, a table where there is room, cards on a phone. */
export const FLEET_STYLE = `
:root { color-scheme: light dark; --bg: #f6f7f9; --card: #fff; --ink: #16202b; --dim: #5a6673; --line: #d9dee4; --focus: #0a5bd3; --good: #11713f; --bad: #b3261e; --warn: #8a5300; --move: #0a5bd3; --odd: #7a3fa0; --quiet: #5a6673; }
@media (prefers-color-scheme: dark) { :root { --bg: #10151b; --card: #18202a; --ink: #e7edf3; --dim: #9aa7b5; --line: #2c3744; --focus: #7db3ff; --good: #5fce93; --bad: #ff8a80; --warn: #f2b95c; --move: #7db3ff; --odd: #d3a4f0; --quiet: #9aa7b5; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--bg); color: var(--ink); font: 15px/1.45 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1, h2, h3, p { margin: 0; }
header, main, footer { max-width: 1240px; margin: 0 auto; padding: 0 20px; }
header { display: flex; align-items: center; justify-content: space-between; gap: 12px; padding-top: 18px; padding-bottom: 14px; }
h1 { font-size: 22px; letter-spacing: -0.01em; }
footer { padding-top: 18px; padding-bottom: 28px; color: var(--dim); font-size: 13px; }
.hidden, .label { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: absolute; left: -9999px; } .skip:focus { left: 12px; top: 8px; background: var(--card); padding: 6px 10px; }
button, input, select { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 7px 12px; min-height: 38px; }
button { cursor: pointer; } button:disabled { color: var(--dim); cursor: default; opacity: .6; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
#live { display: flex; align-items: center; gap: 8px; color: var(--dim); font-size: 13px; }
.dot { width: 9px; height: 9px; border-radius: 50%; background: var(--warn); flex: none; }
#live[data-state="on"] .dot { background: var(--good); } #live[data-state="off"] .dot { background: var(--bad); }
#conditions { display: flex; flex-wrap: wrap; gap: 8px; margin-bottom: 12px; }
#conditions button { display: flex; align-items: center; gap: 8px; border-radius: 999px; padding: 5px 13px; }
#conditions button[aria-pressed="true"] { border-color: var(--focus); box-shadow: inset 0 0 0 1px var(--focus); }
#conditions b { font-variant-numeric: tabular-nums; }
.tools { display: flex; gap: 10px; margin-bottom: 14px; flex-wrap: wrap; }
.search { flex: 1 1 260px; } .search input { width: 100%; }
.note { border: 1px solid var(--warn); border-radius: 8px; padding: 8px 12px; margin-bottom: 12px; background: var(--card); }
table { width: 100%; border-collapse: collapse; table-layout: fixed; background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
th { text-align: left; font-size: 12px; font-weight: 600; color: var(--dim); padding: 9px 14px; border-bottom: 1px solid var(--line); }
th:nth-child(1) { width: 21%; } th:nth-child(2) { width: 13%; } th:nth-child(3) { width: 23%; } th:nth-child(5) { width: 12%; }
td { padding: 10px 14px; vertical-align: top; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
tbody tr:first-child td { border-top: 0; } tbody tr:hover td { background: color-mix(in srgb, var(--focus) 5%, transparent); }
.name { display: inline; min-height: 0; padding: 0; border: 0; background: none; font-weight: 600; text-align: left; text-decoration: underline; text-decoration-color: var(--line); text-underline-offset: 3px; overflow-wrap: anywhere; }
.dim { color: var(--dim); font-size: 13px; }
.state { display: inline-flex; align-items: center; gap: 7px; font-weight: 600; white-space: nowrap; }
.state svg { width: 13px; height: 13px; flex: none; }
.trouble { color: var(--bad); } .waiting { color: var(--warn); } .changing { color: var(--move); } .settled { color: var(--good); } .unproven { color: var(--odd); } .silent { color: var(--quiet); }
.point { font-variant-numeric: tabular-nums; white-space: nowrap; }
.cure { color: var(--dim); font-size: 13px; margin-top: 3px; } .cure::before { content: "\\2192\\00a0"; }
.doubt { color: var(--odd); font-size: 13px; }
#empty { text-align: center; padding: 64px 20px; border: 1px dashed var(--line); border-radius: 10px; color: var(--dim); }
#empty-title { font-size: 18px; color: var(--ink); margin-bottom: 6px; }
#pages { display: flex; align-items: center; justify-content: space-between; gap: 12px; margin-top: 14px; font-variant-numeric: tabular-nums; }
[hidden] { display: none !important; }
dialog { width: min(820px, calc(100vw - 32px)); max-height: calc(100dvh - 48px); padding: 0 22px 22px; border: 1px solid var(--line); border-radius: 12px; background: var(--card); color: var(--ink); overflow: auto; }
dialog::backdrop { background: rgb(0 0 0 / .45); }
dialog .head { position: sticky; top: 0; display: flex; justify-content: space-between; align-items: center; gap: 12px; padding: 16px 0 12px; background: var(--card); border-bottom: 1px solid var(--line); }
h2 { font-size: 19px; overflow-wrap: anywhere; } h3 { font-size: 14px; margin: 18px 0 6px; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: 130px 1fr; gap: 4px 14px; margin: 12px 0 0; } dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
.mono { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, monospace; font-size: 12.5px; }
ul { list-style: none; margin: 0; padding: 0; } li { padding: 5px 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; } li:first-child { border-top: 0; }
@media (max-width: 760px) {
  header, main, footer { padding-left: 14px; padding-right: 14px; }
  button, input, select { min-height: 44px; } .name { min-height: 0; font-size: 16px; }
  #conditions { flex-wrap: nowrap; overflow-x: auto; margin: 0 -14px 12px; padding: 2px 14px 4px; scrollbar-width: none; } #conditions button { flex: none; }
  .tools label { flex: 1 1 130px; } .tools select { width: 100%; } .search { flex-basis: 100% !important; }
  table, tbody, tr, td { display: block; width: auto; } thead { display: none; }
  table { background: none; border: 0; border-radius: 0; }
  tr { background: var(--card); border: 1px solid var(--line); border-radius: 10px; margin-bottom: 10px; padding: 10px 14px; display: grid; grid-template-columns: 1fr auto; gap: 4px 12px; }
  td, tbody tr:first-child td { border: 0; padding: 0; } tbody tr:hover td { background: none; }
  td:nth-child(1) { grid-area: 1 / 1; } td:nth-child(2) { grid-area: 1 / 2; } td:nth-child(n+3) { grid-column: 1 / -1; } td:empty { display: none; } td:nth-child(5)::before { content: "Last heard: "; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 6px; }
  dialog { width: 100vw; max-width: 100vw; height: 100dvh; max-height: 100dvh; margin: 0; border: 0; border-radius: 0; }
}
@media (prefers-reduced-motion: no-preference) { #live[data-state="wait"] .dot { animation: beat 1.2s infinite; } @keyframes beat { 50% { opacity: .3; } } }
`;
