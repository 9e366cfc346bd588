import hashlib
import re
import zipfile
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from book.tools import voices as extraction
from minattn.tasks.voices import RATE, VOICES, WORDS, compress, expand, recordings

FOLDER = resources.files("minattn.tasks")


def stored():
    with np.load(FOLDER / "voices.npz") as found:
        return found["codes"], found["lengths"]


def test_the_file_is_the_one_that_everything_was_measured_on():
    codes, lengths = stored()
    digest = hashlib.sha256(codes.tobytes() + lengths.astype("<i4").tobytes()).hexdigest()
    assert digest[:16] == "7258a3cad44c0899"
    assert codes.dtype == np.int8 and lengths.sum() == len(codes)
    assert len(FOLDER.joinpath("voices.npz").read_bytes()) < 400_000


@pytest.mark.parametrize("voice", VOICES)
def test_every_voice_says_every_word_as_loud(voice):
    found = recordings(voice)
    assert tuple(found) == WORDS and len(set(WORDS)) == 22
    for clip in found.values():
        assert clip.dtype == np.float32 and np.abs(clip).max() == 1
        assert 0.3 * RATE < len(clip) < 1.3 * RATE


def test_recordings_begin_and_end_with_the_word():
    """Within a tenth of a second from both ends there is more than the quiet in the middle of nowhere."""
    for voice in VOICES:
        for word, clip in recordings(voice).items():
            steps = np.diff(clip) ** 2
            loudest = steps[: len(steps) // 80 * 80].reshape(-1, 80).mean(1).max()
            for end in (steps[:800], steps[-800:]):
                windows = end.reshape(-1, 80).mean(1)
                assert windows.max() > 10 ** (-3.4) * loudest, (voice, word)


def test_the_codec_changes_the_first_speaker_a_little():
    june, coded = recordings("june"), recordings("june_gsm")
    for word in WORDS:
        assert len(june[word]) == len(coded[word])
        assert np.corrcoef(june[word], coded[word])[0, 1] > 0.9
        assert np.abs(june[word] - coded[word]).max() > 0.05


def test_nobody_can_change_a_recording():
    with pytest.raises(ValueError, match="read-only"):
        recordings("june")["un"][0] = 1
    with pytest.raises(TypeError):
        recordings("june")["un"] = np.zeros(3)


def test_eight_bits_are_finer_near_zero():
    sound = np.linspace(-1, 1, 2001)
    code = compress(sound)
    assert code.dtype == np.int8 and (code.min(), code.max()) == (-127, 127)
    assert (compress(expand(code)) == code).all()
    error = np.abs(expand(code) - sound)
    assert (error <= 0.0225 * np.abs(sound) + 1e-4).all()
    assert error.max() > 5e-3 > 1e-4 > error[np.abs(sound) < 0.002].max()


@pytest.mark.rejects
def test_a_voice_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="june, armelle, june_gsm, got 'allison'"):
        recordings("allison")


def test_the_licences_of_both_speakers_lie_beside_the_recordings():
    words = " ".join(FOLDER.joinpath("voices.LICENSE").read_text(encoding="utf-8").split())
    for part in [
        "Copyright: 2006-2008, June Wallack License: CC-BY-SA-3.0",
        "https://creativecommons.org/licenses/by-sa/3.0/legalcode",
        "They were changed: number words were chosen",
        "Voice actor: Armelle Desjardins",
        "Copyright (C) 2006 Michel Gutierrez",
        "1. Redistributions must retain the above copyright notice",
        "2. Neither the name of the Indigen Solutions nor",
        "EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.",
    ]:
        assert part in words
    assert "GNU" not in words  # Debian's own packaging, of which nothing is taken


def test_the_recordings_and_their_licences_are_in_the_wheel(tmp_path):
    flit = pytest.importorskip("flit_core.wheel")
    project = Path(__file__).parents[2] / "pyproject.toml"
    with zipfile.ZipFile(flit.make_wheel_in(project, tmp_path).file) as archive:
        for name in ["voices.npz", "voices.LICENSE"]:
            assert archive.read(f"minattn/tasks/{name}") == FOLDER.joinpath(name).read_bytes()
        (about,) = (n for n in archive.namelist() if n.endswith("dist-info/METADATA"))
        (licence,) = re.findall("License-Expression: (.*)", archive.read(about).decode())
        assert {"MIT", "CC-BY-SA-3.0", "LicenseRef-Armelle"} <= set(licence.split(" AND "))


# The script that extracts the recordings ----------------------------------------------------------

TIME = np.arange(RATE) / RATE


def a_word(start, end, hertz=1000):
    """One second of faint noise with a tone in it."""
    noise = 1e-4 * np.random.default_rng(0).standard_normal(RATE)
    return noise + 0.5 * np.sin(2 * np.pi * hertz * TIME) * (start <= TIME) * (end > TIME)


def test_a_recording_is_cut_where_the_word_begins_and_ends():
    found = extraction.trimmed(a_word(0.3, 0.7), quiet=-30, guard=0)
    assert 0.4 * RATE <= len(found) <= 0.44 * RATE
    assert (np.abs(found[: extraction.WINDOW // 2]) < 1e-3).all()


def test_a_click_at_the_edge_is_not_taken_for_the_word():
    sound = a_word(0.3, 0.7)
    sound[10:20] = 1
    assert len(extraction.trimmed(sound, -30, guard=0)) > 0.6 * RATE
    assert len(extraction.trimmed(sound, -30, guard=5)) < 0.44 * RATE


def test_a_faint_s_is_not_taken_for_silence():
    """As loud as 3,500 Hz at a hundredth of the amplitude is: the steps of a tone grow with its frequency."""
    sound = a_word(0.3, 0.5, 300) + 0.05 * a_word(0.5, 0.7, 3500)
    assert len(extraction.trimmed(sound, -30, 0)) > 0.38 * RATE
    plain = (sound[: RATE // 80 * 80].reshape(-1, 80) ** 2).mean(1)
    assert (plain[60:68] < plain.max() * 10**-2.5).all()


def test_what_is_below_the_voice_is_taken_out():
    step = np.exp(-TIME * 5)
    tone = np.sin(2 * np.pi * 300 * TIME)
    found = extraction.without_rumble(tone + step)
    middle = slice(RATE // 10, -RATE // 10)
    assert np.abs(found - tone)[middle].max() < 0.03 < step[middle].max()


COPYRIGHT = """Files: *
Copyright: 1999, Somebody

Files: fr-*
Copyright: 2001, A Speaker
License: X
Comment: CREDITS file:
 Recorded by:
 .
 A Speaker

Files: ru-*
Copyright: 2010, Another"""
ARMELLE = (
    "Packaged by P\n\nUpstream:\n\n Voice: V\n\nLicense:\n\n Free.\n\nThe Debian packaging is P's"
)


def test_packages_are_read_and_recordings_written_with_their_licences(tmp_path, capsys):
    """A library that decodes is handed in: none is needed for the test."""
    packages = {
        "asterisk-core-sounds-fr-wav": COPYRIGHT,
        "asterisk-prompt-fr-armelle": ARMELLE,
    }
    for name, text in packages.items():
        path = tmp_path / extraction.COPYRIGHT.format(name)
        path.parent.mkdir(parents=True)
        path.write_text(text)
    asked = []

    def read(what, **raw):
        if not isinstance(what, Path):
            return what.sound, RATE
        asked.append((what.name, raw.get("subtype")))
        return a_word(0.3, 0.7 if what.suffix == ".wav" else 0.8), RATE

    def write(stream, sound, rate, **how):
        assert how == {"format": "WAV", "subtype": "GSM610"}
        stream.sound = np.concatenate([sound, np.zeros(99)])  # the codec fills its last block

    class Stream:
        def seek(self, place):
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction.io, "BytesIO", Stream)
        library = SimpleNamespace(read=read, write=write)
        extraction.main(tmp_path, tmp_path / "voices.npz", library)
    assert asked[:2] == [("0.wav", None), ("1.wav", None)] and asked[-1] == ("60.gsm", "GSM610")
    with np.load(tmp_path / "voices.npz") as found:
        lengths = found["lengths"].reshape(3, 22)
        assert len(found["codes"]) == lengths.sum()
    assert (lengths[0] == lengths[2]).all() and (lengths[1] > lengths[0]).all()
    text = (tmp_path / "voices.LICENSE").read_text()
    for line in ["Copyright: 2001, A Speaker", "A Speaker", "Voice: V", " Free."]:
        assert line in text.splitlines()
    for word in ["Somebody", "Another", "Packaged", "Debian"]:
        assert word not in text
    assert capsys.readouterr().out.startswith("june: 22 words, 9.")
