import gratis.attacks


def test_exports_exist_once():
    assert len(set(gratis.attacks.__all__)) == len(gratis.attacks.__all__)
    assert all(hasattr(gratis.attacks, name) for name in gratis.attacks.__all__)
