"""The parts of ``attack_referees.py``: material, tools, and what is measured with them."""
