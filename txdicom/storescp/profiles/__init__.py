"""Association negotiation profiles, as DCMTK's programs read them: ``--config-file``."""
