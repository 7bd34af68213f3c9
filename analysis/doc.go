// Package analysis answers, for one pre- and one post-ablation chest CT, whether the ablation zone covered the tumour
// and a margin of 5 mm: volumes in, Findings out. Run is the whole method of Wang et al. 2026
// (doi 10.13929/j.issn.1003-3289.2026.03.004) as far as it is built; each stage is a package below this one. It knows
// nothing of the network, the database or the PACS.
package analysis

// Version is the version of the whole pipeline. It is part of every UID of a result: raise it whenever a result can
// change.
const Version = "0.1.0"
