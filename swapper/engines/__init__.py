"""What one engine needs: its command line, its environment, where its health is asked, which files it reads.

Rule of this room: one small file for each engine, and no engine knows of the router. With a template unit of the same
name, such a file is all that a new engine takes.
"""

from collections.abc import Mapping

from swapper.engines.base import Engine, Launch
from swapper.engines.llama import Llama
from swapper.engines.speech import Speech
from swapper.engines.vllm import Vllm

ENGINES: Mapping[str, Engine] = {engine.name: engine for engine in (Llama(), Vllm(), Speech())}

__all__ = ["ENGINES", "Engine", "Launch"]
