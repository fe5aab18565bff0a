"""What every test may use."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Machines are shared: slowness is no failure of a law. The same examples each time, so that a change is
# judged by what it changed; look for new ones with  pytest --hypothesis-profile exploring
settings.register_profile("exploring", deadline=None)
settings.register_profile("patient", deadline=None, derandomize=True)
settings.load_profile("patient")

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
PEER = ROOT / "benchmarks" / ".peer" / "bin" / "python"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("no real data beside this checkout")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What commands remember is not kept in the home of who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the peer is, for the tests marked `peer`."""
    parser.addoption("--peer-python", help="Python of an environment with nnU-Net 2.8.1 (benchmarks/peer.sh)")


@pytest.fixture(scope="session")
def peer_python(request: pytest.FixtureRequest) -> str:
    """The Python that has nnU-Net, named or in `benchmarks/.peer`; skips where there is none."""
    named = request.config.getoption("--peer-python") or (str(PEER) if PEER.exists() else None)
    if named is None:
        pytest.skip("no nnU-Net here: make one with benchmarks/peer.sh, or name its Python: --peer-python")
    return str(named)
