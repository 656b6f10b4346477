from __future__ import annotations

import typing

from nigrani.stream.event import Conversation, Event
from nigrani.stream.events import DATASETS, AnyEvent


def test_the_registry_and_the_decoder_know_the_same_datasets() -> None:
    assert set(DATASETS.values()) == set(typing.get_args(AnyEvent))


def test_every_structure_is_registered_under_its_tag() -> None:
    every = {kind for base in (Event, Conversation) for kind in base.__subclasses__()} - {Conversation}
    leaves = {kind for kind in every if kind.__module__.startswith("nigrani.")}
    assert leaves == set(DATASETS.values())
    assert all(kind.__struct_config__.tag == dataset for dataset, kind in DATASETS.items())


def test_every_dataset_says_what_it_is() -> None:
    assert all((kind.__doc__ or "").rstrip().endswith(".") for kind in DATASETS.values())
