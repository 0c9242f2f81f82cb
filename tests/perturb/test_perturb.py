import gratis.perturb


def test_exports_exist_once():
    assert len(set(gratis.perturb.__all__)) == len(gratis.perturb.__all__)
    assert all(hasattr(gratis.perturb, name) for name in gratis.perturb.__all__)
