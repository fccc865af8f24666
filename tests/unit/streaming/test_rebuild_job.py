"""A rebuild beside the archive: on a lake without locks only one of them may write."""

import pytest

from marketstream.domain.errors import StreamingError
from marketstream.settings import load_settings
from marketstream.streaming.archive_job import archive_checkpoints
from marketstream.streaming.rebuild import RebuildRequest
from marketstream.streaming.rebuild_job import lake_to_itself, run_rebuild

OBJECT_STORE = "s3://bucket/lake?region=eu-central-1"  # nobody asks it for anything
REPAIR = RebuildRequest(0, 1, (), (), repair=True)


@pytest.fixture
def settings(tmp_path):
    return load_settings(data_dir=tmp_path, archive={"url": OBJECT_STORE})


def test_no_lake_without_locks_is_repaired_while_the_archive_runs(settings):
    stores = None  # it gets to none
    with archive_checkpoints(settings).held(), pytest.raises(StreamingError, match="another archive query runs"):
        run_rebuild(settings, REPAIR, stores)


def test_no_archive_starts_while_a_lake_without_locks_is_repaired(settings):
    with lake_to_itself(settings, REPAIR):
        assert archive_checkpoints(settings).in_use()
    assert not archive_checkpoints(settings).in_use()


@pytest.mark.parametrize(
    ("url", "request_"),
    [
        ("", REPAIR),
        (OBJECT_STORE, RebuildRequest(0, 1, (), ())),
        (OBJECT_STORE, RebuildRequest(0, 1, (), (), source="table", repair=True)),
    ],
)
def test_a_local_lake_and_one_that_is_not_written_to_need_no_turn(url, request_, tmp_path):
    settings = load_settings(data_dir=tmp_path, archive={"url": url})
    with archive_checkpoints(settings).held(), lake_to_itself(settings, request_):
        pass
