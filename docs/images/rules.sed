# The rule graph of the README (mermaid) in graphviz's words.
1d
s/^flowchart LR/digraph rules {\
  graph [rankdir=LR, fontname="Helvetica", fontsize=13, nodesep=0.12, ranksep=0.5, bgcolor="white"]\
  node [shape=box, style="rounded,filled", fillcolor="#eef3f3", color="#6f8f8f", fontname="Helvetica", fontsize=11, height=0.3]\
  edge [color="#5a6b6b", arrowsize=0.6]/
s/subgraph \(.*\)/subgraph cluster_\1 { label="\1"; style="rounded,dashed"; color="#9fb3b3"/
s/^  end/  }/
s/-->/->/
s/^```$/}/
