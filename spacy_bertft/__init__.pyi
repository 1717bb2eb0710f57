"""The public functions; `__init__.py` imports each when it is first used."""

from spacy_bertft.active.suggest import suggest as suggest
from spacy_bertft.annotation.annotate import annotate as annotate
from spacy_bertft.components.question_answering import ask as ask
from spacy_bertft.cross_validation.audit import audit as audit
from spacy_bertft.cross_validation.crossval import crossval as crossval
from spacy_bertft.cross_validation.tune import tune as tune
from spacy_bertft.data.columns.convert import convert_columns as convert_columns
from spacy_bertft.data.endings import make_choice as make_choice
from spacy_bertft.data.formats import convert as convert
from spacy_bertft.data.pairs import make_pair as make_pair
from spacy_bertft.data.questions import convert_questions as convert_questions
from spacy_bertft.data.texts.convert import convert_spans as convert_spans
from spacy_bertft.data.texts.convert import convert_texts as convert_texts
from spacy_bertft.distillation.distill import distill as distill
from spacy_bertft.evaluation.calibrate import calibrate as calibrate
from spacy_bertft.evaluation.evaluate import evaluate as evaluate
from spacy_bertft.evaluation.guarantee import guarantee as guarantee
from spacy_bertft.evaluation.report import report as report
from spacy_bertft.exchange.export_hf import export_hf as export_hf
from spacy_bertft.exchange.extend import extend as extend
from spacy_bertft.exchange.graphs import quantize as quantize
from spacy_bertft.exchange.import_hf import import_hf as import_hf
from spacy_bertft.exchange.migrate import migrate as migrate
from spacy_bertft.exchange.package import package as package
from spacy_bertft.exchange.pretrain import pretrain as pretrain
from spacy_bertft.explanation.attribution import render as render
from spacy_bertft.explanation.explain import attribute as attribute
from spacy_bertft.explanation.pipeline import explain as explain
from spacy_bertft.recipes import init_config as init_config
from spacy_bertft.recipes import init_project as init_project
from spacy_bertft.resuming.run import resume as resume
from spacy_bertft.resuming.run import train as train
from spacy_bertft.serving.serve import serve as serve
from spacy_bertft.training.optimizer import configure_adamw as configure_adamw

__version__: str
