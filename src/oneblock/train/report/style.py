"""How the report looks: light, dark and printed; no fonts, images or scripts from anywhere."""

LIGHT = """
  --paper: #fff; --card: #f6f7f9; --ink: #1b2028; --soft: #59626f; --edge: #dde1e7; --grid: #e6e9ee;
  --c1: #1f6fc0; --c2: #b4650a; --c3: #1b7f5c; --c4: #8d3fa8; --bad: #c62828;
"""
DARK = """
  --paper: #14171c; --card: #1d2128; --ink: #e4e8ee; --soft: #a0a9b6; --edge: #343b46; --grid: #2a3039;
  --c1: #6cb1f5; --c2: #f0a549; --c3: #4fc79b; --c4: #d393ea; --bad: #ff7a70;
"""
RULES = """
* { box-sizing: border-box }
body { margin: 0 auto; padding: 28px 20px 60px; max-width: 1000px; background: var(--paper);
  color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 6px }
h2 { font-size: 1.2rem; margin: 44px 0 12px; padding-bottom: 4px; border-bottom: 1px solid var(--edge) }
h3 { font-size: 1rem; margin: 0 0 4px }
p { margin: 0 0 10px } .soft, figcaption small { color: var(--soft) }
h1, p, table.words td { overflow-wrap: anywhere }
pre, code { font: .86rem/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace }
pre { margin: 0 0 12px; padding: 10px 14px; background: var(--card); border: 1px solid var(--edge);
  border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(172px, 1fr)); gap: 10px;
  margin: 22px 0 0 }
.tiles div { padding: 10px 14px; background: var(--card); border: 1px solid var(--edge);
  border-radius: 6px }
.tiles dt { font-size: .84rem; color: var(--soft) }
.tiles dd { margin: 0; font-size: 1.5rem; line-height: 1.3; font-weight: 600;
  font-variant-numeric: tabular-nums }
.tiles dd + dd { font-size: .84rem; line-height: 1.4; font-weight: 400; color: var(--soft) }
table { margin: 0 0 12px; border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums }
th, td { padding: 4px 20px 4px 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--edge) }
th { font-weight: 600 } tbody th { font-weight: 400; color: var(--soft) }
td.number, th.number { text-align: right; overflow-wrap: normal; white-space: nowrap }
.wide { overflow-x: auto } .model svg { display: block }
details { margin: 0 0 12px } summary { cursor: pointer; margin: 0 0 8px }
figure { margin: 0; padding-bottom: 22px; break-inside: avoid } .defs { position: absolute }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 0 0 6px; padding: 0;
  font-size: .86rem }
.legend li { display: flex; align-items: center; gap: 6px }
svg.chart { display: block; overflow: visible; margin: 8px 20px 32px 62px; width: calc(100% - 82px) }
svg.chart text { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums }
.grid line { stroke: var(--grid) } .rules line { stroke: var(--soft); stroke-dasharray: 5 4 }
svg.chart .rules text { fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 4px }
.c1 { color: var(--c1) } .c2 { color: var(--c2) } .c3 { color: var(--c3) } .c4 { color: var(--c4) }
  .bad { color: var(--bad) }
.chart path, .swatch path { fill: none; stroke: currentColor; stroke-width: 1.6;
  vector-effect: non-scaling-stroke;
  stroke-linejoin: round; stroke-linecap: round }
.chart path.faint, .swatch path.faint { opacity: .38; stroke-width: 1 }
.swatch path.faint { opacity: .6; stroke-width: 1.6 }
.marks { fill: currentColor; stroke: none } .marks.cross { fill: none; stroke: currentColor;
  stroke-width: 1.8 }
.bar { display: block; height: 10px; min-width: 1px; background: var(--c1); border-radius: 2px }
td.bars { width: 40%; vertical-align: middle }
/* Too wide for a small screen, the drawing is scrolled, not shrunk: its own style says otherwise. */
@media screen and (max-width: 700px) { .model svg { max-width: none !important } }
@media (max-width: 600px) { body { padding: 18px 14px 40px } .tiles { grid-template-columns: 1fr 1fr }
  .tiles dd { font-size: 1.25rem } th, td { padding-right: 12px } svg.chart { margin-left: 54px;
  width: calc(100% - 66px); margin-right: 12px } }
@media print { body { max-width: none; padding: 0; font-size: 11pt } h2, h3, summary { break-after: avoid }
  * { print-color-adjust: exact } .wide { overflow: visible } .tiles { grid-template-columns: repeat(5, 1fr) }
  .tiles dd { font-size: 1.1rem } .tiles div, pre, tr { break-inside: avoid }
  .model svg { width: auto; max-height: 21cm } }
"""
STYLE = (
    f":root {{ color-scheme: light dark; {LIGHT} }}\n"
    f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {DARK} }}\n"
    "  .model svg { filter: invert(.9) hue-rotate(180deg) } }\n"
    f"{RULES}"
)
