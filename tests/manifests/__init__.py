"""k8s/ as a cluster would get it, held against schemas, checkov and the rules of the house."""
