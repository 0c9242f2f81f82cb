"""The functions of ``import gratis``, one module each, over the packages below."""
