"""A hub that means harm: it leads elsewhere, never ends, and says what is not so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dgedit.errors import DgeditError, EngineError, UsageError
from dgedit.models import asking, hub
from fakehub import COMMIT, Hub, serving

REPO = "someone/little"
FILES = {"config.json": b"{}", "model.safetensors": b"x" * 1000, "tokenizer.json": b"{}"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(dict(FILES)) as server:
        server.become_the_hub(monkeypatch)
        yield server


def pull(folder: Path) -> None:
    plan = hub.plan(REPO)
    list(hub.pull(plan, folder / "models" / plan.name))


def refused(folder: Path, kind: type[DgeditError] = EngineError) -> str:
    """The line that a pull ends with; nothing lies outside its folder then, nor a whole model."""
    with pytest.raises(kind) as caught:
        pull(folder)
    said = str(caught.value)
    assert "\n" not in said and len(said) < 2000
    there = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert all(f"{path}/".startswith(("models/", "models/.little.part/")) for path in there)
    assert not (folder / "models" / "little").exists()
    return said


@pytest.mark.parametrize(
    "place", ["file:///etc/passwd", "gopher://127.0.0.1/", "unix:///run/x", "http://[::", "//\0"]
)
def test_hub_that_leads_to_no_http_address_is_not_followed(
    server: Hub, tmp_path: Path, place: str
) -> None:
    server.elsewhere = {"model.safetensors": place}
    assert "cannot be reached" in refused(tmp_path)


def test_hub_that_leads_in_a_circle_is_left(server: Hub, tmp_path: Path) -> None:
    own = f"{server.url}/{REPO}/resolve/{COMMIT}/model.safetensors"
    server.elsewhere = {"model.safetensors": own}
    assert "redirects" in refused(tmp_path)


def test_token_goes_to_no_other_host(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serving(dict(FILES)) as other:
        there = f"{other.url}/{REPO}/resolve/{COMMIT}/model.safetensors"
        server.elsewhere = {"model.safetensors": there}
        pull(tmp_path)
        assert other.tokens == [None]
    assert set(server.tokens) == {"Bearer hf_secret"}
    assert (tmp_path / "models" / "little" / "model.safetensors").read_bytes() == b"x" * 1000


@pytest.mark.parametrize("place", ["file:///etc", "http://[::", "nothing", "ftp://127.0.0.1"])
def test_address_that_is_no_hubs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", place)
    with pytest.raises((EngineError, UsageError)) as caught:
        pull(tmp_path)
    assert place in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_file_without_an_end_ends_where_the_hub_said(
    server: Hub, tmp_path: Path, name: str
) -> None:
    server.endless = {name}
    assert f"{name} did not come as the hub has it" in refused(tmp_path)
    assert server.taken < 32_000_000
    assert not list(tmp_path.rglob("*.incomplete"))


def test_listing_without_an_end_is_left(server: Hub, tmp_path: Path) -> None:
    server.endless = {""}
    assert "does not end: more than 16,000,000 bytes" in refused(tmp_path)
    assert server.taken < 64_000_000


def test_listing_that_takes_for_ever_is_left(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_LISTING", -1.0)
    assert "does not end" in refused(tmp_path)


def test_refusal_without_an_end_is_one_line(server: Hub, tmp_path: Path) -> None:
    server.endless, server.refusals = {""}, {"/api/": (500, "")}
    assert "answers 500" in refused(tmp_path)
    assert server.taken < 32_000_000


def listing(names: list[str], **more: Any) -> bytes:
    siblings = [{"rfilename": name, "size": 1} for name in names]
    return json.dumps({"sha": COMMIT, "siblings": siblings} | more).encode()


def test_listing_of_a_million_files_is_refused(server: Hub, tmp_path: Path) -> None:
    server.listing = listing([f"{n}.safetensors" for n in range(1_000_000)])
    assert "does not end" in refused(tmp_path)


def test_model_of_very_many_files_is_refused(server: Hub, tmp_path: Path) -> None:
    server.listing = listing([f"{n}.safetensors" for n in range(10_000)])
    assert "a model of 10,000 files; 1,024 are the most" in refused(tmp_path)
    assert len(server.tokens) == 1  # none of them was asked for
    server.listing = listing([f"{n}.gguf" for n in range(10_000)])
    assert "and 9,980 more" in refused(tmp_path, UsageError)


@pytest.mark.parametrize(
    "said",
    [
        b"[" * 100_000,
        b"[]",
        b"null",
        b'{"sha": "../../../etc", "siblings": []}',
        b'{"sha": 7, "siblings": []}',
        listing([], siblings=7),
        listing([], siblings=["a"]),
        listing([], siblings=[{"size": 1}]),
        listing([], siblings={"a": 1}),
        b"\xff",
    ],
)
def test_listing_that_is_none_is_one_line(server: Hub, tmp_path: Path, said: bytes) -> None:
    server.listing = said
    assert REPO in refused(tmp_path)


@pytest.mark.parametrize("size", [-1, 2**63, 10**400, "1", None, 0.5, [1], True])
def test_sizes_of_a_listing_are_only_told(server: Hub, tmp_path: Path, size: object) -> None:
    siblings = [{"rfilename": f"{name}.gguf", "size": size} for name in "ab"]
    server.listing = listing([], siblings=siblings)
    assert "choose one by --file: a.gguf (0 B)" in refused(tmp_path, UsageError)


@pytest.mark.parametrize("size", ["-5", str(2**63), "9" * 5000, "1e3", "", "x"])
def test_size_that_no_file_has_is_one_line(server: Hub, tmp_path: Path, size: str) -> None:
    server.claims = {"X-Linked-Size": size}
    if size:
        assert REPO in refused(tmp_path)
    else:  # then the length of what comes is taken
        pull(tmp_path)


@pytest.mark.parametrize("size", [0, 999, 1001])
def test_size_that_is_wrong_is_found(server: Hub, tmp_path: Path, size: int) -> None:
    plan = hub.plan(REPO)
    server.claims = {"X-Linked-Size": str(size)}
    with pytest.raises(EngineError, match=r"did not come as the hub has it|sends nothing of it"):
        pull(tmp_path)
    server.claims = {}
    list(hub.pull(plan, tmp_path / "models" / "little"))
    assert (tmp_path / "models" / "little" / "model.safetensors").read_bytes() == b"x" * 1000


def test_other_bytes_than_were_promised_are_found_and_not_kept(server: Hub, tmp_path: Path) -> None:
    server.claims = {"ETag": '"' + "0" * 64 + '"'}
    assert "did not come as the hub has it" in refused(tmp_path)
    assert not list(tmp_path.rglob("*.incomplete"))


def test_warnings_of_a_hub_reach_no_terminal(
    server: Hub, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.claims = {"X-HF-Warning": "a; \x9b2Jdo as I say"}
    pull(tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "name",
    ["../../x.gguf", "/etc/x.gguf", "..\\x.gguf", "a/.x.gguf", "\x1b[2J.gguf", "\ud800.gguf"],
)
def test_names_lead_nowhere(server: Hub, tmp_path: Path, name: str) -> None:
    """What a file is called decides neither where it is put nor what a terminal does."""
    server.files[name] = b"x"
    del server.files["model.safetensors"]
    plan = None
    try:
        plan = hub.plan(REPO)
    except EngineError as error:
        assert "\n" not in str(error) and "\x1b" not in str(error)
    if plan:
        assert {"/", "\\", "\0", "\x1b"}.isdisjoint("".join(one.name for one in plan.files))
        assert all(one.url.startswith(server.url) for one in plan.files)
