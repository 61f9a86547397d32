"""Every key of swapper.yaml: what may stand behind it, and what it is for.

Said here and nowhere else: the reader (`read.py`, `models.py`) takes what stands in these tables, `documents/` makes
the schema for editors and swapper.yaml(5) of them. Sentences are for whoever writes that file. What is usual comes
from the types that it is read into; what one engine refuses, from `vocabulary.py`.
"""

from swapper.config.hosts import HOST, ORIGIN, PEER
from swapper.config.kinds import (
    FLAG,
    MEMORY,
    PATH,
    RELATIVE,
    SHARE,
    SIZE,
    TEXT,
    TIME,
    TIME_OR_NEVER,
    anything,
    but,
    each,
    number,
    variables,
    word,
)
from swapper.config.names import NAME
from swapper.config.settings import DRAIN_TIMEOUT, LOAD_TIMEOUT, MODELS_DIR, Media, RouterSettings
from swapper.config.table import Key, Kind, Part, Several, Table
from swapper.config.vocabulary import CAPABILITIES, ENGINES, NOT_FILTERED, ON_SWAP, PRIORITIES, VARIABLE, VARIABLES
from swapper.core.model import TURNS, Policy

_MEDIA, _ROUTER = Media(), RouterSettings()

ENGINE = word(tuple(ENGINES))
INDEX = number(least=0, words="index")
KEY_NAME = Kind("name", TEXT.schema, TEXT.read)
NAMES = each(NAME, "list of names")


class FilterKeys(Table):
    """`filters:` of a model."""

    set = Key(anything(NOT_FILTERED), (), "Keys with their values; they take the place of what the client sent.")
    strip = Key(each(but(TEXT, NOT_FILTERED), "list of keys"), (), "Keys that are taken out.")


class ModelKeys(Table):
    """A model."""

    engine = Key(ENGINE, None, "What runs it: `llama` (llama.cpp's llama-server), `vllm`, or `speech` (espeak-ng).")
    model = Key(
        RELATIVE,
        None,
        "Its weights: a GGUF file for `llama` (the first one, if it is split), a directory in the layout of the "
        "Hugging Face hub for `vllm`. A relative path begins in `models_dir`. While files are missing, the model is "
        "`incomplete`; it answers once they are there.",
    )
    mmproj = Key(RELATIVE, None, "The projector that lets it see or hear: a GGUF file.")
    context = Key(number(least=1), None, "Tokens that it can keep in mind. If not said, its engine decides.")
    images = Key(number(least=0), None, "Most pictures in one prompt; `0` for none. If not said, its engine decides.")
    aliases = Key(NAMES, (), "Further names that it answers to. No two models share one.")
    capabilities = Key(
        each(word(sorted(CAPABILITIES)), "list of words"),
        (),
        "What it can do, where that is not evident. A request for something else is refused, and does not load it. "
        f"The words are {', '.join(f'`{each}`' for each in sorted(CAPABILITIES))}.",
    )
    gpu = Key(
        each(INDEX, "index | list of indexes", once=True),
        (0,),
        "The GPUs that it is pinned to, as nvidia-smi counts them (PCI bus order): `1`, `[0, 1]`, or `[]` for none. "
        "An administrator's `systemctl edit` of its unit wins.",
    )
    gpu_memory = Key(
        MEMORY,
        None,
        "What it takes of each of its GPUs; all, if not said. In bytes it needs the GPU's `memory`. It counts where "
        "models share a GPU (`policy: pack`), and is the limit that `vllm` is given.",
    )
    args = Key(each(TEXT, "list of texts"), (), "Further arguments for the engine, passed on as they are.")
    env = Key(variables(VARIABLE, VARIABLES), (), "Further environment for the engine.")
    ttl = Key(
        TIME_OR_NEVER,
        None,
        "Stops it after so long without requests. If not said, or `never`, it stays until its place is wanted.",
    )
    preload = Key(FLAG, False, "Loads it with the router, before anybody asks for it, from boot on.")
    pinned = Key(FLAG, False, "It is never stopped to make room for another model.")
    load_timeout = Key(
        TIME, LOAD_TIMEOUT, "Longest time from its start to its first answer; the unit's `TimeoutStartSec=`."
    )
    drain_timeout = Key(TIME, DRAIN_TIMEOUT, "Longest time that others wait for its requests to end.")
    concurrency = Key(
        number(least=1),
        None,
        "Most requests that reach its engine at once; for `llama` the number of its slots. If not said, what the "
        "engine has slots for.",
    )
    queue = Key(
        number(least=0),
        None,
        "Most requests that wait beside those; more are refused with status 429. If not said, there is no limit.",
    )
    queue_timeout = Key(
        TIME_OR_NEVER,
        None,
        "Longest time that a request waits before it is turned away with status 503 and `Retry-After`. If not said, or "
        "`never`, there is no limit.",
    )
    priority = Key(
        word(tuple(PRIORITIES)),
        "normal",
        "Who is served first among those who wait for the same GPU: a step counts as 30 s of waiting.",
    )
    on_swap = Key(
        word(ON_SWAP),
        ON_SWAP[0],
        "What becomes of it when another model needs its place. `park`: it gives its GPU memory back and stays, within "
        "`park_memory` of the host's, and wakes in seconds. It keeps some hundred MB of its GPU: leave room for them "
        "in the `gpu_memory` of all.",
    )
    park_level = Key(
        number(least=1, most=2),
        1,
        "What a parked model keeps: `1` its weights, in host memory; `2` nothing, they are read again.",
    )
    filters = Part(
        FilterKeys,
        "Keys of JSON requests, the topmost ones, that are changed on their way to it. "
        f"{' and '.join(f'`{key}`' for key in NOT_FILTERED)} are left alone.",
    )
    keep_conversations = Key(
        FLAG,
        False,
        "What was said outlasts a swap and a stop, in /var/cache/swapper/conversations, and its prompt is not paid "
        "again.",
    )
    loading_message = Key(FLAG, False, "Chats that stream see what they wait for, as the model's reasoning.")
    network = Key(FLAG, False, "The engine sees the network. Otherwise it has none.")
    memory_max = Key(SIZE, None, "Limit of host memory, the unit's `MemoryMax=`. If not said, there is none.")


class GpuKeys(Table):
    """A GPU."""

    policy = Key(
        word([policy.value for policy in Policy]),
        Policy.EXCLUSIVE.value,
        "How models share it. `exclusive`: one at a time, asking for another swaps them. `pack`: as many as fit, by "
        "each model's `gpu_memory`.",
    )
    memory = Key(SIZE, None, "How much memory it has; models can say `gpu_memory` in bytes then.")


class TurnKeys(Table):
    """`turns:`."""

    min_hold = Key(TIME, TURNS.min_hold, "Time for which a model that is busy keeps its place, at least.")
    swap_share = Key(
        SHARE, TURNS.swap_share, "Part of the time that swaps take at most while several models are always busy."
    )


class GroupKeys(Table):
    """A group. It says one of the two."""

    never_together = Key(NAMES, (), "One of these models is loaded at a time, on whatever GPUs they are, or on none.")
    always_together = Key(
        NAMES,
        (),
        "These models are loaded as one and leave as one: a request for one of them brings all. They have to fit on "
        "their GPUs together.",
    )


class EngineKeys(Table):
    """Where an engine is."""

    path = Key(PATH, None, "The program itself. If not said, it is looked for.")
    search = Key(each(PATH, "list of paths"), (), "Directories to look in before the usual ones.")


class MediaKeys(Table):
    """`media:`."""

    allow = Key(
        each(PEER, "list of hosts"),
        _MEDIA.allow,
        "Host names, addresses and networks, perhaps with a port, that may be asked although they are private.",
    )
    max_bytes = Key(SIZE, _MEDIA.max_bytes, "Largest download.")
    timeout = Key(TIME, _MEDIA.timeout, "Longest download.")


class RouterKeys(Table):
    """`router:`."""

    max_body = Key(SIZE, _ROUTER.max_body, "Largest request.")
    idle_exit = Key(
        TIME_OR_NEVER,
        _ROUTER.idle_exit,
        "With no model running, the router ends after so long; the next request starts it again.",
    )
    read_ahead = Key(
        FLAG,
        _ROUTER.read_ahead,
        "Files of a model and its engine are read from disk while the one before it makes room.",
    )
    early_start = Key(
        FLAG,
        _ROUTER.early_start,
        "vLLM is started while the model before it still answers, and waits for its GPU (0.7 GB of host memory each).",
    )
    park_memory = Key(
        SIZE,
        None,
        "Host memory that parked models take together, at most; half of all, if not said. Whoever was parked first "
        "goes first.",
    )
    spool = Key(
        PATH,
        _ROUTER.spool,
        "Where large requests are kept while they arrive: on a disk. Elsewhere its unit needs `ReadWritePaths=`, by "
        "`systemctl edit swapper`.",
    )
    header_timeout = Key(TIME, _ROUTER.header_timeout, "Longest wait for a request's head.")
    body_timeout = Key(TIME, _ROUTER.body_timeout, "Longest pause within a request's body.")
    idle_timeout = Key(TIME, _ROUTER.idle_timeout, "How long a client's connection is kept between requests.")
    hosts = Key(
        each(HOST, "list of hosts"),
        _ROUTER.hosts,
        "Names, beside addresses and localhost, by which the port may be called while there are no API keys.",
    )
    origins = Key(
        each(ORIGIN, "list of origins"),
        _ROUTER.origins,
        "Web pages that may use the port from a browser, such as `https://chat.example.com`; `*` for all. None, if not "
        "said.",
    )


class ApiKeyKeys(Table):
    """What is said of an API key."""

    concurrency = Key(number(least=1), None, "Most requests at once. If not said, there is no limit.")
    priority = Key(
        word(tuple(PRIORITIES)), "normal", "As of a model; a request counts the steps of its key and of its model."
    )


class TopKeys(Table):
    """swapper.yaml."""

    models_dir = Key(PATH, MODELS_DIR, "Where relative paths of models begin.")
    models = Several(
        NAME,
        ModelKeys,
        "Models by name. The name, and each alias, is what clients write as `model`. A model stands in one file only.",
    )
    gpus = Several(INDEX, GpuKeys, "GPUs by their number in nvidia-smi. One that is not listed is `exclusive`.")
    turns = Part(TurnKeys, "How models that want the same GPU take turns.")
    groups = Several(NAME, GroupKeys, "Models that are never there together, and models that always are, by name.")
    profiles = Several(
        NAME,
        NAMES,
        "Sets of models that are to be there together, by name: swapper-profile@.target(8) loads them. They have to "
        "fit on their GPUs together.",
    )
    engines = Several(ENGINE, EngineKeys, "Where the programs of engines are, by engine.")
    media = Part(MediaKeys, "What the router may fetch for a request that names pictures or sound by URL.")
    router = Part(RouterKeys, "Limits and habits of the router.")
    keys = Several(
        KEY_NAME,
        ApiKeyKeys,
        "What is said of API keys, by their names; the keys themselves are credentials, see swapper.service(8).",
    )
