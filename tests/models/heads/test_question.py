"""The probabilities of answers: those of transformers' scores, in one softmax over the spans of all windows."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
import torch
from question_pipelines import make_qa
from small_checkpoints import TEXTS, WORDS, make_checkpoint, make_tokenizer
from spacy.tokens import Doc
from transformers import AutoModelForQuestionAnswering

from spacy_bertft.data.pairs import make_pair
from spacy_bertft.models.heads.question import NO_ANSWER, Candidates, QuestionScores, list_candidates
from spacy_bertft.tokens.contexts import ContextRows

MAX_TOKENS = 6
WINDOW, STRIDE = 32, 24  # special pieces included in the first only


def make_docs() -> list[Doc]:
    """Make questions with contexts of one window and of several, a long question, and a text that is no pair."""
    rng, nlp = np.random.default_rng(1), spacy.blank("en")
    words = [word for word in WORDS if word != "don't"]  # in which a piece crosses two tokens
    contexts = [" ".join(rng.choice(words, size=n).tolist()) for n in (3, 40, 12, 75)]
    docs = [make_pair(nlp, "who directed it?", context) for context in contexts]
    docs.append(make_pair(nlp, " ".join(["what is the plot"] * 6), contexts[1]))
    return [*docs, nlp(TEXTS[0]), make_pair(nlp, "what is it", "  naïve café-goers \n never!")]


def find_slowly(doc: Doc, model, tokenizer, has_no_answer: bool) -> dict[tuple[int, int], float]:
    """Compute the probability of every candidate of a document, window after window."""
    question, context = doc.text.split("\x1f")
    shift = len(question) + 1
    halves = [tokenizer.encode(text, add_special_tokens=False) for text in (question, context)]
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    size = WINDOW - 3
    n_question = len(halves[0].ids)
    if n_question + len(halves[1].ids) > size:
        n_question = min(n_question, size // 2)
    room = size - n_question
    overlap = min(WINDOW - 2 - STRIDE, room // 2)
    offsets = [(start + shift, end + shift) for start, end in halves[1].offsets]
    first, last = {}, {}
    for token in doc:
        inside = [i for i, (start, end) in enumerate(offsets) if token.idx <= start < end <= token.idx + len(token)]
        if inside:
            first[inside[0]], last[inside[-1]] = token.i, token.i + 1
    scores, none = {}, []
    starts = [0]
    while starts[-1] + room < len(offsets):
        starts.append(min(starts[-1] + room - overlap, len(offsets) - room))
    for begin in starts:
        part = halves[1].ids[begin : begin + room]
        ids = [cls, *halves[0].ids[:n_question], sep, *part, sep]
        types = [0] * (n_question + 2) + [1] * (len(part) + 1)
        with torch.inference_mode():
            found = model(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types]))
        start_logits, end_logits = found.start_logits[0].double().numpy(), found.end_logits[0].double().numpy()
        none.append(start_logits[0] + end_logits[0])
        for i in range(len(part)):
            for j in range(i, len(part)):
                if begin + i in first and begin + j in last:
                    span = first[begin + i], last[begin + j]
                    if 0 < span[1] - span[0] <= MAX_TOKENS:
                        score = start_logits[n_question + 2 + i] + end_logits[n_question + 2 + j]
                        scores[span] = max(score, scores.get(span, -np.inf))
    if has_no_answer:
        scores[NO_ANSWER] = min(none)
    total = np.logaddexp.reduce(list(scores.values()))
    return {span: float(np.exp(score - total)) for span, score in scores.items()}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory):
    """Give a head with the weights of transformers, and that model."""
    folder = make_checkpoint(tmp_path_factory.mktemp("bert") / "plain")
    nlp = make_qa(str(folder), encoder={"window": WINDOW, "stride": STRIDE})
    model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    head = nlp.get_pipe("bert_qa").model.module
    with torch.no_grad():
        model.qa_outputs.weight.normal_(std=0.5)
        model.qa_outputs.bias.normal_()
    head.load_state_dict({f"linear.{name}": each for name, each in model.qa_outputs.state_dict().items()})
    return nlp.get_pipe("bert_qa").model, model


def read_probs(candidates: Candidates, n_docs: int) -> list[dict[tuple[int, int], float]]:
    probs: list[dict[tuple[int, int], float]] = [{} for _ in range(n_docs)]
    rows = zip(candidates.doc, candidates.start, candidates.end, np.exp(candidates.log_probs), strict=True)
    for doc, start, end, prob in rows:
        probs[doc][int(start), int(end)] = float(prob)
    return probs


@pytest.mark.parametrize("has_no_answer", [True, False])
def test_probabilities_are_those_of_transformers_over_all_windows(scored, has_no_answer):
    ours, theirs = scored
    docs = make_docs()
    candidates = list_candidates(ours.predict(docs), MAX_TOKENS, has_no_answer=has_no_answer)
    found, tokenizer = read_probs(candidates, len(docs)), make_tokenizer("bert")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    best = candidates.find_best(2)
    for doc, probs, ranked in zip(docs, found, best, strict=True):
        if "text_pair" not in doc.spans:
            assert probs == {}
            assert ranked == []
            continue
        expected = find_slowly(doc, theirs, tokenizer, has_no_answer)
        assert probs.keys() == expected.keys()
        np.testing.assert_allclose([probs[span] for span in expected], list(expected.values()), rtol=1e-3, atol=1e-6)
        assert ranked[0][0] == max(expected, key=expected.__getitem__)
        assert ranked[0][1] >= ranked[1][1]
        alone = read_probs(list_candidates(ours.predict([doc]), MAX_TOKENS, has_no_answer=has_no_answer), 1)[0]
        np.testing.assert_allclose(list(alone.values()), list(probs.values()), rtol=1e-3, atol=1e-6)


def test_the_question_that_is_cut_is_counted(scored):
    model, _ = scored
    before = model.n_truncated
    model.predict(make_docs())
    assert model.n_truncated - before == 1


# Two windows of one document share token 2; a second document has one window with tokens 5 and 6.
ROWS = ContextRows(
    window=np.array([0, 0, 0, 1, 1, 1, 0, 0, 0]),
    token_start=np.array([-1, 1, 2, -1, 2, 3, -1, 5, 6]),
    token_end=np.array([-1, 2, 3, -1, 3, 4, -1, 6, 7]),
    lengths=np.array([6, 3]),
    n_cut=np.zeros(2, dtype=np.intp),
)


def score(values: np.ndarray) -> Candidates:
    return list_candidates(QuestionScores(values.astype(np.float32), ROWS), 2, has_no_answer=True)


def test_windows_are_merged_by_hand():
    values = np.zeros((9, 2))
    values[0], values[3] = 2, 1  # no answer: 4 and 2, of which the lower one counts
    values[2], values[4] = (1, 3), (2, 1)  # token 2: 4 and 3, of which the higher one counts
    candidates = score(values)
    first = candidates.doc == 0
    spans = list(zip(candidates.start[first].tolist(), candidates.end[first].tolist(), strict=True))
    assert spans == [(0, 0), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4)]
    assert candidates.scores[first].tolist() == [2, 0, 3, 4, 2, 0]
    weights = np.exp([2, 0, 3, 4, 2, 0])
    np.testing.assert_allclose(np.exp(candidates.log_probs[first]), weights / weights.sum())
    assert np.bincount(candidates.doc, np.exp(candidates.log_probs)) == pytest.approx([1, 1])


@pytest.mark.parametrize(
    "gold", [[[(2, 3), (3, 4)], [NO_ANSWER]], [[(2, 4)], None], [[(1, 9)], [(5, 7)]], [None, None]]
)
def test_the_gradient_is_that_of_the_loss(gold):
    values = np.random.default_rng(0).normal(size=(9, 2))
    candidates = score(values)
    is_right = candidates.mark(gold)
    loss, by_candidate = candidates.compute_loss(is_right)
    known = [doc for doc in (0, 1) if (is_right & (candidates.doc == doc)).any()]
    expected = [-np.log(np.exp(candidates.log_probs)[is_right & (candidates.doc == doc)].sum()) for doc in known]
    assert loss == pytest.approx(np.mean(expected) if expected else 0.0)
    gradient, step = candidates.spread(by_candidate, 9), 1e-2
    for place in np.ndindex(9, 2):
        sides = []
        for sign in (1, -1):
            moved = values.copy()
            moved[place] += sign * step
            sides.append(score(moved).compute_loss(is_right)[0])
        assert gradient[place] == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=1e-3)


def test_a_head_diverges_from_itself_by_nothing():
    values = np.random.default_rng(0).normal(size=(9, 2))
    loss, gradient = score(values).compute_divergence(score(values))
    assert loss == pytest.approx(0.0)
    assert np.abs(gradient).max() < 1e-12
    assert score(values).compute_divergence(score(-values))[0] > 0.1


def test_without_any_question_there_is_nothing(scored):
    model, _ = scored
    nlp = spacy.blank("en")
    for docs in ([], [nlp("a text")], [nlp("")]):
        candidates = list_candidates(model.predict(docs), MAX_TOKENS, has_no_answer=True)
        assert candidates.find_best(1) == [[] for _ in docs]
        assert candidates.compute_loss(candidates.mark([None] * len(docs)))[0] == 0.0
