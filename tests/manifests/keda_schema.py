"""Run by .venv-manifests: KEDA's objects of standard input, held against its own models.

What a model doesn't know it drops, so what comes out must be what went in.
"""

import sys

import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject, TriggerAuthentication

MODELS = {"ScaledObject": ScaledObject, "TriggerAuthentication": TriggerAuthentication}


def main() -> None:
    """Exits with what is wrong; prints how many were looked at."""
    looked_at = 0
    for manifest in yaml.safe_load_all(sys.stdin):
        if manifest["kind"] not in MODELS:
            continue
        understood = MODELS[manifest["kind"]].model_validate(manifest)
        again = understood.model_dump(mode="json", by_alias=True, exclude_unset=True)
        if again != manifest:
            name = f"{manifest['kind']} {manifest['metadata']['name']}"
            sys.exit(f"{name} holds what KEDA doesn't know.\n{manifest}\nIt knows:\n{again}")
        looked_at += 1
    print(looked_at)


main()
