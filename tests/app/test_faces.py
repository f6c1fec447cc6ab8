"""What the faces are started with: folders, single checkpoints, a bare backbone; nothing is served here."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

import dcal
from dcal.errors import DCALError
from dcal_explorer.cli.faces import dashboard_options, demo, folders_given, refuse_both, serve_dashboard
from dcal_explorer.cli.shown_models import gathered
from dcal_explorer.content.checkpoints import CheckpointLibrary
from tests.fixtures.ablations import write_ablations

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ablations(tmp_path_factory.mktemp("four"))


def test_single_checkpoints_and_a_backbone_are_one_folder(folder: Path, tmp_path: Path) -> None:
    weights = tmp_path / "vit.safetensors"
    save_file(timm.create_model("test_vit", num_classes=0).state_dict(), weights)
    with gathered([folder / "oak", folder / "ash"], "test_vit", weights) as gathered_in:
        assert gathered_in is not None
        library = CheckpointLibrary(gathered_in)
        assert sorted(library.names()) == ["ash", "oak", "test_vit"]
        assert dcal.fingerprint(library.model("oak")) == dcal.fingerprint(dcal.load(folder / "oak"))
        bare = library.model("test_vit")
        assert bare.config.task == "reid" and bare.config.ablation == "sa_only"
    assert not gathered_in.exists() and (folder / "oak" / "config.json").is_file()
    with gathered([], None, None) as nothing:
        assert nothing is None


def test_what_cannot_be_shown(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DCALError, match=r"holds no config.json"), gathered([tmp_path], None, None):
        pass
    with pytest.raises(DCALError, match="two checkpoints are called oak"), gathered([folder / "oak"] * 2, None, None):
        pass
    with pytest.raises(DCALError, match="--weights are a --backbone's"), gathered([], None, tmp_path):
        pass
    with pytest.raises(DCALError, match="give one kind"):
        refuse_both("checkpoints")
    with pytest.raises(DCALError, match="give one kind"):
        demo(["--checkpoint", str(folder / "oak"), "--checkpoints", str(folder)])


def test_the_dashboard_is_served_as_the_checkouts_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed elsewhere there is no .streamlit/config.toml: the command says the same."""
    flags: list[str] = []
    monkeypatch.setattr("streamlit.web.cli.main", lambda words, **_: flags.extend(words[2:]))
    serve_dashboard(dashboard_options(["--no-browser"]))
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    kept = {f"{part}.{name}": value for part, own in settings.items() for name, value in own.items() if part != "theme"}
    kept |= {f"theme.{kind}.{name}": value for kind, own in settings["theme"].items() for name, value in own.items()}
    written = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in kept.items()}
    assert dict(flag.removeprefix("--").split("=", 1) for flag in flags) == written
    assert written["runner.postScriptGC"] == "false"


def test_the_dashboards_folders(folder: Path, tmp_path: Path) -> None:
    words = ["--checkpoints", str(folder), "--data_root", str(tmp_path), "--port", "8600", "--no-browser"]
    options = dashboard_options(words)
    assert (options.port, options.browser) == (8600, False)
    assert folders_given(options) == {"DCAL_CHECKPOINTS": str(folder), "DCAL_DATA_ROOT": str(tmp_path)}
    with pytest.raises(DCALError, match=r"--runs .*gone: there is no such folder"):
        folders_given(dashboard_options(["--runs", str(tmp_path / "gone")]))
