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
SHARE = "expects probability 0 for a new exclusive label; ours starts with a small one, from which it can learn"
GROWS = (
    "expects an error for a label after initialize; ours gets new outputs, as the newer models of spaCy's textcat do"
)

# File in spacy/tests: test, with or without its parameters: reason.
LEFT_OUT: dict[str, dict[str, str]] = {
    "pipeline/test_textcat.py": {
        "test_issue4030": "expects 0.0 for a text without tokens, of a bag of words; ours reads [CLS] there",
        "test_issue6908": "gives the labels as one string, which spaCy takes letter by letter; ours raises",
        "test_textcat_loss": CLASSES + ", and a squared error",
        "test_no_resize": GROWS,
        "test_resize_same_results[textcat-textcat_config0]": SHARE,
        "test_resize_same_results[textcat-textcat_config1]": SHARE,
        "test_resize_same_results[textcat-textcat_config4]": SHARE,
    },
    "pipeline/test_tagger.py": {
        "test_label_smoothing": SETTING,
        "test_no_resize": GROWS,
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
    "pipeline/test_entity_linker.py": {},
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
    "serialize/test_resource_warning.py": {},
    "serialize/test_serialize_doc.py": {},
    "serialize/test_serialize_config.py": {
        "test_create_nlp_from_config_multiple_instances": FACTORY,
        "test_serialize_nlp": TOK2VEC,
        "test_config_interpolation": ARCHITECTURE,
    },
    "serialize/test_serialize_language.py": {},
    "serialize/test_serialize_pipeline.py": {
        "test_issue4725_1": SETTING,
    },
    "test_language.py": {},
    "test_ty.py": {},
    "training/test_logger.py": {},
    "training/test_rehearse.py": {},
    "training/test_training.py": {},
}
