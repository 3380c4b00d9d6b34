"""The rule graph as the README shows it: rooms as boxes, only the arrows that no other path implies."""

import re

import networkx as nx

ROOMS = ("cohort", "reports", "backbone", "neural", "prunecxr", "forgetting", "patchib", "igcl", "clear", "summary")


def picture(mermaid: str) -> str:
    """Return Snakemake's rule graph (mermaid-js) tidied up as a mermaid block."""
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", mermaid))
    graph = nx.DiGraph((names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", mermaid))
    graph.remove_nodes_from(["all", "write_config"])
    arrows = sorted(nx.transitive_reduction(graph).edges)
    lines = ["```mermaid", "flowchart LR"]
    for room in ROOMS:
        lines += [f"  subgraph {room}", *(f"    {rule}" for rule in sorted(graph) if rule.startswith(room)), "  end"]
    return "\n".join([*lines, *(f"  {a} --> {b}" for a, b in arrows), "```"])
