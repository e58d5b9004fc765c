"""Files from a hub: which, how they survive a stop, and what is said when they do not come."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dgedit.errors import EngineError, InputError, UsageError
from dgedit.models import hub
from dgedit.models.hub import Progress
from fakehub import COMMIT, Hub, serving

WEIGHTS = random.Random(0).randbytes(3_000_000)
FILES = {
    "README.md": b"words",
    "model-00002.safetensors": b"second",
    "model-00001.safetensors": WEIGHTS,
    "model.safetensors.index.json": b"{}",
    "tokenizer.json": b'{"a": 1}',
    "config.json": b"{}",
    "pytorch_model.bin": b"not read",
    "original/model.safetensors": b"not read",
}
READ = {
    *("config.json", "tokenizer.json", "model.safetensors.index.json"),
    *("model-00001.safetensors", "model-00002.safetensors"),
}
BLOCKS = {"q4.gguf": b"x" * 1_500_000, "big/q8.gguf": b"y" * 3000, "tokenizer.json": b"{}"}
REPO = "someone/little"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(dict(FILES)) as server:
        server.become_the_hub(monkeypatch)
        yield server


def pull(target: Path, **options: Any) -> list[Progress]:
    return list(hub.pull(hub.plan(REPO, **options), target))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_pull_fetches_what_is_read_and_no_more(server: Hub, tmp_path: Path) -> None:
    steps = pull(tmp_path / "deep" / "tiny")
    folder = tmp_path / "deep" / "tiny"
    assert names(folder) == READ | {hub.ORIGIN}
    assert all((folder / name).read_bytes() == FILES[name] for name in READ)
    assert names(folder.parent) == {"tiny"}
    total = sum(len(FILES[name]) for name in READ)
    assert steps[0] == Progress(0, total) and steps[-1] == Progress(total, total)
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert len(steps) > 6  # the large file came in parts
    said = hub.origin(folder)
    assert (said["repo"], said["commit"], set(said["files"])) == (REPO, COMMIT, READ)


def test_plan_names_the_repository_and_what_it_takes(server: Hub) -> None:
    plan = hub.plan(REPO, revision="main")
    assert (plan.name, plan.commit) == ("little", COMMIT)
    assert plan.files[0].name == "config.json"
    assert plan.size == sum(len(FILES[name]) for name in READ)
    assert not server.given


def test_stop_leaves_a_part_that_the_next_pull_goes_on_with(server: Hub, tmp_path: Path) -> None:
    plan = hub.plan(REPO)
    running = hub.pull(plan, tmp_path / "tiny")
    for step in running:
        if step.done > 1_000_000:
            break
    running.close()
    assert names(tmp_path) == {".tiny.part"}
    (growing,) = (tmp_path / ".tiny.part").glob("*.incomplete")
    had = growing.stat().st_size
    assert had > 900_000
    given = dict(server.given)
    steps = pull(tmp_path / "tiny")
    assert names(tmp_path) == {"tiny"}
    assert (tmp_path / "tiny" / "model-00001.safetensors").read_bytes() == WEIGHTS
    assert server.ranges == [("model-00001.safetensors", f"bytes={had}-")]
    again = {name for name, count in server.given.items() if count != given.get(name)}
    assert again == {"model-00001.safetensors", "model-00002.safetensors"}
    assert steps[-1].done == plan.size and steps[1].done > had


@pytest.mark.parametrize("ignores", [False, True])
def test_connection_that_breaks_is_taken_up_again(
    server: Hub, tmp_path: Path, ignores: bool
) -> None:
    server.breaks = {"model-00001.safetensors": 1_200_000}
    server.ignores_ranges = ignores
    if ignores:  # then only one that holds to the end helps
        server.breaks = {"model-00001.safetensors": 3_000_000}
        part = tmp_path / ".tiny.part"
        part.mkdir()
        file = next(one for one in hub.plan(REPO).files if one.name == "model-00001.safetensors")
        (part / hub._growing(file)).write_bytes(b"z" * 500_000)
    pull(tmp_path / "tiny")
    assert (tmp_path / "tiny" / "model-00001.safetensors").read_bytes() == WEIGHTS
    assert len(server.ranges) == (0 if ignores else 2)


def test_hub_that_sends_nothing_more_is_given_up(server: Hub, tmp_path: Path) -> None:
    server.breaks = {"model-00001.safetensors": 0}
    with pytest.raises(EngineError, match="cannot be reached for someone/little"):
        pull(tmp_path / "tiny")
    assert names(tmp_path) == {".tiny.part"}
    assert (tmp_path / ".tiny.part" / "config.json").is_file()


def test_busy_hub_is_asked_again(server: Hub, tmp_path: Path) -> None:
    plan = hub.plan(REPO)
    server.refusals = {"model-00002": (503, "")}
    with pytest.raises(EngineError, match="answers 503 for someone/little"):
        list(hub.pull(plan, tmp_path / "tiny"))
    assert server.refused == 1 + hub._TRIES
    server.refusals = {"model-00002": (404, "EntryNotFound")}
    with pytest.raises(EngineError, match="answers 404"):
        list(hub.pull(plan, tmp_path / "tiny"))
    assert server.refused == 2 + hub._TRIES


def test_damage_is_found_and_not_kept(server: Hub, tmp_path: Path) -> None:
    plan = hub.plan(REPO)
    part = tmp_path / ".tiny.part"
    part.mkdir()
    large = next(file for file in plan.files if file.name == "model-00001.safetensors")
    (part / hub._growing(large)).write_bytes(b"?" + WEIGHTS[1:1_000_000])
    with pytest.raises(
        EngineError, match=r"model-00001\.safetensors did not come as the hub has it"
    ):
        list(hub.pull(plan, tmp_path / "tiny"))
    assert not list(part.glob("*.incomplete"))
    list(hub.pull(plan, tmp_path / "tiny"))
    assert (tmp_path / "tiny" / "model-00001.safetensors").read_bytes() == WEIGHTS


def test_file_that_changed_on_the_hub_is_fetched_anew(server: Hub, tmp_path: Path) -> None:
    running = hub.pull(hub.plan(REPO), tmp_path / "tiny")
    while next(running).done < 1_000_000:
        pass
    running.close()
    server.files |= {"model-00001.safetensors": WEIGHTS[::-1], "config.json": b"{ }"}
    server.commit = COMMIT[::-1]
    pull(tmp_path / "tiny")
    folder = tmp_path / "tiny"
    assert names(folder) == READ | {hub.ORIGIN}
    assert (folder / "model-00001.safetensors").read_bytes() == WEIGHTS[::-1]
    assert (folder / "config.json").read_bytes() == b"{ }"
    assert not server.ranges


def test_file_that_left_the_repository_goes(server: Hub, tmp_path: Path) -> None:
    plan = hub.plan(REPO)
    server.refusals = {"model-00002": (403, "")}
    with pytest.raises(EngineError, match=r"answers 403 .*HF_TOKEN"):
        list(hub.pull(plan, tmp_path / "tiny"))
    server.refusals = {}
    del server.files["tokenizer.json"]
    pull(tmp_path / "tiny")
    assert names(tmp_path / "tiny") == READ - {"tokenizer.json"} | {hub.ORIGIN}


def test_config_is_checked_before_the_weights_come(server: Hub, tmp_path: Path) -> None:
    def check(folder: Path) -> None:
        assert (folder / "config.json").is_file()
        raise EngineError("another architecture")

    with pytest.raises(EngineError, match="another architecture"):
        list(hub.pull(hub.plan(REPO), tmp_path / "tiny", check=check))
    assert set(server.given) == {"config.json"}
    assert not names(tmp_path)


def test_full_disk_is_said_before_anything_comes(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 2_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(InputError, match=r"needs 3\.0 MB, the disk has 2\.0 MB free"):
        pull(tmp_path / "tiny")
    assert not server.given
    plan = hub.plan(REPO)
    large = next(file for file in plan.files if file.name == "model-00001.safetensors")
    (tmp_path / ".tiny.part" / hub._growing(large)).write_bytes(WEIGHTS[:1_500_000])
    pull(tmp_path / "tiny")  # what is there already needs no room


def test_folder_that_cannot_be_written_is_named(server: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*file/\.tiny\.part"):
        pull(tmp_path / "file" / "tiny")


def test_second_pull_at_the_same_time_is_refused(server: Hub, tmp_path: Path) -> None:
    plan = hub.plan(REPO)
    running = hub.pull(plan, tmp_path / "tiny")
    next(running)
    with pytest.raises(EngineError, match="another pull writes to"):
        next(hub.pull(plan, tmp_path / "tiny"))
    running.close()


def test_one_gguf_file_is_taken_with_its_tokenizer(server: Hub, tmp_path: Path) -> None:
    server.files = {name: BLOCKS[name] for name in ("q4.gguf", "tokenizer.json")}
    plan = hub.plan(REPO)
    assert plan.name == "q4"
    list(hub.pull(plan, tmp_path / "q4"))
    assert names(tmp_path / "q4") == {"q4.gguf", "tokenizer.json", hub.ORIGIN}


def test_several_gguf_files_are_listed_with_their_sizes(server: Hub, tmp_path: Path) -> None:
    server.files = dict(BLOCKS)
    with pytest.raises(UsageError) as caught:
        hub.plan(REPO)
    words = f"{REPO} has 2 GGUF files, choose one by --file: "
    assert str(caught.value) == words + "big/q8.gguf (3.0 kB), q4.gguf (1.5 MB)"
    list(hub.pull(hub.plan(REPO, file="big/q8.gguf"), tmp_path / "q8"))
    assert (tmp_path / "q8" / "q8.gguf").read_bytes() == BLOCKS["big/q8.gguf"]
    with pytest.raises(EngineError, match=r"no GGUF file q5\.gguf; it has: big/q8\.gguf, q4\.gguf"):
        hub.plan(REPO, file="q5.gguf")


@pytest.mark.parametrize(
    ("repo", "revision", "words", "kind"),
    [
        ("someone/else", None, "no such repository: someone/else at http://127", EngineError),
        (REPO, "gone", "someone/little has no revision gone", EngineError),
        ("a/b/c", None, "no repository's name: 'a/b/c'", UsageError),
        ("../up", None, "no repository's name", UsageError),
    ],
)
def test_repository_that_is_not_there_is_named(
    server: Hub, repo: str, revision: str | None, words: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match=words):
        hub.plan(repo, revision=revision)


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ((401, "GatedRepo"), "is gated: agree to its terms at .*/someone/little, and set HF_TOKEN"),
        ((403, "GatedRepo"), "is gated"),
        ((403, ""), r"answers 403 for someone/little \(does HF_TOKEN allow it\?\)"),
        ((401, "RepoNotFound"), "no such repository"),
        ((418, ""), "answers 418"),
    ],
)
def test_refusal_is_one_line(server: Hub, refusal: tuple[int, str], words: str) -> None:
    for where in ("/api/", "/resolve/"):
        server.refusals = {where: refusal}
        with pytest.raises(EngineError, match=words) as caught:
            hub.plan(REPO)
        assert "\n" not in str(caught.value)


def test_token_is_sent(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.token = "hf_secret"
    with pytest.raises(EngineError, match="gated"):
        hub.plan(REPO)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull(tmp_path / "tiny")
    assert names(tmp_path) == {"tiny"}


def test_hub_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9/")
    with pytest.raises(EngineError, match=r"http://127\.0\.0\.1:9 cannot be reached for a/b"):
        hub.plan("a/b")


def test_offline_is_heeded(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EngineError, match="HF_HUB_OFFLINE is set"):
        hub.plan(REPO)


def test_server_that_is_no_hub_is_named(server: Hub) -> None:
    server.refusals = {"/api/": (200, "")}
    with pytest.raises(EngineError, match="does not answer as a hub"):
        hub.plan(REPO)


def test_fault_19_split_gguf_is_fetched_as_one(server: Hub, tmp_path: Path) -> None:
    parts = {f"q4/m-{number:05}-of-00002.gguf": b"x" * number for number in (1, 2)}
    server.files = {**parts, "q8.gguf": b"y"}
    plan = hub.plan(REPO, file="q4/m-00001-of-00002.gguf")
    list(hub.pull(plan, tmp_path / plan.name))
    assert names(tmp_path / "m") == {*(name[3:] for name in parts), hub.ORIGIN}
    with pytest.raises(UsageError, match="choose one by --file"):
        hub.plan(REPO)
    server.files = parts
    assert hub.plan(REPO).name == "m"


@pytest.mark.parametrize("name", ["sub/.hidden.gguf", "a\\b.gguf"])
def test_name_that_leads_elsewhere_is_refused(server: Hub, name: str) -> None:
    server.files = {name: b"x"}
    with pytest.raises(EngineError, match="impossible name"):
        hub.plan(REPO)


@pytest.mark.parametrize("text", ["", "[]", '{"repo": 1}', "\udcff"])
def test_origin_of_a_folder_that_says_nothing_is_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / hub.ORIGIN).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert hub.origin(tmp_path) == {"repo": "", "commit": "", "files": {}}


def test_etag_leads_nowhere() -> None:
    assert "/" not in hub._growing(hub.RemoteFile("a", "", 1, "../../etc"))
