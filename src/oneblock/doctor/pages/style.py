"""How the doctor's page looks beyond what every page has."""

RULES = """
table.findings { width: 100% }
table.findings td, table.findings th { padding: 10px 16px 10px 0; color: var(--ink) }
table.findings td.id { white-space: nowrap; font-weight: 600 }
table.findings p { margin: 0 0 4px } table.findings .said { font-weight: 600 }
table.findings tr.SKIP .said { font-weight: 400 } table.findings td.badges { width: 5.2em }
table.findings tr.PASS td, table.findings tr.INFO td, table.findings tr.SKIP td { padding: 6px 16px 6px 0 }
table.findings tr:is(.PASS, .INFO, .SKIP) p.soft { font-size: .86rem; margin: 0 }
table.findings dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px;
  margin: 6px 0 0; font-size: .9rem }
table.findings dt { color: var(--soft) } table.findings dd { margin: 0; overflow-wrap: anywhere; min-width: 0 }
table.findings details { margin: 0 } table.findings summary { margin: 0 }
.badge { display: inline-block; min-width: 3.4em; padding: 1px 8px; border-radius: 10px; text-align: center;
  font-size: .8rem; font-weight: 700; letter-spacing: .03em; border: 1.5px solid currentColor }
.badge.FAIL { background: var(--bad); border-color: var(--bad); color: var(--paper) } .badge.WARN { color: var(--c2) }
.badge.PASS { color: var(--c3) } .badge.INFO { color: var(--c1) } .badge.SKIP { color: var(--soft) }
.verdict { margin: 14px 0 0; padding: 12px 16px; border-left: 5px solid var(--c3); background: var(--card) }
.verdict.sick { border-color: var(--bad) } .verdict p { margin: 0 } .verdict p + p { margin-top: 6px }
.verdict b { font-size: 1.1rem }
.patient { display: flex; flex-wrap: wrap; gap: 8px 36px; align-items: flex-start }
.patient .model { max-width: 100%; flex: none } .patient > div + div { flex: 1 1 300px; padding-top: 24px }
.patient > div > .legend { display: grid; gap: 10px; margin-bottom: 28px }
.patient > div > .legend li { align-items: baseline }
.patient .legend .badge { flex: none }
.heat rect { shape-rendering: crispEdges }
.heat rect { fill: currentColor; stroke: none } .heat .bed { fill: var(--card); stroke: var(--edge) }
svg.chart.heat { margin-top: 26px; margin-bottom: 44px }
svg.chart.heat .cell { fill: var(--ink) } svg.chart.heat .cell.strong { fill: var(--paper) }
figure.square svg.chart { max-width: 400px }
table.walk td, table.walk th { padding: 4px 18px 4px 0; text-align: left }
table.walk tr.first td { background: var(--card) }
table.walk td b { font-weight: 600; overflow-wrap: anywhere } table.walk tr.first b { color: var(--bad) }
table.walk .badge { min-width: 4.6em }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 8px 28px }
.columns h3 { margin: 8px 0 4px } .columns ul, .columns ol { margin: 0; padding-left: 1.2em }
.columns li { margin: 0 0 8px }
svg.timeline { width: 100%; min-width: 560px; font-size: 13px } svg.timeline text { fill: var(--ink) }
svg.timeline .bed { stroke: var(--edge); stroke-width: 1.5 }
svg.timeline .onset { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 4 4 }
svg.timeline .mark { fill: var(--c1); stroke: var(--c1); stroke-width: 1.5 }
svg.timeline .mark.bad { fill: var(--bad); stroke: var(--bad) }
@media (max-width: 700px) { svg.chart.heat { margin-left: 66px; width: calc(100% - 72px); margin-right: 6px }
  table.findings, table.findings tbody, table.findings tr { display: block }
  table.findings thead { display: none } table.findings tr { padding: 10px 0; border-bottom: 1px solid var(--edge) }
  table.findings td, table.findings th { display: inline-block; padding: 0 8px 4px 0; border: 0 }
  table.findings td.what { display: block; width: auto } table.findings td.badges { width: auto }
  table.findings dl { grid-template-columns: 1fr; gap: 0 }
  table.findings dd { margin-bottom: 4px } }
"""
