"""Maps of Hugging Face's architectures: those of the eager implementation, outputs untouched."""

import re

import pytest
import torch

import interp
from tests.attention import zoo

SIGNALS = ["**/attention", "**/value", "**/head_output"]


@pytest.fixture(params=zoo.CASES, ids=lambda case: case.name)
def case(request):
    return request.param


def recorded(model, inputs, sites=SIGNALS):
    with torch.no_grad():
        plain = model(**inputs)
        with interp.Recorder(model, sites=sites) as recorder:
            output = model(**inputs)
    for ours, theirs in zip(output.to_tuple(), plain.to_tuple(), strict=True):
        if isinstance(ours, torch.Tensor):
            assert torch.equal(ours, theirs)
    return recorder


def seen_rows(inputs, n_queries):
    """Return which queries are real, (batch, queries)."""
    mask = inputs.get("attention_mask")
    if mask is None or mask.shape[1] != n_queries or "decoder_input_ids" in inputs:
        return None
    return mask.bool()


def test_maps_are_those_of_the_eager_implementation(case):
    inputs = zoo.inputs_of(case.inputs)
    recorder = recorded(zoo.build(case), inputs)
    if not case.eager:
        return
    with torch.no_grad():
        eager = zoo.build(case, "eager")(**inputs, output_attentions=True)
    n_compared = 0
    for pattern, field in case.maps.items():
        sites = [
            site
            for site in recorder.sites
            if site.endswith("/attention") and re.match(pattern, site)
        ]
        assert len(sites) == len(eager[field]) > 0
        for site, expected in zip(sites, eager[field], strict=True):
            ours = recorder[site]
            assert ours.shape == expected.shape
            assert recorder.sites[site].n_heads == expected.shape[1]
            rows = seen_rows(inputs, expected.shape[2])
            difference = (ours - expected).abs()
            if rows is not None:
                difference = difference.transpose(1, 2)[rows]
            assert difference.max() <= 1e-6
            n_compared += 1
    assert n_compared >= 2


def test_weights_times_values_are_the_result(case):
    recorder = recorded(zoo.build(case), zoo.inputs_of(case.inputs))
    sites = [site for site in recorder.sites if site.endswith("/attention")]
    assert sites
    for site in sites:
        module = site.removesuffix("/attention")
        weights, value = recorder[site], recorder[f"{module}/value"]
        value = value.repeat_interleave(weights.shape[1] // value.shape[1], 1)
        result = recorder[f"{module}/head_output"]
        assert (weights @ value - result).abs().max() <= 1e-5 * result.abs().max()
        assert (weights >= 0).all()
        totals = weights.sum(-1)
        assert ((totals - 1).abs().le(1e-5) | (totals == 0)).all()


def test_queries_and_keys_are_recorded_where_scores_are_one_product(case):
    model, inputs = zoo.build(case), zoo.inputs_of(case.inputs)
    if not case.one_product:
        with pytest.raises(interp.InterpError, match="query' is not known"), torch.no_grad():
            with interp.Recorder(model, sites=["**/query", "**/attention"]):
                model(**inputs)
        return
    recorder = recorded(model, inputs, ["**/query", "**/key", "**/attention"])
    for site in [site for site in recorder.sites if site.endswith("/attention")]:
        module = site.removesuffix("/attention")
        weights = recorder[site]
        query, key = recorder[f"{module}/query"], recorder[f"{module}/key"]
        assert query.shape[:3] == weights.shape[:3]
        assert key.shape[2] == weights.shape[3] and weights.shape[1] % key.shape[1] == 0


def test_left_padding_changes_nothing_at_real_positions():
    case = next(case for case in zoo.CASES if case.name == "llama")
    model = zoo.build(case)
    ids = zoo.ids()
    padded = recorded(model, zoo.inputs_of("left"), ["**/attention"])
    positions = torch.arange(4)[None]
    alone = recorded(model, {"input_ids": ids[:1, 3:], "position_ids": positions}, ["**/attention"])
    for site in alone.sites:
        assert (padded[site][:1, :, 3:, 3:] - alone[site]).abs().max() <= 1e-6
        assert (padded[site][0, :, :, :3] == 0).all()


@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral", "bloom"])
def test_maps_of_generation_are_those_of_one_pass(name):
    from transformers import AutoModelForCausalLM

    case = next(case for case in zoo.CASES if case.name == name)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(zoo.build(case).config).eval()
    ids = zoo.ids()
    options = {"max_new_tokens": 3, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    options["attention_mask"] = torch.ones_like(ids)
    with torch.no_grad():
        plain = model.generate(ids, **options)
        with interp.Recorder(model, sites="**/attention") as stepwise:
            output = model.generate(ids, **options)
        with interp.Recorder(model, sites="**/attention") as whole:
            model(output[:, :-1])
    assert torch.equal(plain, output)
    for site in whole.sites:
        expected, calls = whole[site], stepwise.calls(site)
        assert [call.shape[2] for call in calls] == [zoo.STEPS, 1, 1]
        start = 0
        for call in calls:
            end = start + call.shape[2]
            same = expected[:, :, start:end, end - call.shape[3] : end]
            assert (call - same).abs().max() <= 1e-6
            start = end
        with pytest.raises(interp.InterpError, match="3 times"):
            stepwise[site]


def test_half_precision_is_recorded_in_single_precision():
    case = next(case for case in zoo.CASES if case.name == "llama")
    model, inputs = zoo.build(case), zoo.inputs_of("plain")
    single = recorded(model, inputs)
    half = recorded(model.to(torch.bfloat16), inputs)
    for site in single.sites:
        if site.endswith("/attention"):
            assert half[site].dtype == torch.float32 and half.sites[site].dtype == "float32"
            assert (half[site] - single[site]).abs().max() < 0.05
            assert (half[site].sum(-1) - 1).abs().max() < 1e-5
