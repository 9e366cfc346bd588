"""Writing with a cache: tokens for each second, greedily and with four beams, by one model in several libraries.

All contestants are the same function: the weights are drawn once and copied, and nothing is fetched. That they
write the same tokens is asserted before anything is timed. None of them ever says that it has finished.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, MarianConfig, MarianMTModel
from x_transformers import XTransformer

from benchmarks.harness import Case, Effort, Goal, assert_equal, compare
from minattn.decoding import Cached, beam_search
from minattn.positions import sinusoidal
from minattn.transformer import TransformerTranslator
from minattn.translation import greedy
from minattn.vocabulary import BOS, EOS, PAD

SOURCE = 64
LONGEST = 1024
PEERS = ("transformers", "x-transformers")


@dataclass(frozen=True)
class Size:
    """How large a model is."""

    d_model: int
    n_heads: int
    d_ff: int
    n_layers: int
    vocabulary: int


SMALL = Size(d_model=256, n_heads=8, d_ff=1024, n_layers=4, vocabulary=8000)
COURSE = Size(d_model=64, n_heads=4, d_ff=256, n_layers=2, vocabulary=1000)


def measure(effort: Effort) -> list[Case]:
    """Compare at several lengths; longer ones in fewer rounds, for one of them is a sample by itself."""
    small, course = Contestants(SMALL), Contestants(COURSE)
    if effort.quick:
        return [
            small.compare(effort, length=16, n_beams=1),
            small.compare(effort, length=16, n_beams=4),
            course.compare(effort, length=16, n_beams=1),
        ]
    fewer = replace(effort, rounds=min(effort.rounds, 7))
    cases = []
    for length, n_beams in ((64, 1), (64, 4), (256, 1), (256, 4), (LONGEST, 1)):
        patience = effort if length < LONGEST else fewer
        cases.append(small.compare(patience, length=length, n_beams=n_beams))
    cases.append(small.compare(fewer, length=64, n_beams=1, batch=64))
    for n_beams in (1, 4):
        cases.append(course.compare(effort, length=64, n_beams=n_beams))
    return cases


class Contestants:
    """One model, as each library has it."""

    def __init__(self, size: Size) -> None:
        torch.manual_seed(0)
        self.size = size
        self.marian = marian(size)
        self.minattn = minattn(self.marian, size)
        self.x_transformers = x_transformers(self.marian, size)
        self.torch = (self.minattn.encoder.to_torch(), self.minattn.decoder.to_torch())

    def compare(self, effort: Effort, *, length: int, n_beams: int, batch: int = 1) -> Case:
        """Let all write targets of one length."""
        torch.manual_seed(1)
        source = torch.randint(EOS + 1, self.size.vocabulary, (batch, SOURCE))
        first = torch.full((batch, 1), BOS)
        calls = self.calls(source, first, length, n_beams)

        def equal() -> float:
            targets = {name: [call()] for name, call in calls.items()}
            assert targets["minattn"][0].shape == (batch, length)
            assert_equal(targets, "minattn", tolerance=0)
            with torch.no_grad():
                return self.same_logits(source, torch.cat([first, targets["minattn"][0]], dim=1))

        judged = batch == 1
        case = compare(
            calls,
            reference="minattn",
            settings={
                "d_model": self.size.d_model,
                "layers": f"{self.size.n_layers}+{self.size.n_layers}",
                "source": SOURCE,
                "target": length,
                "beams": n_beams,
                "batch": batch,
            },
            effort=effort,
            equal=equal,
            goals=[Goal(name, at_least=1.5) for name in PEERS] if judged else (),
        )
        for name, seconds in case.seconds.items():
            case.more[name] = {"tokens_per_second": batch * length / seconds}
        return case

    def same_logits(self, source: Tensor, target: Tensor) -> float:
        """Let all read a target; return the largest difference of their logits."""
        memory = self.x_transformers.encoder(source, return_embeddings=True)
        logits = {
            "minattn": self.minattn(source, target),
            "transformers": self.marian(source, decoder_input_ids=target).logits,
            "x-transformers": self.x_transformers.decoder.net(target, context=memory),
        }
        return assert_equal({name: [found] for name, found in logits.items()}, "minattn", 1e-3)

    def calls(
        self, source: Tensor, first: Tensor, length: int, n_beams: int
    ) -> dict[str, Callable[[], Tensor]]:
        """Return what writes targets of one length, by name. Each builds no graph, in the way of its library."""
        cached = Cached(self.minattn)
        tokens = torch.ones_like(source)
        settings = GenerationConfig(
            max_new_tokens=length,
            num_beams=n_beams,
            do_sample=False,
            use_cache=True,
            decoder_start_token_id=BOS,
            pad_token_id=PAD,
            eos_token_id=EOS,
        )

        def of_transformers() -> Tensor:
            return self.marian.generate(source, settings, attention_mask=tokens)[:, 1:]

        @torch.no_grad()
        def beams_of_x_transformers() -> Tensor:
            memory = self.x_transformers.encoder(source, return_embeddings=True)
            return self.x_transformers.decoder.beam_search(
                first, length, beams=n_beams, context=memory
            )

        if n_beams > 1:
            return {
                "minattn": lambda: beam_search(cached, source, length, n_beams=n_beams).best,
                "transformers": of_transformers,
                "x-transformers": beams_of_x_transformers,
            }
        calls = {
            "minattn": lambda: greedy(cached, source, length),
            "transformers": of_transformers,
            "x-transformers": lambda: self.x_transformers.generate(
                source, first, length, temperature=0.0
            ),
        }
        if len(source) == 1 and length <= 64:
            calls["torch, no cache"] = lambda: self.write_with_torch(source, first, length)
        return calls

    @torch.no_grad()
    def write_with_torch(self, source: Tensor, first: Tensor, length: int) -> Tensor:
        """Write with torch's own layers, which keep nothing: every step reads the whole target again."""
        encoder, decoder = self.torch
        model = self.minattn

        def embed(table: nn.Embedding, ids: Tensor) -> Tensor:
            return model.positions(table(ids) * model.embedding_scale)

        memory = encoder(embed(model.source_embedding, source))
        target = first
        for _ in range(length):
            mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
            x = embed(model.target_embedding, target)
            x = decoder(x, memory, tgt_mask=mask, tgt_is_causal=True)
            token = model.readout(x[:, -1:]).argmax(-1)
            target = torch.cat([target, token], dim=1)
        return target[:, 1:]


def marian(size: Size) -> MarianMTModel:
    """Draw the weights of a translator with norms after the sums, as that of the paper."""
    config = MarianConfig(
        vocab_size=size.vocabulary,
        d_model=size.d_model,
        encoder_layers=size.n_layers,
        decoder_layers=size.n_layers,
        encoder_attention_heads=size.n_heads,
        decoder_attention_heads=size.n_heads,
        encoder_ffn_dim=size.d_ff,
        decoder_ffn_dim=size.d_ff,
        max_position_embeddings=LONGEST + 1,
        activation_function="relu",
        scale_embedding=True,
        share_encoder_decoder_embeddings=False,
        tie_word_embeddings=False,
        init_std=0.5 * size.d_model**-0.5,  # larger, and one token is said for ever
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        forced_eos_token_id=None,
        decoder_start_token_id=BOS,
    )
    model = MarianMTModel(config).eval()
    with torch.no_grad():
        model.lm_head.weight[: EOS + 1] = 0.0  # never the likeliest
        for part in (model.model.encoder, model.model.decoder):
            part.embed_positions.weight.copy_(sinusoidal(LONGEST + 1, size.d_model))  # in our order
    return model


def minattn(marian: MarianMTModel, size: Size) -> TransformerTranslator:
    """Make a model of ours with the weights of a Marian."""
    theirs = marian.model
    model = TransformerTranslator(
        size.vocabulary,
        size.vocabulary,
        d_model=size.d_model,
        n_heads=size.n_heads,
        d_ff=size.d_ff,
        n_layers=size.n_layers,
        norm="post",
    ).eval()
    names = {
        "self_attn.": "self_attention.",
        "encoder_attn.": "cross_attention.",
        "self_attn_layer_norm.": "add_self_attention.norm.",
        "encoder_attn_layer_norm.": "add_cross_attention.norm.",
        "fc1.": "feed_forward.up_proj.",
        "fc2.": "feed_forward.down_proj.",
        "final_layer_norm.": "add_feed_forward.norm.",
    }
    for stack, blocks in (
        (theirs.encoder, model.encoder.blocks),
        (theirs.decoder, model.decoder.blocks),
    ):
        for layer, block in zip(stack.layers, blocks, strict=True):
            weights = {}
            for name, weight in layer.state_dict().items():
                (start,) = [start for start in names if name.startswith(start)]
                weights[name.replace(start, names[start], 1)] = weight
            block.load_state_dict(weights)
    model.source_embedding.load_state_dict({"weight": theirs.encoder.embed_tokens.weight})
    model.target_embedding.load_state_dict({"weight": theirs.decoder.embed_tokens.weight})
    model.readout.load_state_dict({"weight": marian.lm_head.weight})
    return model


def x_transformers(marian: MarianMTModel, size: Size) -> XTransformer:
    """Make a model of x-transformers with the weights of a Marian, whose other biases are zero."""
    shared = {
        "num_tokens": size.vocabulary,
        "depth": size.n_layers,
        "heads": size.n_heads,
        "attn_dim_head": size.d_model // size.n_heads,
        "attn_flash": True,
        "pre_norm": False,
        "ff_mult": size.d_ff // size.d_model,
        "ff_custom_activation": nn.ReLU(),
        "max_seq_len": LONGEST + 1,
    }
    both = {f"{part}_{name}": value for part in ("enc", "dec") for name, value in shared.items()}
    model = XTransformer(dim=size.d_model, **both).eval()
    root = size.d_model**0.5
    with torch.no_grad():
        for theirs, ours in (
            (marian.model.encoder, model.encoder),
            (marian.model.decoder, model.decoder.net),
        ):
            ours.token_emb.emb.weight.copy_(theirs.embed_tokens.weight * root)
            ours.pos_emb.emb.weight.copy_(theirs.embed_positions.weight * root)
            sublayers = iter(ours.attn_layers.layers)
            for layer in theirs.layers:
                attentions = [layer.self_attn]
                if theirs is marian.model.decoder:
                    attentions.append(layer.encoder_attn)
                for attention in attentions:
                    copy = next(sublayers)[1]
                    for name in ("q", "k", "v", "out"):
                        proj = getattr(attention, f"{name}_proj")
                        assert not proj.bias.any()
                        getattr(copy, f"to_{name}").weight.copy_(proj.weight)
                (up, _), _, down = next(sublayers)[1].ff
                up.load_state_dict(layer.fc1.state_dict())
                down.load_state_dict(layer.fc2.state_dict())
        model.decoder.net.to_logits.weight.copy_(marian.lm_head.weight)
    return model
