"""docs/migration.md, the part on Ollama: its weights served from where they are, and its settings as ours."""

import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from swapper.config import load
from tests.job import house
from tests.job.house import ask, chat, configure, question, run, sentence, state
from tests.lab.gguf import write_model
from tests.media.sight import write_models
from tests.test_house import SOURCE

PAGE = (SOURCE / "docs" / "migration.md").read_text().partition("## From Ollama")[2]
HOME = Path("/usr/share/ollama")
BLOBS = HOME / ".ollama" / "models" / "blobs"
"""Where Ollama's installer has it keep weights."""

CONF = Path("/etc/swapper/conf.d")
TEMPLATE = "{% for message in messages %}{{ message['content'] }} {% endfor %}"


@pytest.fixture(autouse=True)
def _ollama() -> Iterator[None]:
    BLOBS.mkdir(parents=True)
    yield
    shutil.rmtree(HOME)
    for file in CONF.glob("*.yaml"):
        file.unlink()


def blob(file: Path) -> Path:
    """A file as Ollama keeps it: called by its digest, and nothing else."""
    kept = BLOBS / f"sha256-{hashlib.sha256(file.read_bytes()).hexdigest()}"
    shutil.move(file, kept)
    kept.chmod(0o644)
    return kept


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    write_model(tmp_path / "weights", sentence("llama3.2"))
    return blob(tmp_path / "weights")


def typed(weights: Path) -> list[str]:
    """What the page says to type here, with the weights that there are."""
    commands = re.finditer(r"^    (swapperctl .+)$", PAGE, re.MULTILINE)
    return [re.sub(r"/usr/share/ollama/\S+", str(weights), command[1]) for command in commands]


def test_weights_are_served_from_where_they_are(weights: Path) -> None:
    adds, chats = typed(weights)
    assert str(weights) in adds
    assert run("bash", "-c", adds).startswith("llama3.2: llama, llama, ")
    assert run("bash", "-c", chats) == f"{sentence('llama3.2')}\n"
    for name in ("llama3.2", "llama3.2:latest"):
        answer = ask("POST", "/v1/chat/completions", question(name), {"Authorization": "Bearer ollama"})
        assert answer.content == sentence("llama3.2"), "clients of Ollama send some key, since they must"
    assert "llama3.2" in {model["id"] for model in ask("GET", "/v1/models").json["data"]}
    run("swapperctl", "unload", "llama3.2")
    weights.unlink()
    assert ask("POST", "/v1/chat/completions", question("llama3.2")).error["code"] == "model_incomplete"
    assert state("llama3.2") == "incomplete"


def test_a_home_that_is_closed_is_opened_by_what_it_says(weights: Path) -> None:
    HOME.chmod(0o750)
    weights.chmod(0o640)
    adds, chats = typed(weights)
    for closed in (weights, HOME):
        said = run("bash", "-c", adds, check=False)
        assert f"chmod a+rX {closed}\n" in said
        run("chmod", "a+rX", str(closed))
    run("bash", "-c", adds)
    assert run("bash", "-c", chats) == f"{sentence('llama3.2')}\n"


def test_a_model_that_sees_is_two_files() -> None:
    write_models()
    model, projector = (blob(house.MODELS / name) for name in ("eye.gguf", "vision.mmproj.gguf"))
    assert "is a projector" in run("swapperctl", "add", str(projector), check=False)
    (line,) = re.findall(r"`(mmproj: [^`]+)`", PAGE)
    entry = f"  eye: {{engine: llama, model: {model}, context: 4096, {re.sub(r'/\S+', str(projector), line)}}}\n"
    configure(house.BASIC + entry)
    seen = {model["id"]: model for model in ask("GET", "/v1/models").json["data"]}["eye"]
    assert "vision" in seen["capabilities"]
    assert chat("eye").content == sentence("eye")


def settings() -> dict[str, str]:
    """The page's table: what a Modelfile or Ollama's environment says, and what becomes of it."""
    rows = re.findall(r"^\| `(.+?)` .*?\| (.+) \|$", PAGE, re.MULTILINE)
    return dict(rows)


def test_every_setting_of_the_table_is_one_of_ours(weights: Path, tmp_path: Path) -> None:
    template = tmp_path / "template.jinja"
    template.write_text(TEMPLATE)
    tmp_path.chmod(0o755)
    found = [each for right in settings().values() for each in re.findall(r"`(\w+: [^`]+)`", right)]
    ours = [each.replace("FILE", str(template)) for each in found if not each.startswith("gpus")]
    assert {each.partition(":")[0] for each in ours} >= {"context", "filters", "args", "ttl", "concurrency"}
    (gpus,) = (each for each in found if each.startswith("gpus"))
    file = tmp_path / "a.yaml"
    file.write_text(f"{gpus}\nmodels:\n  x: {{engine: llama, model: {weights}, {', '.join(ours)}}}\n")
    (model,) = load(file).models
    assert (model.context, model.ttl, model.concurrency) == (8192, 300, 4)
    assert model.args == ("--chat-template-file", str(template))
    assert model.filters is not None
    assert model.filters.set == (("temperature", "0.7"),)


def test_ollamas_own_api_is_not_here() -> None:
    for path in ("/api/chat", "/api/generate", "/api/tags", "/api/embed"):
        assert ask("POST", path, {"model": "alpha", "prompt": "Hello!"}).status in {404, 405}
    assert json.loads(run("curl", "--silent", shlex.quote("http://localhost:8000/api/tags")))["error"]["code"]
