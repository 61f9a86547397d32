"""Which voices there are, as espeak-ng 1.52 lists them, and what a name becomes."""

import pytest

from swapper.speech.refusal import Refusal
from swapper.speech.voices import OPENAI, Voices, read_languages, read_variants

LANGUAGES = """\
Pty Language       Age/Gender VoiceName          File                 Other Languages
 5  cmn             --/M      Chinese_(Mandarin,_latin_as_English) sit/cmn              (zh-cmn 5)(zh 5)
 5  de              --/M      German             gmw/de               \n\
 2  en-gb           --/M      English_(Great_Britain) gmw/en               (en 2)
 2  en-us           --/M      English_(America)  gmw/en-US            (en 3)
 5  chr-US-Qaaa-x-west --/M      Cherokee_          iro/chr              \n\
"""
VARIANTS = """\
Pty Language       Age/Gender VoiceName          File                 Other Languages
 5  variant         --/M      Mr_Serious         !v/Mr serious        \n\
 5  variant         --/M      Storm              !v/Storm             (en-us 5)
 5  variant         --/F      female3            !v/f3                \n\
 5  variant         70/M      male1              !v/m1                \n\
"""
VOICES = Voices(read_languages(LANGUAGES), read_variants(VARIANTS), "de")


def test_what_espeak_lists() -> None:
    assert VOICES.languages == {"cmn", "zh-cmn", "zh", "de", "en-gb", "en", "en-us", "chr-US-Qaaa-x-west"}
    assert VOICES.variants == {"Mr serious", "Storm", "f3", "m1"}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("nova", "de+f3"),
        ("Nova", "de+f3"),
        ("f3", "de+f3"),
        ("mr serious", "de+Mr serious"),
        ("de", "de"),
        ("EN-GB", "en-gb"),
        ("zh+storm", "zh+Storm"),
        ("chr-us-qaaa-x-west+F3", "chr-US-Qaaa-x-west+f3"),
    ],
)
def test_a_voice(wanted: str, found: str) -> None:
    assert VOICES.resolve(wanted) == found


@pytest.mark.parametrize(
    "wanted", ["", "+", "de+", "+f3", "xx", "de+xx", "alloy", "de+f3+f3", "-v", "--help", "../de", "de\0", "nova+f3"]
)
def test_no_voice(wanted: str) -> None:
    with pytest.raises(Refusal, match="There are: ash, nova; languages, such as de") as refused:
        VOICES.resolve(wanted)
    assert (refused.value.code, refused.value.status, refused.value.param) == ("voice_unknown", 400, "voice")


def test_openais_voices_are_all_different() -> None:
    assert len(set(OPENAI.values())) == len(OPENAI)
