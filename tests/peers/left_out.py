"""The files of spaCy's tests that run on our components, and the tests in them that cannot pass, each with its reason.

They run all the same: one that passes is an error, so that it leaves this list.
"""

INTERNALS = "reads the transition system of spaCy's parser, which a token classifier does not have"
CLASSES = "asserts the class of spaCy's own model or component"
FACTORY = "asserts the name of the factory, which is ours"
ARCHITECTURE = "asserts settings of spaCy's architecture in the config, where ours has others"
TOK2VEC = "asks for the layer model.tok2vec, which in our heads is model.encoder"
SETTING = "sets what spaCy's component has: ours has it in [components.NAME.model], or has no use for it"
NO_LABELS = "initializes a ner without labels; ours raises, as spaCy's tagger and textcat do"
IMPLICIT = "expects a new label without add_label; ours raises in training, and keeps preset entities of other labels"
PENDING_LABELS = "pending: add_label after initialize"
PENDING_REHEARSE = "pending: rehearse"

# File in spacy/tests: test, with or without its parameters: reason.
LEFT_OUT: dict[str, dict[str, str]] = {
    "pipeline/test_textcat.py": {
        "test_issue4030": "expects 0.0 for a text without tokens, of a bag of words; ours reads [CLS] there",
        "test_issue6908": "gives the labels as one string, which spaCy takes letter by letter; ours raises",
        "test_textcat_loss": CLASSES + ", and a squared error",
        "test_resize": PENDING_LABELS,
        "test_resize_same_results": PENDING_LABELS,
    },
    "pipeline/test_tagger.py": {
        "test_label_smoothing": SETTING,
    },
    "pipeline/test_tok2vec.py": {
        "test_tok2vec_listener": TOK2VEC,
        "test_tok2vec_listener_callback": "initializes a model without its component; ours has its labels from there",
        "test_tok2vec_frozen_not_annotating": "expects an error; a frozen bert_encoder computes its states in any case",
        "test_replace_listeners": CLASSES,
        "test_replace_listeners_from_config": CLASSES,
        "test_tok2vec_listeners_textcat": TOK2VEC,
        "test_tok2vec_listener_source_replace_listeners": TOK2VEC,
    },
    "pipeline/test_annotates_on_update.py": {},
    "pipeline/test_initialize.py": {},
    "pipeline/test_pipe_factories.py": {},
    "pipeline/test_pipe_methods.py": {},
    "parser/test_add_label.py": {
        "test_ner_labels_added_implicitly_on_predict": IMPLICIT,
        "test_ner_labels_added_implicitly_on_update": IMPLICIT,
    },
    "parser/test_ner.py": {
        "test_issue1967": INTERNALS,
        "test_issue2179": INTERNALS,
        "test_issue3209": INTERNALS,
        "test_labels_from_BILUO": INTERNALS,
        "test_accept_blocked_token": INTERNALS,
        "test_overwrite_token": NO_LABELS,
        "test_overfitting_IO": "reads whether spaCy's model has a layer `upper`",
        "test_ner_warns_no_lookups": NO_LABELS,
    },
    "serialize/test_serialize_config.py": {
        "test_create_nlp_from_config_multiple_instances": FACTORY,
        "test_serialize_nlp": TOK2VEC,
        "test_config_interpolation": ARCHITECTURE,
    },
    "serialize/test_serialize_language.py": {},
    "serialize/test_serialize_pipeline.py": {
        "test_issue4042_bug2": PENDING_LABELS,
        "test_issue4725_1": SETTING,
    },
    "test_language.py": {},
    "training/test_rehearse.py": {
        "test_rehearse[ner]": PENDING_LABELS,
        "test_rehearse[tagger]": PENDING_REHEARSE,
        "test_rehearse[textcat_multilabel]": PENDING_REHEARSE,
    },
    "training/test_training.py": {},
}
