import json

from gratis.data import DataSettings, load
from gratis.data.info import DataInfo


def test_facts_that_an_earlier_version_wrote_are_read(tmp_path):
    path = tmp_path / "data.json"
    info = DataInfo.of(load(DataSettings(name="digits")))
    info.write(path)
    assert DataInfo.read(path) == info
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["mirrors"] = stored.pop("flippable")
    path.write_text(json.dumps(stored), encoding="utf-8")
    assert DataInfo.read(path) == info
