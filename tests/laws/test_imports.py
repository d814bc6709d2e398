"""Everything imports; the check path needs no torch."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import textwrap

import tocsin

FRAMEWORKS = ("lightning", "pytorch_lightning", "transformers", "accelerate")
NEEDS_TORCH = tuple(
    f"tocsin.{room}" for room in ("recorder", "ledger", "probes", "integrations", "prechecks", "studies", "ui")
)


def python(code: str) -> str:
    """Standard output of a fresh interpreter, warnings as errors."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def every_module() -> list[str]:
    return sorted(m.name for m in pkgutil.walk_packages(tocsin.__path__, "tocsin.") if not m.name.endswith("__main__"))


def test_every_submodule_imports_and_then_every_public_name_exists():
    for name in every_module():
        importlib.import_module(name)
    for name in tocsin.__all__:
        assert getattr(tocsin, name) is not None
    # A submodule named like a public function would have replaced it by now.
    assert all(callable(getattr(tocsin, name)) for name in ("watch", "check", "read", "rule"))


def test_only_the_rooms_that_need_torch_import_it():
    modules = [name for name in every_module() if not name.startswith(NEEDS_TORCH)]
    assert "tocsin.engine" in modules
    python(f"""
        import importlib, sys
        for heavy in ("torch", "lightning_fabric", "ray", "pydantic_settings", *{FRAMEWORKS}):
            sys.modules[heavy] = None
        for name in {modules!r}:
            importlib.import_module(name)
    """)


def test_check_and_its_report_never_import_torch():
    python(f"""
        import sys
        import tocsin
        report = tocsin.check(tocsin.Run.of(series={{"train/loss": [3.0, 2.0, float("nan")]}}))
        assert str(report)
        assert report.to_json()["schema"]
        loaded = {{"torch", "lightning_fabric", "pandas", "matplotlib", *{FRAMEWORKS}}} & set(sys.modules)
        assert not loaded, loaded
    """)


def test_without_torch_watch_says_what_to_install():
    said = python("""
        import sys
        sys.modules["torch"] = None
        import tocsin
        try:
            tocsin.watch
        except ModuleNotFoundError as error:
            print(error)
    """)
    assert said.strip() == "tocsin.watch needs PyTorch: pip install 'tocsin[torch]'"


def test_without_the_frameworks_all_that_needs_torch_imports_and_a_callback_says_what_to_install():
    modules = [name for name in every_module() if not name.startswith(("tocsin.studies", "tocsin.ui"))]
    said = python(f"""
        import importlib, sys
        for framework in {FRAMEWORKS}:
            sys.modules[framework] = None
        for name in {modules!r}:
            importlib.import_module(name)
        from tocsin.integrations.lightning import TocsinCallback
        try:
            TocsinCallback()
        except ModuleNotFoundError as error:
            print(error)
    """)
    assert said.strip() == "TocsinCallback needs Lightning: pip install 'tocsin[lightning]'"


def test_watching_a_loop_of_torch_loads_no_framework():
    python(f"""
        import sys
        import torch, tocsin
        net = torch.nn.Linear(1, 1)
        with tocsin.watch(net, torch.optim.SGD(net.parameters(), 0.1), enabled=False) as run:
            run.losses(total=1.0)
        assert not set({FRAMEWORKS}) & set(sys.modules)
    """)
