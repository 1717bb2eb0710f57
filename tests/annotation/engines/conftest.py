from __future__ import annotations

import pytest
from annotated_runs import Task, read_files, save_pipeline, write_inputs


@pytest.fixture(scope="session")
def pipeline(checkpoint, tmp_path_factory):
    return save_pipeline(checkpoint, tmp_path_factory.mktemp("annotate") / "pipeline")


@pytest.fixture(scope="module")
def unbroken(pipeline, tmp_path_factory, request):
    """Give a task of `N_ROWS` rows of the module, which a run of one process has finished without a break."""
    folder = tmp_path_factory.mktemp("unbroken")
    task = Task(pipeline, write_inputs(folder / "input", request.module.N_ROWS), folder / "output")
    task.finish()
    return task


@pytest.fixture(scope="module")
def expected(unbroken):
    return read_files(unbroken.output)


@pytest.fixture
def task(unbroken, tmp_path):
    """Give the same task with another output, which is not begun."""
    return Task(unbroken.pipeline, unbroken.inputs, tmp_path / "output")
