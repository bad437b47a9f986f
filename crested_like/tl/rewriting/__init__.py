"""The same network, computed with less work: rewritings of its graph, each of which can be left out."""
