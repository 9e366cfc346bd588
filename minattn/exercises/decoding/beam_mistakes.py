"""What goes wrong with the worth of a target and with its end in a beam search, for exercise 8.5."""

import math
from collections.abc import Sequence

from minattn.exercises.decoding.beam_ways import (
    Beams,
    Way,
    added,
    best,
    children,
    moved_out,
    plain,
    ranked_by,
    searched,
    until_refilled,
)
from minattn.exercises.exercise import Mistake
from minattn.vocabulary import BOS, EOS, PAD


def _never(beams: Beams) -> bool:
    return False


def _mean_with_bos(way: Way) -> float:
    return way.total / len(way.ids)


def _ended_first(beams: Beams, n: int) -> object:
    return plain(sorted(beams, key=lambda way: not way.ended))


def _filled(fill: int, beams: Beams) -> object:
    longest = max(len(way.ids) for way in beams)
    return [(way.ids[1:] + [fill] * (longest - len(way.ids)), way.total) for way in beams]


WORTH: Sequence[Mistake] = [
    Mistake(
        "last_token_only",
        searched(grow=added(lambda total, step: step)),
        "You compare the targets by the log probability of their last token alone. Then a good word saves any "
        "bad beginning. Add it to the total of the target that it continues.",
        also=[searched(keep=ranked_by(lambda way: way.step))],
    ),
    Mistake(
        "mean_per_token",
        searched(keep=ranked_by(lambda way: way.mean)),
        "You rank by the total divided by the length. That is a length penalty, and longer targets win by it. "
        "This exercise ranks by the totals as they are.",
        also=[
            searched(
                keep=ranked_by(lambda way: way.mean),
                give=lambda beams, n: [(way.ids[1:], way.mean) for way in beams],
            ),
            searched(
                give=lambda beams, n: [
                    (way.ids[1:], way.mean) for way in sorted(beams, key=lambda way: -way.mean)
                ]
            ),
            searched(give=lambda beams, n: plain(sorted(beams, key=lambda way: -way.mean))),
            searched(give=lambda beams, n: [(way.ids[1:], way.mean) for way in beams]),
            searched(keep=ranked_by(_mean_with_bos)),
            searched(
                keep=ranked_by(_mean_with_bos),
                give=lambda beams, n: [(way.ids[1:], _mean_with_bos(way)) for way in beams],
            ),
        ],
    ),
    Mistake(
        "probabilities_added",
        searched(grow=added(lambda total, step: total + math.exp(step))),
        "You add probabilities. Those of the tokens are multiplied; it is their logarithms that are added, and "
        "those are what the model gives you. As it is, every further token makes a target better.",
    ),
    Mistake(
        "logarithms_multiplied",
        searched(begin=lambda n: [Way([BOS], 1.0)], grow=added(lambda total, step: total * step)),
        "You multiply log probabilities. Probabilities are multiplied, logarithms are added. The product of two "
        "unlikely steps is large and positive.",
        also=[
            searched(grow=added(lambda total, step: total * step)),
            searched(
                begin=lambda n: [Way([BOS], 1.0)], grow=added(lambda total, step: total * -step)
            ),
        ],
    ),
    Mistake(
        "probabilities_returned",
        searched(give=lambda beams, n: [(way.ids[1:], math.exp(way.total)) for way in beams]),
        "The targets are right, but you return their probabilities. The logarithms are asked for: of a long "
        "target the probability itself is soon too small for a float.",
    ),
    Mistake(
        "costs_returned",
        searched(give=lambda beams, n: [(way.ids[1:], -way.total) for way in beams]),
        "The targets are right, but your totals are positive. The logarithm of a probability is below 0, so "
        "return the sum with its sign.",
    ),
    Mistake(
        "begins_at_one",
        searched(begin=lambda n: [Way([BOS], 1.0)]),
        "All totals are 1 too large. The empty target is certain: its probability is 1, and the logarithm of "
        "that is 0. Begin there.",
    ),
    Mistake(
        "end_costs_nothing",
        searched(
            grow=lambda way, model: [
                child._replace(total=way.total) if child.ended else child
                for child in children(way, model)
            ]
        ),
        "EOS costs nothing in your search. It is a token that the model has to say, with a probability like any "
        "other: add its log probability too.",
    ),
]

END: Sequence[Mistake] = [
    Mistake(
        "goes_on_after_end",
        searched(ended=children),
        "Targets go on behind their EOS. The model says something there too, but it was never trained to, and "
        "each step costs the target more. One that has ended stays as it is, with the same total.",
        also=[searched(ended=children, enough=_never)],
    ),
    Mistake(
        "ended_lost",
        searched(ended=lambda way, model: []),
        "Targets that have ended are lost: at the next step they are no longer among the candidates. Carry them "
        "over as they are, to compete with those that go on.",
        also=[
            searched(grow=lambda way, model: [c for c in children(way, model) if not c.ended]),
            moved_out(give=lambda out, beams: beams),
        ],
    ),
    Mistake(
        "refilled",
        moved_out(take=until_refilled),
        "Ended targets are set aside, and others take their places, so there are more than n_beams in all. "
        "Some searches do that. Here an ended target keeps its place among the n_beams until something better "
        "takes it.",
        also=[
            moved_out(),
            moved_out(enough=lambda out, n: len(out) >= n),
            moved_out(take=until_refilled, enough=lambda out, n: len(out) >= n),
            moved_out(take=until_refilled, give=lambda out, beams: out or beams),
            moved_out(give=lambda out, beams: out or beams),
            moved_out(enough=lambda out, n: len(out) >= n, give=lambda out, beams: out or beams),
            moved_out(order=lambda ways: ways),
        ],
    ),
    Mistake(
        "never_overtaken",
        moved_out(take=lambda ways, n, out: ways[: n - len(out)]),
        "An ended target keeps its place for ever, and there is one beam less to search with. But something "
        "better may still come: let ended and unfinished ones compete in one list at every step.",
        also=[
            moved_out(take=lambda ways, n, out: ways[: n - len(out)], order=lambda ways: ways),
            searched(
                keep=lambda ways, n, beams: best(
                    [way for way in ways if beams[way.parent].ended]
                    + best(
                        [way for way in ways if not beams[way.parent].ended],
                        n - sum(way.ended for way in beams),
                    ),
                    n,
                )
            ),
        ],
    ),
    Mistake(
        "stops_at_first_end",
        searched(enough=lambda beams: any(way.ended for way in beams)),
        "Your search stops as soon as one target has ended. Others may still beat it, or get an end of their own. "
        "Stop when all that are kept have ended.",
        also=[
            searched(enough=lambda beams: beams[0].ended),
            searched(
                enough=lambda beams: any(way.ended for way in beams),
                give=lambda beams, n: plain([way for way in beams if way.ended] or beams),
            ),
        ],
    ),
    Mistake(
        "stays_at_a_cost",
        searched(
            ended=lambda way, model: [
                way._replace(total=way.total + float(model(way.ids)[EOS])),
            ]
        ),
        "A target that has ended stays, but it pays at every step: for another EOS or for padding. Nothing is "
        "said behind the end, so its total does not change.",
        also=[
            searched(
                ended=lambda way, model: [
                    way._replace(total=way.total + float(model(way.ids)[PAD]))
                ]
            ),
            searched(ended=lambda way, model: [children(way, model)[EOS]]),
            searched(ended=lambda way, model: [children(way, model)[PAD]]),
        ],
    ),
    Mistake(
        "filled_up",
        searched(give=lambda beams, n: _filled(PAD, beams)),
        "Behind EOS your ids have padding, or EOS again. The totals are right, but each target is asked for "
        "alone, in a list of its own length, and its last token is EOS if it ended.",
        also=[
            searched(give=lambda beams, n: _filled(EOS, beams)),
            searched(ended=lambda way, model: [way._replace(ids=[*way.ids, EOS])]),
        ],
    ),
    Mistake(
        "unfinished_left_out",
        searched(give=lambda beams, n: plain([way for way in beams if way.ended])),
        "You return only targets that have ended. A target that max_length has cut is kept too, at its place by "
        "its total.",
        also=[
            searched(give=lambda beams, n: plain([way for way in beams if way.ended] or beams)),
        ],
    ),
    Mistake(
        "ended_first",
        searched(give=_ended_first),
        "The targets are right, but those that have ended stand before those that were cut. The totals alone say "
        "which comes first.",
        also=[searched(give=lambda beams, n: plain(sorted(beams, key=lambda way: way.ended)))],
    ),
    Mistake(
        "end_forced",
        searched(
            give=lambda beams, n: [
                (way.ids[1:] if way.ended else [*way.ids[1:], EOS], way.total) for way in beams
            ]
        ),
        "You put EOS behind targets that max_length has cut. The model has not said it, and the total does not "
        "pay for it. Return them as they are.",
    ),
]
