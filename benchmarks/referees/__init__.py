"""The modules of ``attack_referees.py``: models and images, tools, and one module per table."""
