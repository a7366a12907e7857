"""Templates: texts with ``{{ … }}``, their language, and what rendering them may cost."""
