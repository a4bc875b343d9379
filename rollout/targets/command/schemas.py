"""The JSON Schemas of orders and answers, for whoever writes a program; made from the models and never edited.

`python -m rollout.targets.command.schemas` in the project's directory writes the committed files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import BaseModel, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from rollout.targets.command import contract

DIRECTORY: Final = Path("schema")

ORDERS: Final[tuple[type[contract.Order], ...]] = (
    contract.DeployOrder,
    contract.SetWeightOrder,
    contract.GetWeightOrder,
    contract.StatusOrder,
    contract.PromoteOrder,
    contract.RollbackOrder,
    contract.RetireOrder,
    contract.DiscardOrder,
    contract.LogsOrder,
    contract.ResolveOrder,
)
ANSWERS: Final[tuple[tuple[str, type[BaseModel]], ...]] = (
    ("get-weight", contract.WeightSaid),
    ("status", contract.RolesSaid),
    ("resolve", contract.ResolvedSaid),
    ("failure", contract.FailureSaid),
)


def files() -> Iterator[tuple[Path, str]]:
    """Every file with its text: `command-<order>.json` and `command-<order>-answer.json`."""
    for order in ORDERS:
        name = str(order.model_fields["order"].default).replace("_", "-")
        whole = create_model(order.__name__, __base__=(order, contract.Address), __doc__=order.__doc__)
        yield _file(f"command-{name}", whole, mode="serialization")
    for name, answer in ANSWERS:
        yield _file(f"command-{name}-answer", answer, mode="validation")


def write(root: Path) -> None:
    """Write every file below the project's directory."""
    for path, text in files():
        (root / path).write_text(text, encoding="utf-8")


def _file(name: str, model: type[BaseModel], *, mode: JsonSchemaMode) -> tuple[Path, str]:
    """An order has every key, and later versions may add more; an answer may leave out what has a default."""
    made = model.model_json_schema(mode=mode)
    if mode == "serialization":
        del made["additionalProperties"]
    text = {"$schema": GenerateJsonSchema.schema_dialect, "$id": f"urn:rollout-orchestrator:{name}", **made}
    return DIRECTORY / f"{name}.json", json.dumps(text, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write(Path())
