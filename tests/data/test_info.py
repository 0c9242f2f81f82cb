from gratis.data import DataSettings, load
from gratis.data.info import DataInfo


def test_facts_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "data.json"
    info = DataInfo.of(load(DataSettings(name="digits")))
    info.write(path)
    assert DataInfo.read(path) == info
