"""What is offered in the chat fits into what Telegram takes, however many models there are and whatever their names."""

from swapper.telegram.catalog import Model
from swapper.telegram.commands import PAGE, PRESS, Reply, choice, page
from swapper.telegram.text import LIMIT, units


def models(count: int, name: str = "model-{}") -> list[Model]:
    names = [name.format(number) for number in range(count)]
    return [Model(one, frozenset({one}), "ready", frozenset({"chat"})) for one in names]


def test_all_of_a_few_models_are_on_one_page() -> None:
    reply = choice(models(3), "model-1")
    assert reply.text == "model-1 answers here. Choose another:"
    assert [label for label, _ in reply.buttons] == ["🟢 model-0", "🟢 model-1 ✓", "🟢 model-2"]


def test_each_of_many_models_is_on_one_page() -> None:
    many = models(200)
    pages = [choice(many, "model-0", number) for number in range(5)]
    offered = [data for reply in pages for _, data in reply.buttons if page(data) is None]
    assert offered == [PRESS + model.token for model in many]
    assert len(set(offered)) == 200
    turns = [[page(data) for _, data in reply.buttons if page(data) is not None] for reply in pages]
    assert turns == [[1], [0, 2], [1, 3], [2, 4], [3]]
    assert "page 5 of 5" in pages[4].text


def test_the_list_opens_where_the_model_that_answers_stands() -> None:
    assert "page 3 of 5" in choice(models(200), f"model-{2 * PAGE}").text
    assert "page 1 of 5" in choice(models(200), "gone").text
    assert "page 2 of 2" in choice(models(PAGE + 1), "model-0", 99).text, "there were more when the button was made"


def test_names_of_any_length_and_kind() -> None:
    for reply in (choice(models(200, "{}" + "ü" * 300), ""), choice(models(200, "x" * 300 + "{}"), "")):
        assert len(reply.buttons) <= 100
        assert all(1 <= len(data.encode()) <= 64 for _, data in reply.buttons)
        assert all(len(label) < 70 for label, _ in reply.buttons)
        assert len({label for label, _ in reply.buttons}) == len(reply.buttons), "they can be told apart"


def test_data_that_turns_no_page() -> None:
    assert page(f"{PRESS}page 3") == 3
    assert [page(data) for data in (f"{PRESS}page ", f"{PRESS}page -1", f"{PRESS}page ²", f"{PRESS}abc", "page 3")] == [
        None
    ] * 5


def test_an_answer_that_is_too_long_is_several_messages() -> None:
    pieces = Reply("\n".join(f"⚪ model-{number}: stopped" for number in range(500))).pieces
    assert len(pieces) > 1
    assert all(units(piece.plain) <= LIMIT for piece in pieces)
    assert "".join(piece.plain for piece in pieces).count("stopped") == 500
    assert all(units(piece.plain) <= LIMIT for piece in Reply("😀" * 4000).pieces)
