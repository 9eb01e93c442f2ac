"""How training tools are told of the rows: the folder `use` of an output, a file for each tool.

Which field holds what is seen in a row that the shape itself writes, so it cannot be said wrong.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minimix.extras import need
from minimix.formats import write_row
from minimix.records import Place, Sample

FOLDER = "use"
LLAMA_FACTORY, AXOLOTL, TRL = ("dataset_info.json", "axolotl.yaml", "trl_sft.py")
PROBE = Sample(
    "an instruction", "a response", (Place("", 1, 0, ""),), input="an input", system="a prompt"
)
ANSWER = "### Response:\n"
NO_INPUT = "### Instruction:\n{instruction}\n\n"
FORMATS = {
    "format": f"{NO_INPUT}### Input:\n{{input}}\n\n{ANSWER}",
    "no_input_format": f"{NO_INPUT}{ANSWER}",
    "system_format": "{system}\n\n",
}
"""What a prompt is in axolotl: Alpaca's headings, without its preamble."""
SCRIPT = '''\
"""The rows of train.jsonl as trl's SFTTrainer takes them, and a training on them.

python {script} MODEL OUTPUT
"""

import sys
from pathlib import Path

from datasets import load_dataset


def chat(row):
    """Return a row as a prompt and its completion, each as messages."""
{body}

train = load_dataset(
    "json", data_files=str(Path(__file__).parent.parent / "{train}"), split="train"
)
train = train.map(chat, remove_columns=train.column_names)

if __name__ == "__main__":
    from trl import SFTConfig, SFTTrainer

    model, output = sys.argv[1:]
    SFTTrainer(model, train_dataset=train, args=SFTConfig(output_dir=output)).train()
'''
FROM_TURNS = """\
    roles = {roles}
    messages = [
        {{"role": roles[turn["{role}"]], "content": turn["{content}"]}} for turn in row["{turns}"]
    ]
    return {{"prompt": messages[:-1], "completion": messages[-1:]}}
"""
FROM_FIELDS = """\
    prompt = {prompt}
    messages = [{{"role": "user", "content": prompt}}]
{system}    return {{
        "prompt": messages,
        "completion": [{{"role": "assistant", "content": row["{response}"]}}],
    }}
"""
FROM_SYSTEM = """\
    if row["system"]:
        messages.insert(0, {"role": "system", "content": row["system"]})
"""


@dataclass(frozen=True, kw_only=True)
class Fields:
    """The fields of a flat shape; "" for one that it lacks."""

    instruction: str
    response: str
    input: str
    system: str


@dataclass(frozen=True, kw_only=True)
class Turns:
    """The fields of a chat: of its turns, and of a role and a text in a turn.

    `roles` are system, user and assistant as the shape has them.
    """

    turns: str
    role: str
    content: str
    roles: tuple[str, str, str]


def fields_of(shape: str, *, system: bool) -> Fields | Turns:
    """Return where a shape has its texts; `system` says whether rows have a field of that name."""
    row = write_row(PROBE, shape)
    for name, value in row.items():
        if isinstance(value, list):
            content = next(key for key, text in value[0].items() if text == PROBE.system)
            role = next(key for key in value[0] if key != content)
            names = (turn[role] for turn in value)
            return Turns(turns=name, role=role, content=content, roles=tuple(names))
    where = {text: name for name, text in row.items()}
    return Fields(
        instruction=where.get(PROBE.instruction) or where[PROBE.prompt],
        response=where[PROBE.response],
        input=where.get(PROBE.input, ""),
        system=where[PROBE.system] if system else "",
    )


def short_name(folder: str) -> str:
    """Return what LLaMA-Factory calls the data set in an output folder: a name without commas."""
    return re.sub(r"[^\w.-]+", "_", folder.removesuffix(".distilled"))


def uses(shape: str, *, folder: str, train: str, system: bool) -> dict[str, str]:
    """Return the files of `use` by name, for the file `train` of an output folder called `folder`.

    The one for axolotl names the folder as it is seen from where it lies.
    """
    fields = fields_of(shape, system=system)
    name = short_name(folder)
    yaml = need("yaml")
    entry = {"path": f"{folder}/{train}", "ds_type": "json", **_axolotl(fields)}
    return {
        LLAMA_FACTORY: json.dumps(
            {name: {"file_name": f"../{train}", **_llama_factory(fields)}},
            ensure_ascii=False,
            indent=2,
        )
        + "\n",
        AXOLOTL: yaml.safe_dump({"datasets": [entry]}, sort_keys=False, allow_unicode=True),
        TRL: SCRIPT.format(script=TRL, train=train, body=_trl(fields)),
    }


def _llama_factory(fields: Fields | Turns) -> dict[str, Any]:
    if isinstance(fields, Turns):
        roles = zip(("system_tag", "user_tag", "assistant_tag"), fields.roles, strict=True)
        tags = {"role_tag": fields.role, "content_tag": fields.content, **dict(roles)}
        return {"formatting": "sharegpt", "columns": {"messages": fields.turns}, "tags": tags}
    columns = {
        "prompt": fields.instruction,
        "query": fields.input,
        "response": fields.response,
        "system": fields.system,
    }
    return {"columns": _filled(columns)}


def _axolotl(fields: Fields | Turns) -> dict[str, Any]:
    if isinstance(fields, Turns):
        system, user, assistant = fields.roles
        return {
            "type": "chat_template",
            "field_messages": fields.turns,
            "message_property_mappings": {"role": fields.role, "content": fields.content},
            "roles": {"system": [system], "user": [user], "assistant": [assistant]},
        }
    names = {
        "field_system": fields.system,
        "field_instruction": fields.instruction,
        "field_input": fields.input,
        "field_output": fields.response,
    }
    return {"type": {**_filled(names), **FORMATS}}


def _trl(fields: Fields | Turns) -> str:
    if isinstance(fields, Turns):
        roles = dict(zip(fields.roles, ("system", "user", "assistant"), strict=True))
        return FROM_TURNS.format(
            roles=json.dumps(roles), role=fields.role, content=fields.content, turns=fields.turns
        )
    prompt = f'row["{fields.instruction}"]'
    if fields.input:
        prompt = f'"\\n\\n".join(filter(None, [{prompt}, row["{fields.input}"]]))'
    system = FROM_SYSTEM if fields.system else ""
    return FROM_FIELDS.format(prompt=prompt, system=system, response=fields.response)


def _filled(names: Mapping[str, str]) -> dict[str, str]:
    return {key: name for key, name in names.items() if name}
